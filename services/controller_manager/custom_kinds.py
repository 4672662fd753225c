"""The kinds that CustomResourceDefinitions make, as they come and go, for controllers of every kind.

One version of each is enough: the one that clients should prefer. A definition counts once it is Established,
until it is gone: its objects are still deleted while it terminates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import msgspec

from services.api import meta_v1
from services.api.kinds import Resource
from services.api.object import Object
from services.client.controller import ControllerContext
from services.client.custom import metadata_class
from services.machinery.api_versions import preference

Follower = Callable[[type[Object]], None]


class Names(msgspec.Struct, frozen=True, rename="camel"):
    plural: str = ""
    singular: str = ""
    kind: str = ""


class Version(msgspec.Struct, frozen=True):
    name: str = ""
    served: bool = False


class Spec(msgspec.Struct, frozen=True):
    group: str = ""
    scope: str = ""
    versions: tuple[Version, ...] = ()


class Condition(msgspec.Struct, frozen=True):
    type: str = ""
    status: str = ""


class Status(msgspec.Struct, frozen=True, rename={"accepted_names": "acceptedNames"}):
    accepted_names: Names = Names()
    conditions: tuple[Condition, ...] | None = None


class Definition(Object, frozen=True, kw_only=True):
    """What is needed of one here; schemas can be long."""

    api_version: ClassVar[str] = "apiextensions.k8s.io/v1"
    kind: ClassVar[str] = "CustomResourceDefinition"
    metadata: meta_v1.ObjectMeta = msgspec.field(default_factory=meta_v1.ObjectMeta)
    spec: Spec = Spec()
    status: Status = Status()


def resource_of_definition(definition: Definition) -> Resource | None:
    """None for one that is not served."""
    conditions = definition.status.conditions or ()
    established = any(each.type == "Established" and each.status == "True" for each in conditions)
    versions = [each.name for each in definition.spec.versions if each.served]
    if not established or not versions:
        return None
    names = definition.status.accepted_names
    return Resource(
        f"{definition.spec.group}/{max(versions, key=preference)}",
        names.kind,
        names.plural,
        names.singular,
        namespaced=definition.spec.scope == "Namespaced",
    )


class CustomKinds:
    def __init__(self, context: ControllerContext) -> None:
        self._kinds: dict[str, type[Object]] = {}
        self._served: dict[tuple[str, str], type[Object]] = {}
        self._came: list[Follower] = []
        self._went: list[Follower] = []
        self.definitions = context.informers.informer(Definition)
        self.definitions.add_handler(self._on_add, self._on_update, self._on_delete)

    def follow(self, came: Follower, went: Follower) -> None:
        """Who comes late is told of all that are there."""
        self._came.append(came)
        self._went.append(went)
        for kind in self._kinds.values():
            came(kind)

    def all(self) -> list[type[Object]]:
        """One class for each kind; `resource` of it says how it is named."""
        return list(self._kinds.values())

    def of_kind(self, api_version: str, kind: str) -> type[Object] | None:
        """That kind, in whichever of its versions it was asked for."""
        return self._served.get((api_version.rpartition("/")[0], kind))

    def _on_add(self, definition: Definition, cause: str) -> None:
        self._take(definition)

    def _on_update(self, old: Definition, new: Definition, cause: str) -> None:
        self._take(new)

    def _on_delete(self, definition: Definition, cause: str) -> None:
        self._replace(definition.key.name, None)

    def _take(self, definition: Definition) -> None:
        resource = resource_of_definition(definition)
        self._replace(definition.key.name, metadata_class(resource) if resource else None)

    def _replace(self, name: str, new: type[Object] | None) -> None:
        old = self._kinds.get(name)
        if old is new:
            return
        if old is not None:
            del self._kinds[name]
            self._served.pop((old.api_version.rpartition("/")[0], old.kind), None)
            for went in self._went:
                went(old)
        if new is not None:
            self._kinds[name] = new
            self._served[new.api_version.rpartition("/")[0], new.kind] = new
            for came in self._came:
                came(new)
