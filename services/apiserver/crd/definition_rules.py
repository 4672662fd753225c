"""A CustomResourceDefinition on its way into the store: what is filled in, and what a caller may not decide.

Upstream: `apis/apiextensions/v1` defaults and `registry/customresourcedefinition`.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def default(obj: Json) -> None:
    names = obj["spec"]["names"]
    kind = names.get("kind", "")
    if not names.get("singular") and kind:
        names["singular"] = kind.lower()
    if not names.get("listKind") and kind:
        names["listKind"] = f"{kind}List"
    conversion = obj["spec"].setdefault("conversion", {"strategy": "None"})
    service = ((conversion.get("webhook") or {}).get("clientConfig") or {}).get("service")
    if service is not None:
        service.setdefault("port", 443)
    _note_stored_version(obj, only_first=True)


def _note_stored_version(obj: Json, *, only_first: bool = False) -> None:
    """The storage version is one that objects may be stored in from now on."""
    status = obj["status"]
    stored = status.get("storedVersions") or []
    if only_first and stored:
        return
    name = next((each["name"] for each in obj["spec"].get("versions") or () if each.get("storage")), None)
    if name is not None and name not in stored:
        status["storedVersions"] = [*stored, name]


def prepare_create(obj: Json) -> None:
    obj["status"] = {"acceptedNames": {"kind": "", "plural": ""}, "conditions": None, "storedVersions": None}
    obj["metadata"]["generation"] = 1
    _note_stored_version(obj)


def prepare_update(new: Json, old: Json) -> None:
    new["status"] = dict(old["status"])
    if new["spec"] != old["spec"]:
        new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
    _note_stored_version(new)
