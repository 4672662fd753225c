"""Kinds that are served in several versions and stored in one: how each looks in the other's shape.

To serve a kind in one more version:
1. an entry in `services/api/kinds.py` with `stored_as` set to the group version that is stored, whose
   resource must have an entry of its own with the same plural;
2. an entry in `CONVERSIONS` here: two pure functions on decoded JSON, which may share but not change what
   they are given, and which lose nothing (upstream hides in annotations what a version cannot say); with
   them the version's own defaults and the names that field selectors have in it.

Requests are decoded and defaulted in the version they come in, then converted; all other rules see
the stored shape. `metadata` passes as it is, managedFields with the apiVersion of their writers.
Upstream: the internal types and their conversions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from services.api.errors import Cause
from services.api.kinds import Resource
from services.apiserver.rules.context import Context
from services.apiserver.rules.strategy import Strategy, strategy_for

Json = dict[str, Any]


def _nothing(obj: Json) -> None:
    """For a version without defaults of its own."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """`to_stored` and `from_stored` need not set apiVersion and kind; `fields` are those of selectors.

    `fields` maps what a field selector names in this version to the name in the stored one; the names of
    metadata are the same in all. None: the stored version's own names are used.
    """

    to_stored: Callable[[Json], Json]
    from_stored: Callable[[Json], Json]
    default: Callable[[Json], None] = _nothing  # in place
    fields: Mapping[str, str] | None = None


# By (apiVersion, kind) of the version that is not stored.
CONVERSIONS: dict[tuple[str, str], Conversion] = {}


def conversion_of(resource: Resource) -> Conversion | None:
    return CONVERSIONS[resource.api_version, resource.kind] if resource.stored_as else None


class ConvertedStrategy(Strategy):
    """Decodes and defaults in a version's own shape; prepares and validates in the stored one."""

    def __init__(
        self, resource: Resource, stored: Resource, conversion: Conversion, subresource: str = ""
    ) -> None:
        super().__init__(resource, subresource)
        self._stored = strategy_for(stored, subresource)
        self._conversion = conversion
        self.fields = conversion.fields or {}
        self.allows_create_on_update = self._stored.allows_create_on_update
        self.allows_unconditional_update = self._stored.allows_unconditional_update

    def default(self, obj: Json) -> None:
        self._conversion.default(obj)

    def selectable_fields(self, obj: Json) -> dict[str, str]:
        found = self._stored.selectable_fields(self.to_stored(obj))
        if self._conversion.fields is None:
            return found
        own = {name: found[stored] for name, stored in self._conversion.fields.items()}
        return {**own, **{name: found[name] for name in ("metadata.name", "metadata.namespace")}}

    def prepare_create(self, obj: Json, ctx: Context) -> None:
        kept = self.to_stored(obj)
        self._stored.prepare_create(kept, ctx)
        self._become(obj, kept)

    def prepare_update(self, new: Json, old: Json, ctx: Context) -> None:
        kept = self.to_stored(new)
        self._stored.prepare_update(kept, self.to_stored(old), ctx)
        self._become(new, kept)

    def validate_create(self, obj: Json) -> list[Cause]:
        return self._stored.validate_create(self.to_stored(obj))

    def validate_update(self, new: Json, old: Json) -> list[Cause]:
        return self._stored.validate_update(self.to_stored(new), self.to_stored(old))

    def grace_seconds(self, obj: Json, requested: int | None) -> int | None:
        return self._stored.grace_seconds(self.to_stored(obj), requested)

    def to_stored(self, obj: Json) -> Json:
        resource = self._stored.resource
        made = self._conversion.to_stored(obj)
        return {**made, "apiVersion": resource.api_version, "kind": resource.kind}

    def from_stored(self, obj: Json) -> Json:
        made = self._conversion.from_stored(obj)
        return {**made, "apiVersion": self.resource.api_version, "kind": self.resource.kind}

    def _become(self, obj: Json, kept: Json) -> None:
        made = self.from_stored(kept)
        obj.clear()
        obj.update(made)
