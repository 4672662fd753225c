"""From a request's body to an object in normal form, or a refusal in upstream's words.

Regular bodies take one fast pass (`machinery.schema.normal`); anything else is looked at again by
`strict`, which knows what to say. The group, version and kind of the body must be those of the
resource; a body that leaves them out means the resource's own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from services.api import kinds
from services.api.errors import ApiError, bad_request
from services.apiserver.rules import json_text, strict
from services.machinery.schema import Schema, schema_of
from services.machinery.schema.normal import Irregular, normaliser

Json = dict[str, Any]
FieldValidation = Literal["Ignore", "Warn", "Strict"]

_HEADER = (
    'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
)
_SCHEME = "pkg/api/legacyscheme/scheme.go:30"


@dataclass(slots=True)
class Decoded:
    """An object in normal form with its apiVersion and kind, and what the caller should be told."""

    obj: Json
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Target:
    """What a body must be."""

    api_version: str
    kind: str
    schema: Schema

    @property
    def version(self) -> str:
        return self.api_version.rpartition("/")[2]

    @property
    def internal(self) -> str:
        """Upstream's internal type, as its conversion errors name it."""
        return f"{_short(self.api_version)}.{self.kind}"


def _short(api_version: str) -> str:
    """The first part of the group's name, `core` for the core group."""
    return api_version.rpartition("/")[0].partition(".")[0] or "core"


def target_for(api_version: str, kind: str) -> Target:
    schema = schema_of(api_version, kind)
    if schema is None:
        raise KeyError(f"{api_version} {kind}")
    return Target(api_version, kind, schema)


def decode(raw: bytes, target: Target, field_validation: FieldValidation = "Warn") -> Decoded:
    """ApiError (400) when the body is not JSON, is something else, or does not have the schema's form."""
    value = read_body(raw, target)
    _require_header(raw, value, target)
    return _decoded(raw, {} if value is None else value, target, field_validation)


def read_body(raw: bytes, target: Target) -> Any:
    """The value; with all its members where keys may stand twice. ApiError (400) when it is not JSON."""
    try:
        value = json_text.read(raw)
        return json_text.read_exactly(raw) if json_text.may_repeat_keys(raw, value) else value
    except json_text.SyntaxFault as fault:
        raise _unrecognised(raw, target, f"json parse error: {fault}") from fault


def decode_object(obj: Json, target: Target, field_validation: FieldValidation = "Warn") -> Decoded:
    """The same for a value that is decoded already; there are no repeated keys to find in it."""
    _require_header(b"", obj, target)
    return _decoded(b"", obj, target, field_validation)


def decode_status(obj: Json, target: Target, field_validation: FieldValidation = "Warn") -> Decoded:
    """`decode_object` where the spec does not count: it passes unseen, since the old one replaces it."""
    decoded = decode_object({**obj, "spec": None}, target, field_validation)
    if "spec" in obj:
        decoded.obj["spec"] = obj["spec"]
    return decoded


def _decoded(raw: bytes, value: Json, target: Target, field_validation: FieldValidation) -> Decoded:
    warnings: list[str] = []
    try:
        if type(value) is not dict:
            raise Irregular
        obj = normaliser(target.schema)(value)
    except Irregular:
        obj, warnings = _inspected(raw, value, target, field_validation)
    for name in EMPTY_IS_GIVEN.get(target.kind, ()):
        if value.get(name) == []:
            obj[name] = []  # Until its owner is noted; what is stored says null.
    obj["apiVersion"], obj["kind"] = target.api_version, target.kind
    return Decoded(obj, warnings)


def _inspected(
    raw: bytes, value: Json, target: Target, field_validation: FieldValidation
) -> tuple[Json, list[str]]:
    if raw:
        value = json_text.read_exactly(raw) or {}  # The fast reader has lost the digits of numbers.
    try:
        findings = strict.inspect(value, target.schema)
    except strict.Unreadable as error:
        raise _unhandled(value, target, str(error)) from error
    if findings.faults and field_validation == "Strict":
        raise _unhandled(value, target, "strict decoding error: " + ", ".join(findings.faults))
    return findings.obj, findings.faults if field_validation == "Warn" else []


def require_header_texts(raw: bytes, value: Any, target: Target) -> None:
    """An object, or nothing, whose apiVersion and kind are texts. ApiError (400)."""
    if not isinstance(value, dict):
        if value is not None:
            what = strict.mismatch(strict.json_type(value), "", (), _HEADER)
            raise _unrecognised(raw, target, f"json parse error: {what}")
        return
    for name in ("apiVersion", "kind"):
        given = value.get(name)
        if given is not None and not isinstance(given, str):
            what = strict.mismatch(strict.json_type(given), "", (name,), "string")
            raise _unrecognised(raw, target, f"json parse error: {what}")


def _require_header(raw: bytes, value: Any, target: Target) -> None:
    """apiVersion and kind, where given, must be the target's."""
    require_header_texts(raw, value, target)
    if value is None:
        return
    api_version = value.get("apiVersion") or target.api_version
    kind = value.get("kind") or target.kind
    if api_version == target.api_version and kind == target.kind:
        return
    if kind == target.kind and _stored_as(api_version, kind) == _stored_as(target.api_version, kind):
        raise bad_request(
            f"the API version in the data ({api_version}) does not match the expected API version"
            f" ({target.api_version})"
        )
    if _is_known(api_version, kind):
        reason = (
            f"converting ({api_version.rpartition('/')[2]}.{kind}) to ({target.internal}): unknown conversion"
        )
    else:
        reason = f'no kind "{kind}" is registered for version "{api_version}" in scheme "{_SCHEME}"'
    raise _unhandled(value, target, reason)


# Lists that are always written: whoever sends an empty one owns it, and who sends none does not.
EMPTY_IS_GIVEN = {
    "EndpointSlice": ("endpoints", "ports"),
    "ClusterRole": ("rules",),
    "Role": ("rules",),
}

# What upstream knows and nobody serves.
_OTHERS = {
    "v1": ("List",),
}


def _stored_as(api_version: str, kind: str) -> str:
    """The version in which the objects of a kind are kept; "" where nobody serves it."""
    found = kinds.resource_of_kind(api_version, kind)
    return (found.stored_as or api_version) if found else ""


def _is_known(api_version: str, kind: str) -> bool:
    """Whether upstream has such a kind, served here or not."""
    if kinds.resource_of_kind(api_version, kind.removesuffix("List") or kind):
        return True
    return kind.removesuffix("List") in _OTHERS.get(api_version, ()) or kind in _OTHERS.get(api_version, ())


def _unhandled(value: Any, target: Target, reason: str) -> ApiError:
    kind, version = target.kind, target.api_version
    if isinstance(value, dict):
        kind, version = value.get("kind") or kind, value.get("apiVersion") or version
    version = version.rpartition("/")[2]
    return bad_request(f'{kind} in version "{version}" cannot be handled as a {target.kind}: {reason}')


def _unrecognised(raw: bytes, target: Target, reason: str) -> ApiError:
    return bad_request(
        f"the object provided is unrecognized (must be of type {target.kind}): couldn't get version/kind; "
        f"{reason} ({_summary(raw)})"
    )


def _summary(raw: bytes, shown_bytes_max: int = 30) -> str:
    if not raw:
        return "<empty>"
    shown = raw[:shown_bytes_max]
    text = shown.decode("utf-8", "replace") if raw[:1] == b"{" else shown.hex()
    return text + (" ..." if len(raw) > shown_bytes_max else "")
