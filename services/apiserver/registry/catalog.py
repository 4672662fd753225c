"""The catalog: every resource that this server serves at the moment, by each of its names.

It begins with the table of kinds that are built in; others come and go as CustomResourceDefinitions
do. What is derived from the whole (discovery, OpenAPI) is made anew when `resources` is another tuple
than the one it was made from. Pure: what serves a resource is the registry's to know.
"""

from __future__ import annotations

from collections.abc import Iterator

from services.api import kinds
from services.api.kinds import Resource


class Catalog:
    def __init__(self, built_in: tuple[Resource, ...] = kinds.RESOURCES) -> None:
        self.resources = built_in  # those with objects, built in or not
        self.described = built_in + kinds.UNSTORED  # all that OpenAPI tells of
        self.served = self.described + kinds.MEASURED  # all that discovery tells of
        self._by_name: dict[tuple[str, str, str], Resource] = {}
        self._by_kind: dict[tuple[str, str], Resource] = {}
        for resource in (*built_in, *kinds.MEASURED):
            self._enter(resource)

    def _enter(self, resource: Resource) -> None:
        self._by_name[resource.group, resource.version, resource.plural] = resource
        self._by_kind[resource.api_version, resource.kind] = resource

    def put(self, *resources: Resource) -> None:
        """Adds them; one that bears the same name gives way."""
        keys = {resource.key for resource in resources}
        kept = tuple(each for each in self.resources if each.key not in keys)
        self._set((*kept, *resources))

    def remove(self, *resources: Resource) -> None:
        """Fine for those that are not there."""
        keys = {resource.key for resource in resources}
        self._set(tuple(each for each in self.resources if each.key not in keys))

    def _set(self, resources: tuple[Resource, ...]) -> None:
        self.resources, self.described = resources, resources + kinds.UNSTORED
        self.served = self.described + kinds.MEASURED
        self._by_name.clear()
        self._by_kind.clear()
        for resource in (*resources, *kinds.MEASURED):
            self._enter(resource)

    def named(self, group: str, version: str, plural: str) -> Resource | None:
        return self._by_name.get((group, version, plural))

    def of_kind(self, api_version: str, kind: str) -> Resource | None:
        return self._by_kind.get((api_version, kind))

    def lookup(self, word: str) -> Iterator[Resource]:
        """Every resource that `word` may mean: plural, singular, short name, kind, or `name.group`."""
        return kinds.meant_by(word, self.resources)
