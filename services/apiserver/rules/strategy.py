"""One strategy for each kind and subresource: the steps of a write that differ from kind to kind.

The generic store calls them in upstream's order: decode, default, (mutating admission),
prepare, validate, (validating admission). A kind without rules of its own is one entry in a table.
Every refusal is an `ApiError` from `decode`, or a list of causes from `validate_*`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from services.api import kinds
from services.api.errors import Cause
from services.apiserver.rules.context import Context

Json = dict[str, Any]
FieldValidation = Literal["Ignore", "Warn", "Strict"]


@dataclass(slots=True)
class Decoded:
    obj: Json
    warnings: list[str] = field(default_factory=list)


class Strategy:
    """The rules for one resource, or for one subresource of it."""

    def __init__(self, resource: kinds.Resource, subresource: str = "") -> None:
        self.resource = resource
        self.subresource = subresource

    allows_create_on_update = False
    allows_unconditional_update = True
    default_grace_seconds: int | None = None  # set where deletion is graceful by itself (Pods: from the spec)

    def decode(self, raw: bytes, field_validation: FieldValidation = "Warn") -> Decoded:
        """A request's body as a checked, normalised object. ApiError (400) in upstream's words."""
        raise NotImplementedError

    def decode_object(self, obj: Json, field_validation: FieldValidation = "Warn") -> Decoded:
        """The same for what is decoded already: the result of a patch."""
        raise NotImplementedError

    def default(self, obj: Json) -> None:
        """Fills in, in place, what the caller left out."""

    def prepare_create(self, obj: Json, ctx: Context) -> None:
        """Resets, in place, what a creator may not set (status, generation)."""

    def prepare_update(self, new: Json, old: Json, ctx: Context) -> None:
        """Keeps, in place, what this update may not change; moves the generation with the spec."""

    def validate_create(self, obj: Json) -> list[Cause]:
        return []

    def validate_update(self, new: Json, old: Json) -> list[Cause]:
        return []

    def warnings(self, obj: Json, old: Json | None = None) -> list[str]:
        return []

    def selectable_fields(self, obj: Json) -> dict[str, str]:
        """Every field that a field selector may name, with its value."""
        metadata = obj.get("metadata", {})
        return {
            "metadata.name": metadata.get("name", ""),
            "metadata.namespace": metadata.get("namespace", ""),
        }

    def grace_seconds(self, obj: Json, requested: int | None) -> int | None:
        """How long a deletion waits; None: this kind is deleted at once."""
        return None


def strategy_for(resource: kinds.Resource, subresource: str = "") -> Strategy:
    return Strategy(resource, subresource)
