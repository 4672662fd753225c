"""What a RuntimeClass adds to the Pods that name it: overhead, and the nodes that have its runtime.

Upstream's plugin RuntimeClass.
"""

from __future__ import annotations

from typing import Any

from services.api import errors, kinds
from services.api.node_v1 import RuntimeClass
from services.apiserver.rules.context import Context

Json = dict[str, Any]

_CLASSES = kinds.resource_of(RuntimeClass)


def complete(resource: kinds.Resource, pod: Json, ctx: Context) -> None:
    """In place. ApiError (403) when there is no such class, or when the Pod contradicts it."""
    spec = pod["spec"]
    name = spec.get("runtimeClassName")
    if not name:
        if spec.get("overhead"):
            raise _refused(
                resource, pod, "Pod Overhead set without corresponding RuntimeClass defined Overhead"
            )
        return
    found = ctx.lookup(_CLASSES, "", name)
    if found is None:
        raise _refused(resource, pod, f'RuntimeClass "{name}" not found')
    fixed = (found.get("overhead") or {}).get("podFixed")
    if spec.get("overhead") and spec["overhead"] != (fixed or {}):
        raise _refused(resource, pod, "Pod's Overhead doesn't match RuntimeClass's defined Overhead")
    if fixed:
        spec["overhead"] = dict(fixed)
    scheduling = found.get("scheduling") or {}
    _select_nodes(resource, pod, scheduling.get("nodeSelector") or {})
    held = spec.get("tolerations") or []
    added = [one for one in scheduling.get("tolerations") or () if one not in held]
    if added:
        spec["tolerations"] = [*held, *added]


def _select_nodes(resource: kinds.Resource, pod: Json, selector: dict[str, str]) -> None:
    if not selector:
        return
    own = pod["spec"].get("nodeSelector") or {}
    for key in sorted(selector):
        if own.get(key, selector[key]) != selector[key]:
            why = (
                f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {selector[key]};"
                f" pod.spec.nodeSelector[{key}] = {own[key]}"
            )
            raise _refused(resource, pod, why)
    pod["spec"]["nodeSelector"] = {**own, **selector}


def _refused(resource: kinds.Resource, pod: Json, why: str) -> errors.ApiError:
    name = str(pod["metadata"].get("name") or pod["metadata"].get("generateName", ""))
    return errors.forbidden(resource, name, f"pod rejected: {why}")
