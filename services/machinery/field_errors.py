"""Causes of an invalid object, as upstream's `field.Error` words them.

A path is the text that the user reads, `spec.containers[0].image`; whoever descends into a struct
extends it. Values are written as upstream prints them: text quoted, everything else as JSON.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

Cause = dict[str, str]  # reason, message, field
Causes = list[Cause]


def _cause(reason: str, path: str, message: str) -> Cause:
    return {"reason": reason, "message": message, "field": path}


def quoted(text: str) -> str:
    """Go's %q."""
    out = []
    for char in text:
        if char in '"\\':
            out.append("\\" + char)
        elif char.isprintable():
            out.append(char)
        elif char in _ESCAPES:
            out.append(_ESCAPES[char])
        else:
            code = ord(char)
            out.append(
                f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
            )
    return '"' + "".join(out) + '"'


_ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\a": "\\a", "\b": "\\b", "\f": "\\f", "\v": "\\v"}


def shown(value: Any) -> str:
    """A value as it stands in a message."""
    if isinstance(value, str):
        return quoted(value)
    return orjson.dumps(value).decode()


def required(path: str, detail: str = "") -> Cause:
    return _cause("FieldValueRequired", path, f"Required value: {detail}" if detail else "Required value")


def invalid(path: str, value: Any, detail: str) -> Cause:
    return _cause("FieldValueInvalid", path, f"Invalid value: {shown(value)}: {detail}")


def invalid_as_a_whole(path: str, detail: str) -> Cause:
    """Where the value would say nothing: what is wrong is how its parts go together."""
    return _cause("FieldValueInvalid", path, f"Invalid value: {detail}")


def type_invalid(path: str, value: Any, detail: str) -> Cause:
    return _cause("FieldValueTypeInvalid", path, f"Invalid value: {shown(value)}: {detail}")


def not_supported(path: str, value: Any, supported: Iterable[str]) -> Cause:
    """`supported` in the order that upstream prints, which is not always sorted."""
    texts = ", ".join(f'"{text}"' for text in supported)
    message = f"Unsupported value: {shown(value)}"
    return _cause(
        "FieldValueNotSupported", path, f"{message}: supported values: {texts}" if texts else message
    )


def duplicate(path: str, value: Any, detail: str = "") -> Cause:
    message = f"Duplicate value: {shown(value)}"
    return _cause("FieldValueDuplicate", path, f"{message}: {detail}" if detail else message)


def forbidden(path: str, detail: str) -> Cause:
    return _cause("FieldValueForbidden", path, f"Forbidden: {detail}")


def not_found(path: str, value: Any) -> Cause:
    return _cause("FieldValueNotFound", path, f"Not found: {shown(value)}")


def too_long(path: str, bytes_max: int) -> Cause:
    return _cause("FieldValueTooLong", path, f"Too long: may not be more than {bytes_max} bytes")


def too_many(path: str, count: int, items_max: int) -> Cause:
    message = f"Too many: {count}: must have at most {items_max} item{'' if items_max == 1 else 's'}"
    return _cause("FieldValueTooMany", path, message)
