"""FlowSchemas and their priority levels: made where they are missing, and told when one names what is none.

Upstream: the producer and the consumer of API Priority and Fairness' configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import orjson

from services.api.kinds import Resource, resource_named
from services.apiserver.registry import applying
from services.apiserver.registry.bootstrap import until_done
from services.apiserver.registry.keeper import Keeper, make_absent
from services.apiserver.registry.registry import Registry
from services.apiserver.registry.request import Target, WriteOptions
from services.apiserver.rules.flow_control import bootstrap_objects
from services.apiserver.storage.entries import Entry
from services.machinery.clock import Clock, rfc3339
from services.process.logging import Logger

Json = dict[str, Any]

Configure = Callable[[list[Json], list[Json]], None]

_ALL = ""  # No object is called so: what concerns all of them together.
GROUP = "flowcontrol.apiserver.k8s.io"
PRODUCER = "api-priority-and-fairness-config-producer-v1"
CONSUMER = WriteOptions(field_manager="api-priority-and-fairness-config-consumer-v1", force=True)


def _resources() -> Any:
    return [resource_named(GROUP, "v1", name) for name in ("flowschemas", "prioritylevelconfigurations")]


class FlowSchemas:
    def __init__(self, registry: Registry, clock: Clock, log: Logger, configure: Configure) -> None:
        """`configure` is told all schemas and levels whenever some of them have changed."""
        self._registry, self._clock, self._log, self._configure = registry, clock, log, configure
        self._schemas, self._levels = _resources()
        sources = ((self._schemas, _schema_and_all), (self._levels, self._of_level))
        self._keeper = Keeper(registry, clock, log, "a FlowSchema", sources, self._reconcile)

    async def make_missing(self) -> None:
        """Those that every cluster has. ApiError."""
        bodies = bootstrap_objects()
        for resource in (self._levels, self._schemas):
            mine = [body for body in bodies if body["kind"] == resource.kind]
            await make_absent(self._registry, resource, mine, PRODUCER, self._log)

    async def run(self) -> None:
        """Until cancelled."""
        await until_done(
            self.make_missing, self._clock, self._log, "make what every cluster says of fairness"
        )
        await self._keeper.run()

    def _of_level(self, level: Entry) -> Iterable[str]:
        yield _ALL
        for entry in list(self._registry.store(self._schemas).cache.entries.values()):
            if _level_of(orjson.loads(entry.value)) == level.attributes.name:
                yield entry.attributes.name

    def _every(self, resource: Resource) -> list[Json]:
        entries = list(self._registry.store(resource).cache.entries.values())
        return [orjson.loads(entry.value) for entry in entries]

    async def _reconcile(self, name: str) -> float:
        if name == _ALL:
            self._configure(self._every(self._schemas), self._every(self._levels))
            return 0
        entry = self._registry.store(self._schemas).find("", name)
        if entry is None:
            return 0
        schema: Json = orjson.loads(entry.value)
        level = _level_of(schema)
        wanted = dangling(level, self._registry.store(self._levels).find("", level) is not None)
        held: Json = next(
            (each for each in schema["status"].get("conditions") or () if each["type"] == "Dangling"), {}
        )
        if any(held.get(field) != value for field, value in wanted.items()):
            moved = held.get("status") != wanted["status"]
            since = rfc3339(self._clock.now()) if moved else held.get("lastTransitionTime")
            body = {
                **{field: schema[field] for field in ("apiVersion", "kind")},
                "metadata": {"name": name},
                "status": {"conditions": [{**wanted, "lastTransitionTime": since}]},
            }
            target, store = Target(self._schemas, "", name, "status"), self._registry.store(self._schemas)
            await applying.apply(store, store.parts["status"], target, orjson.dumps(body), CONSUMER)
        return 0


def _schema_and_all(entry: Entry) -> Iterable[str]:
    return (_ALL, entry.attributes.name)


def _level_of(schema: Json) -> str:
    return str(schema["spec"].get("priorityLevelConfiguration", {}).get("name", ""))


def dangling(level: str, exists: bool) -> Json:
    """Upstream's condition, but for its time."""
    subject = f'This FlowSchema references the PriorityLevelConfiguration object named "{level}"'
    if exists:
        return {
            "type": "Dangling",
            "status": "False",
            "reason": "Found",
            "message": f"{subject} and it exists",
        }
    message = f"{subject} but there is no such object"
    return {"type": "Dangling", "status": "True", "reason": "NotFound", "message": message}
