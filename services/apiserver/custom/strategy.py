"""The rules of a custom resource, as the generic store calls them; what they are is in `crd/`. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from services.api import errors
from services.api.errors import Cause
from services.apiserver.crd import Unreadable
from services.apiserver.custom.resource import CustomResource
from services.apiserver.rules import decode, json_text
from services.apiserver.rules import prepare as generic
from services.apiserver.rules.context import Context
from services.apiserver.rules.decode import Decoded, FieldValidation
from services.apiserver.rules.strategy import Strategy
from services.apiserver.rules.validation.meta import changed, generic_object_meta, object_meta_update
from services.apiserver.rules.validation.names import path_segment

Json = dict[str, Any]
_HEADER = ("apiVersion", "kind", "metadata")  # which every stored object begins with


class CustomStrategy(Strategy):
    """Of one version, or of its status."""

    allows_create_on_update = False
    allows_unconditional_update = False

    def __init__(self, resource: CustomResource, subresource: str = "") -> None:
        self.resource: CustomResource = resource
        self.subresource = subresource
        self._compiled = resource.compiled
        self._target = decode.Target(resource.api_version, resource.kind, self._compiled.schema)

    def decode(self, raw: bytes, field_validation: FieldValidation = "Warn") -> Decoded:
        value = decode.read_body(raw, self._target)
        repeated = list(_repeated(value, "")) if isinstance(value, json_text.ExactObject) else []
        return self._decoded(_plain(value) if repeated else value, field_validation, repeated, raw)

    def decode_object(self, obj: Json, field_validation: FieldValidation = "Warn") -> Decoded:
        return self._decoded(obj, field_validation, [])

    def _decoded(
        self, obj: Json | None, field_validation: FieldValidation, faults: list[str], raw: bytes = b""
    ) -> Decoded:
        obj = {} if obj is None else obj
        decode.require_header_texts(raw, obj, self._target)
        if not obj.get("kind"):
            text = raw.decode("utf-8", "replace")
            raise self._unhandled(f"Object 'Kind' is missing in '{text}'")
        obj.setdefault("metadata", {})
        wanted = self.resource.api_version
        if (given := obj.get("apiVersion")) and given != wanted:
            raise errors.bad_request(
                f"the API version in the data ({given}) does not match the expected API version ({wanted})"
            )
        try:
            faults = faults + [f'unknown field "{path}"' for path in self._compiled.coerce(obj)]
        except Unreadable as error:
            raise self._unhandled(str(error)) from error
        if faults and field_validation == "Strict":
            raise self._unhandled("strict decoding error: " + ", ".join(faults))
        return Decoded(ordered(obj), faults if field_validation == "Warn" else [])

    def _unhandled(self, why: str) -> errors.ApiError:
        kind, version = self.resource.kind, self.resource.version
        return errors.bad_request(f'{kind} in version "{version}" cannot be handled as a {kind}: {why}')

    def default(self, obj: Json) -> None:
        self._compiled.default(obj)

    def prepare_create(self, obj: Json, ctx: Context) -> None:
        if self.resource.terminating:
            why = "create not allowed while custom resource definition is terminating"
            raise errors.forbidden(self.resource, obj["metadata"].get("name", ""), why)
        self._compiled.prepare_create(obj)

    def prepare_update(self, new: Json, old: Json, ctx: Context) -> None:
        generic.metadata_update(new, old)
        if self.subresource == "status":
            self._compiled.prepare_status_update(new, old)
            made = ordered(new)
            new.clear()
            new.update(made)
        else:
            self._compiled.prepare_update(new, old)

    def validate_create(self, obj: Json) -> list[Cause]:
        return self._compiled.validate_create(obj)

    def validate_update(self, new: Json, old: Json) -> list[Cause]:
        out: list[Cause] = []
        if changed(new["metadata"], old["metadata"]):  # the generic layer's look at the metadata
            generic_object_meta(new["metadata"], self.resource.namespaced, path_segment, out)
            object_meta_update(new["metadata"], old["metadata"], out)
        if self.subresource == "status":
            return [*out, *self._compiled.validate_status_update(new, old)]
        return [*out, *self._compiled.validate_update(new, old)]

    def warnings(self, obj: Json, old: Json | None = None) -> list[str]:
        found = [self.resource.deprecation] if self.resource.deprecation else []
        return found if self.subresource else [*found, *self._compiled.warnings(obj, old)]

    def selectable_fields(self, obj: Json) -> dict[str, str]:
        metadata = obj["metadata"]
        found = {"metadata.name": metadata.get("name", "")}
        if self.resource.namespaced:
            found["metadata.namespace"] = metadata.get("namespace", "")
        return {**found, **self._compiled.selectable_fields(obj)}

    def grace_seconds(self, obj: Json, requested: int | None) -> int | None:
        return None


def ordered(obj: Json) -> Json:
    """With the header first, so that whoever shows it can find the metadata without decoding."""
    header = {name: obj[name] for name in _HEADER if name in obj}
    return {**header, **obj}


def _repeated(value: Any, path: str) -> Iterator[str]:
    """What strict decoding says of keys that stand twice in one object."""
    if isinstance(value, json_text.ExactObject):
        seen: set[str] = set()
        for name, item in value.pairs:
            here = f"{path}.{name}" if path else name
            if name in seen:
                yield f'duplicate field "{here}"'
            seen.add(name)
            yield from _repeated(item, here)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _repeated(item, f"{path}[{index}]")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return float(value) if isinstance(value, json_text.Number) else value
