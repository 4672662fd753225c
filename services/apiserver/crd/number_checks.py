"""Numbers against a schema's bounds, and as Go prints them. Upstream: kube-openapi's `numberValidator`."""

from __future__ import annotations

from math import isinf, isnan
from typing import Any

from services.apiserver.crd.structural import Node
from services.machinery.field_errors import Cause, Causes, invalid, shown

NIL = "<nil>"  # upstream's name for the path of the whole object
_INT_BOUNDS = {"int32": 1 << 31, "int64": 1 << 63, "": 1 << 63}
_FLOAT32_MAX = 3.4028235677973366e38


def composite(message: str) -> Cause:
    """A fault that upstream tells of no place in particular."""
    return invalid(NIL, "", message)


def is_json_integer(value: float) -> bool:
    """A float that is an integer within what a double can tell, or as good as one."""
    if isnan(value) or isinf(value) or abs(value) > 9007199254740991.0:
        return False
    whole = float(int(value))
    return whole == value or (whole != 0 and abs(value - whole) / (abs(value) + abs(whole)) < 1e-9)


def go_float(value: float) -> str:
    """Go's %v of a float64."""
    if isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value == 0 or 1e-4 <= abs(value) < 1e21:
        text = f"{value:.0f}" if value == int(value) else repr(value)
        return text if "e" not in text else f"{value:.20f}".rstrip("0")
    mantissa, _, exponent = repr(value).partition("e")
    if not exponent:
        mantissa, _, exponent = f"{value:e}".partition("e")
        mantissa = mantissa.rstrip("0").rstrip(".")
    sign, digits = exponent[0] if exponent[0] in "+-" else "+", exponent.lstrip("+-").lstrip("0")
    return f"{mantissa}e{sign}{digits.rjust(2, '0')}"


def go_json(value: Any) -> str:
    """A value as Go's encoder writes it."""
    return go_float(value) if isinstance(value, float) else shown(value)


def _number(value: Any) -> str:
    return go_float(value) if isinstance(value, float) else str(value)


def number_faults(node: Node, value: Any, path: str) -> Causes:
    """Bounds and multiples; with a bound that the type cannot hold, upstream complains of that too."""
    out: Causes = []
    kind = node.types[0] if len(node.types) == 1 else ""
    bounds = {"integer": ("int32", "int64"), "number": ("float", "double")}.get(kind, ())
    limit = node.format if node.format in bounds else ""
    _check_range(value, kind, limit, "Checked", path, out)
    if node.multiple_of is not None:
        fits = _check_range(node.multiple_of, kind, limit, "MultipleOf", path, out)
        out += _multiple_fault(value, node.multiple_of, path, native=fits)
    if node.minimum is not None:
        fits = _check_range(node.minimum, kind, limit, "Minimum boundary", path, out)
        out += _bound_fault(value, node.minimum, path, fits, node.exclusive_minimum, lower=True)
    if node.maximum is not None:
        fits = _check_range(node.maximum, kind, limit, "Maximum boundary", path, out)
        out += _bound_fault(value, node.maximum, path, fits, node.exclusive_maximum, lower=False)
    return out


def _check_range(value: Any, kind: str, limit: str, what: str, path: str, out: Causes) -> bool:
    if kind == "integer":
        bound = _INT_BOUNDS[limit]
        fits = not (isinf(value) or isnan(value)) and value == int(value) and -bound <= value < bound
    else:
        fits = limit != "float" or abs(value) <= _FLOAT32_MAX
    if not fits:
        form = f"with format {limit}" if limit else "(default format)"
        out.append(composite(f"{what} value must be of type {kind} {form} in {path}"))
    return fits


def _multiple_fault(value: Any, factor: Any, path: str, *, native: bool) -> Causes:
    as_int = native and type(value) is int
    factor = int(factor) if as_int else float(factor)
    if factor <= 0:
        why = f"factor MultipleOf declared for {path} must be positive: {_number(factor)}"
        return [_number_cause(path, factor, why)]
    if as_int:
        fits = value % factor == 0
    else:
        fits = is_json_integer(1 / factor * value if factor < 1 else value / factor)
    if fits:
        return []
    return [_number_cause(path, value, f"{path} in body should be a multiple of {_number(factor)}")]


def _bound_fault(value: Any, bound: Any, path: str, native: bool, exclusive: bool, *, lower: bool) -> Causes:
    bound = int(bound) if native and type(value) is int else float(bound)
    if (value == bound and not exclusive) or (value > bound if lower else value < bound):
        return []
    side = "greater" if lower else "less"
    words = f"{side} than" if exclusive else f"{side} than or equal to"
    return [_number_cause(path, value, f"{path} in body should be {words} {_number(bound)}")]


def _number_cause(path: str, value: Any, why: str) -> Cause:
    message = f"Invalid value: {_number(value)}: {why}"
    return {"reason": "FieldValueInvalid", "message": message, "field": path or NIL}
