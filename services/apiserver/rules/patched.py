"""Refusals of patches that cannot be read, or that make what has not the form of the kind.

Upstream words them by how it applies the type of patch: a strategic merge patch is applied to maps,
which then are converted (`cannot convert int64 to string`), and the message shows the patch; the others
are applied to text, which then is decoded like any body and which the message shows whole. Where a field
has an unknown name it is said as in bodies. Pure.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from services.api import errors
from services.api.errors import ApiError, bad_request
from services.apiserver.rules import json_text
from services.machinery.field_errors import invalid
from services.machinery.patch import STRATEGIC

Json = dict[str, Any]

_HANDLED = " cannot be handled as a "
_MISMATCH = re.compile(
    r"json: cannot unmarshal (\w+)(?: (\S+))? into Go (?:struct field \S+|value) of type (.+)", re.S
)
_CONTAINERS = {"[]": "slice from ", "map[": "map from ", "v1.": "struct from: "}
# How Go calls what JSON values become.
_GO = {"number": "int64", "bool": "bool", "string": "string", "array": "slice", "object": "map"}


def check_text(body: bytes, patch_type: str) -> None:
    """ApiError 400 for what is no JSON."""
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        try:
            json_text.read_exactly(body)
        except json_text.SyntaxFault as fault:
            prefix = "" if patch_type == STRATEGIC else "error decoding patch: "
            raise bad_request(f"{prefix}{fault}") from fault


def refusal(error: ApiError, body: bytes, patch_type: str, patched: Json) -> ApiError:
    """What to say where `patched` cannot be decoded; any other refusal is handed back."""
    _, is_form, rest = error.message.partition(_HANDLED)
    if error.code != 400 or not is_form:
        return error
    why = rest.partition(": ")[2]
    if patch_type == STRATEGIC:
        shown, why = _go_text(orjson.loads(body)), _converted(why)
    else:
        shown = orjson.dumps(patched).decode()
    return errors.invalid("", "", "", [invalid("patch", shown, why)])


def _converted(why: str) -> str:
    """The decoder's complaint as the converter of maps would have it."""
    found = _MISMATCH.fullmatch(why)
    if found is None:
        return why
    given, digits, go_type = found.groups()
    source = "float64" if digits and not digits.lstrip("-").isdigit() else _GO.get(given, given)
    for start, words in _CONTAINERS.items():
        if go_type.startswith(start):
            return f"cannot restore {words}{source}"
    numbers = ("int64", "float64")
    converts = (source in numbers and go_type.startswith(("int", "uint", "float"))) or (
        source == "int64" and go_type == "string"
    )
    return f"cannot convert {source} to {go_type}" if converts else f"unrecognized type: {go_type}"


def _go_text(value: Any) -> str:
    """Go's %v of decoded JSON: maps in the order of their keys, nothing quoted."""
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{_go_text(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(map(_go_text, value)) + "]"
    if value is None:
        return "<nil>"
    return orjson.dumps(value).decode() if isinstance(value, bool | float) else str(value)
