"""Events: what components tell the user about an object, in `kubectl describe`'s last section.

`event` only puts it on a bounded queue and never waits; `run` writes, and when it is stopped, writes what
is left, for a moment. What is written is the correlator's to decide. A refused event is dropped
with a line in the log: events are a courtesy, nothing may depend on them. Upstream:
`client-go/tools/record`, and `tools/events` for those with an `action` (the scheduler's).
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import Any, NamedTuple

from msgspec.structs import replace

from services.api.core_v1 import Event, EventSource, ObjectReference
from services.api.errors import ApiError, is_already_exists, is_not_found
from services.api.meta_v1 import ObjectMeta
from services.api.object import Object
from services.client.client import Client
from services.client.event_correlator import Correlator, Occurrence, Verdict
from services.client.log import Logger
from services.client.transport import PatchType, Unavailable
from services.machinery import trace
from services.machinery.clock import Clock, rfc3339, rfc3339_micro

QUEUE_MAX = 10_000  # At the bound new events are dropped, and their number logged.
BATCH_MAX = 128  # Written at the same time.
TRIES_MAX = 12
RETRY_SECONDS = 5.0
LAST_SECONDS = 1.0  # How long a stop may take for the events that are left.


class _Queued(NamedTuple):
    occurrence: Occurrence
    cause: str


class _Sink:
    """The part that all recorders of a process share."""

    def __init__(self, client: Client, clock: Clock, log: Logger) -> None:
        self.client, self.clock, self.log = client, clock, log
        self.queue: deque[_Queued] = deque()
        self.filled = asyncio.Event()
        self.stopping = False
        self.dropped = 0
        self.correlator = Correlator()
        self.last_nanos = 0

    def put(self, queued: _Queued) -> None:
        if len(self.queue) >= QUEUE_MAX:
            self.dropped += 1
            return
        self.queue.append(queued)
        self.filled.set()

    def event_name(self, involved_name: str) -> str:
        """Named by the moment; two of the same moment get the next nanosecond."""
        self.last_nanos = max(self.last_nanos + 1, int(self.clock.now().timestamp() * 1e9))
        return f"{involved_name}.{self.last_nanos:x}"


class EventRecorder:
    """Speaks for one component; `named` gives one that shares queue, memory and `run`."""

    def __init__(
        self,
        client: Client,
        clock: Clock,
        component: str,
        host: str = "",
        log: Logger | None = None,
        *,
        _sink: _Sink | None = None,
    ) -> None:
        self._sink = _sink or _Sink(client, clock, log or client.log)
        self._component, self._host = component, host

    def named(self, component: str, host: str = "") -> EventRecorder:
        """The same recorder under another name: `replicaset-controller`, a hollow node's `kubelet`."""
        sink = self._sink
        return EventRecorder(sink.client, sink.clock, component, host, sink.log, _sink=sink)

    def event(
        self,
        obj: Object | ObjectReference,
        type: str,
        reason: str,
        message: str,
        *,
        action: str = "",
        field_path: str = "",
    ) -> None:
        """Returns at once. `type` is Normal or Warning; `field_path` names a part: `spec.containers{app}`."""
        occurrence = Occurrence(
            _involved(obj, field_path), type, reason, message, self._component, self._host, action
        )
        self._sink.put(_Queued(occurrence, trace.current()))

    async def run(self) -> None:
        """Writes until cancelled, and then what is left."""
        sink = self._sink
        sink.stopping = False
        writer = asyncio.ensure_future(self._write_all())
        try:
            await asyncio.shield(writer)
        except asyncio.CancelledError:
            sink.stopping = True
            sink.filled.set()
            with suppress(TimeoutError):
                async with sink.clock.timeout(LAST_SECONDS):
                    await asyncio.shield(writer)
            raise
        finally:
            writer.cancel()
            await asyncio.wait((writer,))

    async def _write_all(self) -> None:
        sink = self._sink
        while sink.queue or not sink.stopping:
            await sink.filled.wait()
            batch = [sink.queue.popleft() for _ in range(min(BATCH_MAX, len(sink.queue)))]
            if not sink.queue and not sink.stopping:
                sink.filled.clear()
            await self._write_batch(batch)
            if sink.dropped:
                sink.log.warning("Dropped events: too many at once", count=sink.dropped)
                sink.dropped = 0

    async def _write_batch(self, batch: list[_Queued]) -> None:
        """What concerns one Event stays in order; different ones are written together."""
        sink, clock = self._sink, self._sink.clock
        chains: dict[str, list[tuple[_Queued, Verdict]]] = {}
        for queued in batch:
            name = sink.event_name(dict(queued.occurrence.involved).get("name", ""))
            verdict = sink.correlator.judge(queued.occurrence, clock.monotonic(), clock.now(), name)
            if verdict is not None:
                chains.setdefault(verdict.known.name, []).append((queued, verdict))
        async with asyncio.TaskGroup() as group:
            for chain in chains.values():
                group.create_task(self._write_chain(chain))

    async def _write_chain(self, chain: list[tuple[_Queued, Verdict]]) -> None:
        for queued, verdict in chain:
            with trace.scope(queued.cause):
                await self._write(queued.occurrence, verdict)

    async def _write(self, occurrence: Occurrence, verdict: Verdict) -> None:
        for _ in range(TRIES_MAX):
            try:
                if verdict.times > 1:
                    await self._patch(occurrence, verdict)
                else:
                    await self._create(occurrence, verdict)
                return
            except Unavailable:
                await self._sink.clock.sleep(RETRY_SECONDS)
            except ApiError as error:
                if not is_already_exists(error):
                    self._sink.log.debug(
                        "The server refused an event", reason=occurrence.reason, why=error.message
                    )
                return
        self._sink.log.warning("Could not write an event", reason=occurrence.reason)

    async def _create(self, occurrence: Occurrence, verdict: Verdict) -> None:
        known, now = verdict.known, self._sink.clock.now()
        involved = dict(occurrence.involved)
        event = Event(
            metadata=ObjectMeta(name=known.name, namespace=involved.get("namespace") or "default"),
            involved_object=_reference(involved),
            reason=occurrence.reason,
            message=verdict.message,
            type=occurrence.type,
            reporting_component=occurrence.component,
        )
        if occurrence.action:
            event = replace(
                event,
                action=occurrence.action,
                event_time=rfc3339_micro(now),
                reporting_instance=f"{occurrence.component}-{occurrence.host}".rstrip("-"),
            )
        else:
            event = replace(
                event,
                source=EventSource(component=occurrence.component, host=occurrence.host or None),
                reporting_instance=occurrence.host,
                count=verdict.times,
                first_timestamp=rfc3339(known.first_seen),
                last_timestamp=rfc3339(now),
            )
        await self._sink.client.create(event)

    async def _patch(self, occurrence: Occurrence, verdict: Verdict) -> None:
        now = self._sink.clock.now()
        if occurrence.action:
            patch: dict[str, Any] = {
                "series": {"count": verdict.times, "lastObservedTime": rfc3339_micro(now)}
            }
        else:
            patch = {"count": verdict.times, "lastTimestamp": rfc3339(now), "message": verdict.message}
        namespace = dict(occurrence.involved).get("namespace") or "default"
        try:
            await self._sink.client.patch(
                Event, verdict.known.name, namespace, patch, patch_type=PatchType.STRATEGIC
            )
        except ApiError as error:
            if not is_not_found(error):
                raise
            await self._create(occurrence, verdict)  # It expired meanwhile: write it anew.


def _involved(obj: Object | ObjectReference, field_path: str) -> tuple[tuple[str, str], ...]:
    if isinstance(obj, ObjectReference):
        fields = {
            "kind": obj.kind, "namespace": obj.namespace, "name": obj.name, "uid": obj.uid,
            "apiVersion": obj.api_version, "resourceVersion": obj.resource_version,
            "fieldPath": field_path or obj.field_path,
        }  # fmt: skip
    else:
        metadata = obj.metadata
        fields = {
            "kind": obj.kind, "namespace": metadata.namespace, "name": metadata.name, "uid": metadata.uid,
            "apiVersion": obj.api_version, "resourceVersion": metadata.resource_version,
            "fieldPath": field_path,
        }  # fmt: skip
    return tuple((key, value) for key, value in fields.items() if value)


def _reference(involved: dict[str, str]) -> ObjectReference:
    return ObjectReference(
        kind=involved.get("kind"),
        namespace=involved.get("namespace"),
        name=involved.get("name"),
        uid=involved.get("uid"),
        api_version=involved.get("apiVersion"),
        resource_version=involved.get("resourceVersion"),
        field_path=involved.get("fieldPath"),
    )
