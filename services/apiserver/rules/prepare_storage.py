"""Preparation of claims: what they are filled from, said in the old field and in the new one.

`dataSource` takes a claim or a snapshot and nothing else; `dataSourceRef` takes anything. Whoever fills one
finds both. In place, as in `prepare`. Upstream: `pkg/api/persistentvolumeclaim`.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

_OLD_SOURCES = (("", "PersistentVolumeClaim"), ("snapshot.storage.k8s.io", "VolumeSnapshot"))


def claim_create(obj: Json) -> None:
    obj["status"] = {"phase": "Pending"}
    _sources(obj["spec"], {})


def claim_update(new: Json, old: Json) -> None:
    new["status"] = old["status"]
    _sources(new["spec"], old["spec"])


def _sources(spec: Json, before: Json) -> None:
    had_reference = before.get("dataSourceRef") is not None
    if _is_elsewhere(spec.get("dataSourceRef")) and not had_reference:
        del spec["dataSourceRef"]  # Other namespaces are beyond a switch that is off.
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    had_one = had_reference or before.get("dataSource") is not None
    if source is not None and reference is None and not had_one and not _is_old(source):
        del spec["dataSource"]  # Ignored since ever, as if the claim had asked for an empty volume.
        return
    if _is_elsewhere(reference):
        return
    if source is not None and reference is None:
        spec["dataSourceRef"] = dict(source)
    elif reference is not None and source is None:
        spec["dataSource"] = {name: value for name, value in reference.items() if name != "namespace"}


def _is_old(source: Json) -> bool:
    return (source.get("apiGroup") or "", source.get("kind", "")) in _OLD_SOURCES


def _is_elsewhere(reference: Json | None) -> bool:
    return bool(reference and reference.get("namespace"))
