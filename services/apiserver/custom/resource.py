"""An entry of the catalog that a definition stands for; and what a definition says of itself. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from services.api.kinds import Resource, resource_of_kind

if TYPE_CHECKING:
    from services.apiserver.crd.compiled import CompiledVersion

Json = dict[str, Any]

TERMINATING_VERBS = ("delete", "deletecollection", "get", "list", "watch")


@dataclass(frozen=True, slots=True)
class CustomResource(Resource):
    """`digest` stands for all that is not a field here: it changes with the schema."""

    definition: str = ""  # its name
    digest: str = ""
    terminating: bool = False
    deprecation: str = ""
    rules: CompiledVersion | None = field(default=None, repr=False, compare=False)
    lists: str = ""  # the kind of its lists

    @property
    def compiled(self) -> CompiledVersion:
        assert self.rules is not None
        return self.rules

    @property
    def is_custom(self) -> bool:
        return True

    @property
    def key_prefix(self) -> str:
        return f"{self.group}/{self.plural}"

    @property
    def list_kind(self) -> str:
        return self.lists

    @property
    def discovered_verbs(self) -> tuple[str, ...]:
        """Nothing is created any more while the definition goes; finalizers can still be taken away."""
        return TERMINATING_VERBS if self.terminating else self.verbs


def definitions_resource() -> Resource:
    """The entry of CustomResourceDefinitions themselves."""
    found = resource_of_kind("apiextensions.k8s.io/v1", "CustomResourceDefinition")
    assert found is not None
    return found


def condition(definition: Json, kind: str) -> Json | None:
    found = (definition.get("status") or {}).get("conditions") or []
    return next((each for each in found if each["type"] == kind), None)


def is_true(definition: Json, kind: str) -> bool:
    found = condition(definition, kind)
    return found is not None and found["status"] == "True"


def is_served(definition: Json) -> bool:
    """As upstream: from the moment on in which its names are accepted."""
    names = (definition.get("status") or {}).get("acceptedNames") or {}
    accepted = is_true(definition, "NamesAccepted") or is_true(definition, "Established")
    return accepted and all(names.get(each) for each in ("plural", "singular", "kind", "listKind"))
