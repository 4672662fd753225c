"""What the generic store needs to serve one resource: its rules, its schema, its version, where it is kept.

A built-in kind gets them from the tables of `rules`; a custom one from its CustomResourceDefinition.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.api.kinds import STREAMED, Resource
from services.apiserver.registry.catalog import Catalog
from services.apiserver.registry.versions import PureVersion, Version
from services.apiserver.rules.strategy import Strategy, strategy_for
from services.apiserver.rules.versions import ConvertedStrategy, conversion_of
from services.machinery.schema import Schema, schema_of


@dataclass(frozen=True, slots=True)
class Serving:
    """`stored` is the resource whose cache and path in etcd hold the objects: itself, mostly.

    `describing` reads out of what is stored what selectors ask for, as the cache does.
    """

    resource: Resource
    stored: Resource
    strategy: Strategy
    describing: Strategy
    schema: Schema
    parts: Mapping[str, Strategy] = field(default_factory=dict)
    version: Version | None = None


def built_in(resource: Resource, catalog: Catalog) -> Serving:
    schema = schema_of(resource.api_version, resource.kind)
    assert schema is not None  # Every kind that is built in has one.
    parts = [part.name for part in resource.subresources if part.name not in STREAMED]
    conversion = conversion_of(resource)
    if conversion is None:
        rules = {part: strategy_for(resource, part) for part in parts}
        own = strategy_for(resource)
        return Serving(resource, resource, own, own, schema, rules)
    group, _, stored_version = resource.stored_as.rpartition("/")
    stored = catalog.named(group, stored_version, resource.plural)
    assert stored is not None, f"{resource.key} is stored as {resource.stored_as}, which is not served"
    converted = {part: ConvertedStrategy(resource, stored, conversion, part) for part in parts}
    strategy = ConvertedStrategy(resource, stored, conversion)
    version = PureVersion(strategy)
    return Serving(resource, stored, strategy, strategy_for(stored), schema, converted, version)
