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

from services.api import kinds
from services.api.errors import Cause
from services.api.kinds import Resource
from services.apiserver.rules import autoscaling_versions, event_versions
from services.apiserver.rules.context import Context
from services.apiserver.rules.defaults_autoscaling import old_autoscaler
from services.apiserver.rules.strategy import Strategy, strategy_for
from services.apiserver.rules.validation import events
from services.machinery.field_errors import Causes

Json = dict[str, Any]


def _nothing(obj: Json) -> None:
    """For a version without defaults of its own."""


def _no_more(obj: Json, out: Causes) -> None:
    """For a version as strict as the stored one."""


def _no_more_of_both(new: Json, old: Json, out: Causes) -> None:
    """The same, of updates."""


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
    printed: Callable[[Json], Json] | None = None  # `to_stored` for who only shows it
    # What this version asks besides, of the stored shape.
    validate: Callable[[Json, Causes], None] = _no_more
    validate_update: Callable[[Json, Json, Causes], None] = _no_more_of_both


# By (apiVersion, kind) of the version that is not stored.
CONVERSIONS: dict[tuple[str, str], Conversion] = {
    ("autoscaling/v1", "HorizontalPodAutoscaler"): Conversion(
        autoscaling_versions.to_stored,
        autoscaling_versions.from_stored,
        old_autoscaler,
        printed=autoscaling_versions.as_observed,
    ),
    ("events.k8s.io/v1", "Event"): Conversion(
        event_versions.to_stored,
        event_versions.from_stored,
        fields=event_versions.FIELDS,
        validate=events.new_event,
        validate_update=events.new_event_update,
    ),
}


def conversion_of(resource: Resource) -> Conversion | None:
    return CONVERSIONS[resource.api_version, resource.kind] if resource.stored_as else None


def stored_shape(resource: Resource, obj: Json) -> Json:
    """A built-in object as the stored version has it, for who prints it."""
    conversion = CONVERSIONS.get((resource.api_version, resource.kind)) if resource.stored_as else None
    return obj if conversion is None else (conversion.printed or conversion.to_stored)(obj)


class ConvertedStrategy(Strategy):
    """Decodes and defaults in a version's own shape; prepares and validates in the stored one."""

    def __init__(
        self, resource: Resource, stored: Resource, conversion: Conversion, subresource: str = ""
    ) -> None:
        super().__init__(resource, subresource)
        self._stored = strategy_for(stored, subresource)
        self._conversion = conversion
        self.fields = conversion.fields or {}

    @property
    def allows_create_on_update(self) -> bool:
        return self._stored.allows_create_on_update

    @property
    def allows_unconditional_update(self) -> bool:
        return self._stored.allows_unconditional_update

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
        kept = self.to_stored(obj)
        out: Causes = self._stored.validate_create(kept)
        self._conversion.validate(kept, out)
        return out

    def validate_update(self, new: Json, old: Json) -> list[Cause]:
        kept, before = self.to_stored(new), self.to_stored(old)
        out: Causes = self._stored.validate_update(kept, before)
        self._conversion.validate_update(kept, before, out)
        return out

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


def rules_of(resource: Resource, subresource: str = "") -> Strategy:
    """Of a built-in resource, in its own version."""
    conversion = conversion_of(resource)
    if conversion is None:
        return strategy_for(resource, subresource)
    return ConvertedStrategy(resource, stored_resource(resource), conversion, subresource)


def stored_resource(resource: Resource) -> Resource:
    """The built-in resource in whose version its objects are kept: itself, mostly."""
    group, _, version = resource.stored_as.rpartition("/")
    found = kinds.resource_named(group, version, resource.plural) if resource.stored_as else resource
    assert found is not None, f"{resource.key} is stored as {resource.stored_as}, which is not served"
    return found
