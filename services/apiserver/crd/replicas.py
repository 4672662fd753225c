"""The fields that a scale subresource points to: they must be what a Scale can say.

Upstream: `customResourceValidator.ValidateScaleSpec` and `ValidateScaleStatus`.
"""

from __future__ import annotations

from typing import Any

from services.apiserver.crd.number_checks import go_float
from services.machinery.field_errors import Causes, invalid

Json = dict[str, Any]

_INT32_MAX = (1 << 31) - 1
_GO_TYPES = {
    str: "string", int: "int64", float: "float64", bool: "bool", dict: "map[string]interface {}",
    list: "[]interface {}", type(None): "<nil>",
}  # fmt: skip


def spec_faults(obj: Json, scale: Json | None) -> Causes:
    return _count_faults(obj, scale["specReplicasPath"]) if scale else []


def status_faults(obj: Json, scale: Json | None) -> Causes:
    if not scale:
        return []
    out = _count_faults(obj, scale["statusReplicasPath"])
    path = scale.get("labelSelectorPath")
    if path is not None:
        _, fault = nested(obj, path, str)
        if fault:
            out.append(invalid(path, "", fault))
    return out


def _count_faults(obj: Json, path: str) -> Causes:
    value, fault = nested(obj, path, int)
    if fault:
        return [invalid(path, 0, fault)]
    if value is not None and value < 0:
        return [invalid(path, value, "should be a non-negative integer")]
    if value is not None and value > _INT32_MAX:
        return [invalid(path, value, f"should be less than or equal to {_INT32_MAX}")]
    return []


def nested(obj: Json, path: str, wanted: type) -> tuple[Any, str]:
    """What stands at a simple path (`.spec.replicas`), None where nothing does; and what is wrong with it."""
    value: Any = obj
    walked: list[str] = []
    for name in path.removeprefix(".").split("."):
        if type(value) is not dict:
            return None, _accessor_fault(walked, value, "map[string]interface{}")
        walked.append(name)
        if name not in value:
            return None, ""
        value = value[name]
    if type(value) is wanted:
        return value, ""
    return None, _accessor_fault(walked, value, {int: "int64", str: "string"}[wanted])


def _accessor_fault(walked: list[str], value: Any, wanted: str) -> str:
    kind = _GO_TYPES[type(value)]
    path = "." + ".".join(walked)
    return f"{path} accessor error: {go_value(value)} is of the type {kind}, expected {wanted}"


def go_value(value: Any) -> str:
    """Go's %v."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return go_float(value)
    if isinstance(value, dict):
        return "map[" + " ".join(f"{name}:{go_value(value[name])}" for name in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(map(go_value, value)) + "]"
    return str(value)
