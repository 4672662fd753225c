"""A definition made into what the registry serves: for each served version its rules, schema and conversion.

All versions share one cache, whose bookkeeping knows the selectable fields of every version.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from services.apiserver.custom.conversion import Call, Converter, CustomVersion, NoConverter, WebhookConverter
from services.apiserver.custom.entries import resources_of
from services.apiserver.custom.resource import CustomResource
from services.apiserver.custom.strategy import CustomStrategy
from services.apiserver.registry.serving import Serving

Json = dict[str, Any]
# Gives, for a webhook's clientConfig and its definition's name, what asks it.
Caller = Callable[[Json, str], Call]


class DescribingStrategy(CustomStrategy):
    """Reads out of a stored object what a selector of any version may ask for."""

    def __init__(self, stored: CustomResource, all_versions: list[CustomResource]) -> None:
        super().__init__(stored)
        self._others = [each.compiled for each in all_versions if each.key != stored.key]

    def selectable_fields(self, obj: Json) -> dict[str, str]:
        found: dict[str, str] = {}
        for other in self._others:
            found |= other.selectable_fields(obj)
        return found | super().selectable_fields(obj)


@dataclass(frozen=True, slots=True)
class Plan:
    """What one definition comes to; `made_of` differs when another one would come to something else."""

    name: str
    uid: str
    made_of: Json
    stored: CustomResource
    describing: DescribingStrategy
    servings: tuple[Serving, ...]
    stored_serving: Serving  # served or not

    @property
    def resources(self) -> tuple[CustomResource, ...]:
        found = (serving.resource for serving in self.servings)
        return tuple(each for each in found if isinstance(each, CustomResource))


def made_of(definition: Json) -> Json:
    """What decides how a definition is served; nothing is created while it terminates."""
    status = definition.get("status") or {}
    terminating = [each["status"] for each in status.get("conditions") or [] if each["type"] == "Terminating"]
    return {
        "spec": definition["spec"],
        "names": status.get("acceptedNames"),
        "uid": definition["metadata"]["uid"],
        "terminating": terminating,
    }


def plan(definition: Json, caller: Caller, random: Random) -> Plan:
    """For a definition whose names are accepted."""
    versions = resources_of(definition)
    served = {each["name"] for each in definition["spec"]["versions"] if each.get("served")}
    stored = next(each for each in versions if not each.stored_as)
    describing = DescribingStrategy(stored, versions)
    converter = _converter(definition, caller, random)
    servings = tuple(
        _serving(each, stored, describing, converter) for each in versions if each.version in served
    )
    metadata = definition["metadata"]
    own = _serving(stored, stored, describing, converter)
    return Plan(metadata["name"], metadata["uid"], made_of(definition), stored, describing, servings, own)


def _serving(
    resource: CustomResource, stored: CustomResource, describing: DescribingStrategy, converter: Converter
) -> Serving:
    parts = {"status": CustomStrategy(resource, "status")} if resource.compiled.has_status else {}
    return Serving(
        resource,
        stored,
        CustomStrategy(resource),
        describing,
        resource.compiled.schema,
        parts,
        CustomVersion(resource, stored, converter),
    )


def _converter(definition: Json, caller: Caller, random: Random) -> Converter:
    conversion = definition["spec"].get("conversion") or {}
    if conversion.get("strategy") != "Webhook":
        return NoConverter()
    webhook, name = conversion["webhook"], definition["metadata"]["name"]
    kind = definition["spec"]["names"]["kind"]
    call = caller(webhook.get("clientConfig") or {}, name)
    return WebhookConverter(kind, webhook.get("conversionReviewVersions") or [], call, random)
