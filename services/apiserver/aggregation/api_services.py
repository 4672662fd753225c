"""Keeps the APIServices: makes those of what is served here, and says of each whether it is available.

What somebody else registered is looked at when its Service changes, and asked itself every half minute.
Upstream: the controllers `autoregister`, `crd-autoregistration` and `remote-available`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

import orjson

from services.api.core_v1 import Service
from services.api.discovery_v1 import EndpointSlice
from services.api.kinds import MEASURED, SERVED, resource_named, resource_of
from services.apiserver.aggregation import local
from services.apiserver.aggregation.availability import PASSED, verdict
from services.apiserver.aggregation.elsewhere import Told
from services.apiserver.registry.bootstrap import until_done
from services.apiserver.registry.keeper import Keeper, make_absent, own_name
from services.apiserver.registry.registry import Registry
from services.apiserver.registry.request import Target, WriteOptions
from services.apiserver.storage.entries import Entry, Selection
from services.machinery.api_versions import preference
from services.machinery.clock import Clock, rfc3339
from services.process.logging import Logger

Json = dict[str, Any]
# Asks a Service for its group: what it serves, or why that is not known.
Ask = Callable[[Json], Awaitable[Told | str]]

MANAGER = "kube-apiserver"
OPTIONS = WriteOptions(field_manager=MANAGER)
RECHECK_SECONDS = 30.0
SERVICE_NAME = "kubernetes.io/service-name"
# What nobody else can serve instead, not even who brings metrics.k8s.io along.
BUILT_IN = frozenset((resource.group, resource.version) for resource in SERVED + MEASURED)


class ApiServices:
    def __init__(self, registry: Registry, clock: Clock, log: Logger, ask: Ask) -> None:
        self._registry, self._clock, self._log, self._ask = registry, clock, log, ask
        found = resource_named("apiregistration.k8s.io", "v1", "apiservices")
        definitions = resource_named("apiextensions.k8s.io", "v1", "customresourcedefinitions")
        assert found is not None
        assert definitions is not None
        self._resource, self._store, self._definitions = found, registry.store(found), definitions
        self._remote: dict[str, Json] = {}  # the specs of what is served elsewhere
        self._said: dict[str, Told] = {}  # what of it answers, and what that serves
        self._services, self._slices = resource_of(Service), resource_of(EndpointSlice)
        sources = (
            (found, own_name),
            (definitions, _of_definition),
            (self._services, self._of_service),
            (self._slices, self._of_slice),
        )
        self._keeper = Keeper(registry, clock, log, "an APIService", sources, self._reconcile)

    async def make_missing(self) -> None:
        """Those of what is built in. ApiError."""
        bodies = local.built_in_services(SERVED).values()
        await make_absent(self._registry, self._resource, bodies, MANAGER, self._log)

    async def run(self) -> None:
        """Until cancelled."""
        await until_done(self.make_missing, self._clock, self._log, "register what is served here")
        await self._keeper.run()

    def remote(self, group: str, version: str = "") -> list[Json]:
        """The specs of those of a group that are not served here, the version to prefer first."""
        found = [spec for spec in self._remote.values() if _is_of(spec, group, version)]
        return sorted(found, key=_rank, reverse=True)

    def remote_groups(self) -> list[list[Json]]:
        """Of each group that is served elsewhere alone, the specs."""
        here = {resource.group for resource in self._registry.catalog.served}
        names = {spec.get("group", "") for spec in self._remote.values()} - here
        return [self.remote(name) for name in sorted(names)]

    def available(self) -> list[Json]:
        """The specs of those that answer; of groups, the one that clients should prefer first."""
        found = [self._remote[name] for name in self._said]
        return sorted(
            found, key=lambda spec: (-spec.get("groupPriorityMinimum", 0), spec["group"], spec["version"])
        )

    def described(self) -> dict[str, str]:
        """Where documents of those lie, by OpenAPI's path."""
        return {path: url for told in self._said.values() for path, url in told.schemas.items()}

    def describing(self, path: str) -> Json | None:
        """The spec of the one that has that document."""
        owners = (name for name, told in self._said.items() if path in told.schemas)
        name = next(owners, None)
        return self._remote[name] if name is not None else None

    def said_by(self, group: str) -> dict[str, Told]:
        """By version, what a group's Services say that they serve."""
        specs = self.remote(group)
        named = {spec["version"]: f"{spec['version']}.{group}" for spec in specs}
        return {version: self._said[name] for version, name in named.items() if name in self._said}

    def is_available(self, group: str, version: str) -> bool:
        entry = self._store.find("", f"{version}.{group}")
        conditions = orjson.loads(entry.value)["status"].get("conditions") or () if entry else ()
        return any(each.get("type") == "Available" and each.get("status") == "True" for each in conditions)

    def _defining(self, group: str) -> Iterator[Json]:
        """The CustomResourceDefinitions of a group. They may be many and long: only its own are read."""
        for entry in list(self._registry.store(self._definitions).cache.entries.values()):
            if entry.attributes.name.partition(".")[2] == group:
                yield orjson.loads(entry.value)

    def _of_service(self, entry: Entry) -> Iterable[str]:
        return self._that_name(entry.attributes.namespace, entry.attributes.name)

    def _of_slice(self, entry: Entry) -> Iterable[str]:
        return self._that_name(entry.attributes.namespace, entry.attributes.labels.get(SERVICE_NAME, ""))

    def _that_name(self, namespace: str, name: str) -> Iterator[str]:
        for found, spec in list(self._remote.items()):
            if (spec["service"].get("namespace"), spec["service"].get("name")) == (namespace, name):
                yield found

    # -- one of them -----------------------------------------------------------------------------

    async def _reconcile(self, name: str) -> float:
        entry = self._store.find("", name)
        wanted = local.defined_service(name, self._defining(name.partition(".")[2]))
        if entry is None:
            self._forget(name)
            if wanted is not None:
                await make_absent(self._registry, self._resource, [wanted], MANAGER, self._log)
            return 0
        held: Json = orjson.loads(entry.value)
        if local.managed(held) == local.ALWAYS and wanted is None:
            options = orjson.dumps({"preconditions": {"uid": held["metadata"]["uid"]}})
            await self._registry.delete(Target(self._resource, "", name), options)
            return 0
        return await self._judge(held)

    def _forget(self, name: str) -> None:
        self._remote.pop(name, None)
        self._said.pop(name, None)

    async def _judge(self, held: Json) -> float:
        name, reference = held["metadata"]["name"], held["spec"].get("service")
        is_ours = (held["spec"].get("group", ""), held["spec"]["version"]) in BUILT_IN
        if reference is None or is_ours:
            self._forget(name)
            if is_ours or not held["status"].get("conditions"):
                await self._say(held, "True", "Local", "Local APIServices are always available")
            return 0
        self._remote[name] = held["spec"]
        service = self._registry.lookup(self._services, reference["namespace"], reference["name"])
        found = verdict(reference, service, self._slices_of(reference))
        answer = await self._ask(held["spec"]) if found == PASSED else ""
        if isinstance(answer, Told):
            self._said[name] = answer
        else:
            self._said.pop(name, None)
            if found == PASSED:
                found = ("False", "FailedDiscoveryCheck", answer)
        await self._say(held, *found)
        return RECHECK_SECONDS

    def _slices_of(self, reference: Json) -> Iterator[Json]:
        cache = self._registry.store(self._slices).cache
        for entry in cache.select(Selection(reference["namespace"])):
            if entry.attributes.labels.get(SERVICE_NAME) == reference["name"]:
                yield orjson.loads(entry.value)

    async def _say(self, held: Json, status: str, reason: str, message: str) -> None:
        conditions = held["status"].get("conditions") or []
        before: Json = next((each for each in conditions if each.get("type") == "Available"), {})
        said = {"status": status, "reason": reason, "message": message}
        if all(before.get(field) == value for field, value in said.items()):
            return
        moved = before.get("status") != status
        since = rfc3339(self._clock.now()) if moved else before.get("lastTransitionTime")
        condition = {"type": "Available", "lastTransitionTime": since, **said}
        others = [each for each in conditions if each is not before]
        body = {**held, "status": {"conditions": [*others, condition]}}
        target = Target(self._resource, "", held["metadata"]["name"], "status")
        await self._registry.update(target, orjson.dumps(body), OPTIONS)


def _rank(spec: Json) -> tuple[int, tuple[int, int, int, str]]:
    return spec.get("versionPriority", 0), preference(spec.get("version", ""))


def _is_of(spec: Json, group: str, version: str) -> bool:
    return spec.get("group", "") == group and version in ("", spec.get("version"))


def _of_definition(entry: Entry) -> Iterable[str]:
    spec = orjson.loads(entry.value)["spec"]
    return [f"{each.get('name', '')}.{spec.get('group', '')}" for each in spec.get("versions") or ()]
