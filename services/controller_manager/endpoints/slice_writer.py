"""Carries out a plan of slices, and knows which of its own writes the cache does not show yet.

A reconcile that started from a cache without our last write would make the same slice a second time. What
never shows up (it was deleted at once) expires.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace

from services.api.discovery_v1 import EndpointSlice
from services.api.errors import ApiError, is_not_found
from services.api.object import ObjectKey
from services.client.client import Client
from services.client.store import Store
from services.controller_manager.endpoints import triggers
from services.controller_manager.endpoints.slices import Plan
from services.machinery.clock import Clock

EXPIRES_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class _Written:
    revision: int
    at_seconds: float


class SliceWriter:
    def __init__(self, client: Client, store: Store[EndpointSlice], clock: Clock) -> None:
        self._client, self._store, self._clock = client, store, clock
        self._written: dict[ObjectKey, dict[ObjectKey, _Written]] = {}

    def settled(self, owner: ObjectKey) -> bool:
        """Whether the cache shows every slice that was written for this owner."""
        waiting = self._written.get(owner)
        if not waiting:
            return True
        now = self._clock.monotonic()
        for key, written in list(waiting.items()):
            cached = self._store.get(key)
            seen = cached is not None and int(cached.metadata.resource_version or 0) >= written.revision
            if seen or now - written.at_seconds > EXPIRES_SECONDS:
                del waiting[key]
        return not waiting

    def gone(self, slice_: EndpointSlice, owner: ObjectKey) -> None:
        """Seen to be deleted: it will not show up any more."""
        self._written.get(owner, {}).pop(slice_.key, None)

    def forget(self, owner: ObjectKey) -> None:
        self._written.pop(owner, None)

    async def carry_out(self, owner: ObjectKey, plan: Plan, finish: Callable[[], dict[str, str]]) -> None:
        """`finish` gives the annotations to add to what is written. Errors of the API rise."""
        for each in plan.create:
            self._remember(owner, await self._client.create(_with(each, finish())))
        for each in plan.update:
            self._remember(owner, await self._client.update(_with(each, finish())))
        for each in plan.delete:
            try:
                await self._client.delete(
                    EndpointSlice, each.key.name, each.key.namespace, uid=each.metadata.uid or ""
                )
            except ApiError as error:
                if not is_not_found(error):
                    raise

    def _remember(self, owner: ObjectKey, slice_: EndpointSlice) -> None:
        revision = int(slice_.metadata.resource_version or 0)
        self._written.setdefault(owner, {})[slice_.key] = _Written(revision, self._clock.monotonic())


def _with(slice_: EndpointSlice, annotations: dict[str, str]) -> EndpointSlice:
    kept = triggers.annotated(slice_.metadata.annotations, "")
    return replace(slice_, metadata=replace(slice_.metadata, annotations={**kept, **annotations}))
