"""The end of a definition: its instances go first. What is told meanwhile, in upstream's words.

Upstream: apiextensions-apiserver's finalizing controller.
"""

from __future__ import annotations

from typing import Any

from services.api import errors
from services.api.errors import ApiError
from services.apiserver.custom.conditions import Judgement
from services.apiserver.registry import deletion
from services.apiserver.registry.deletion import DEFINITION_FINALIZER as FINALIZER
from services.apiserver.registry.request import Target
from services.apiserver.registry.store import Store
from services.machinery.clock import Clock

Json = dict[str, Any]

# Finalizers of instances are their owners' to take away: nobody tells us when, so we look.
LOOK_AGAIN_SECONDS = 1.0
LONG_SECONDS = 60.0

NEVER_ESTABLISHED: Judgement = (
    "Terminating",
    "False",
    "NeverEstablished",
    "resource was never established",
)
IN_PROGRESS: Judgement = (
    "Terminating",
    "True",
    "InstanceDeletionInProgress",
    "CustomResource deletion is in progress",
)
UNCONFIRMED: Judgement = (
    "Terminating",
    "True",
    "InstanceDeletionCheck",
    "could not confirm zero CustomResources remaining: timed out waiting for the condition",
)
COMPLETED: Judgement = ("Terminating", "False", "InstanceDeletionCompleted", "removed all instances")


def failed(why: str) -> Judgement:
    return ("Terminating", "True", "InstanceDeletionFailed", f"could not issue all deletes: {why}")


def is_due(definition: Json) -> bool:
    metadata = definition["metadata"]
    return bool(metadata.get("deletionTimestamp")) and FINALIZER in (metadata.get("finalizers") or ())


def release(definition: Json) -> None:
    """In place."""
    kept = [each for each in definition["metadata"].get("finalizers") or () if each != FINALIZER]
    if kept:
        definition["metadata"]["finalizers"] = kept
    else:
        definition["metadata"].pop("finalizers", None)


async def delete_all(store: Store) -> int:
    """Deletes what is there; how much is left, because finalizers keep it. ApiError."""
    await _catch_up(store)
    for entry in list(store.cache.entries.values()):
        found = entry.attributes
        try:
            await store.delete(Target(store.resource, found.namespace, found.name), deletion.Options(), False)
        except ApiError as error:
            if not errors.is_not_found(error) and not errors.is_conflict(error):
                raise
    await _catch_up(store)
    return len(store.cache.entries)


async def _catch_up(store: Store) -> None:
    try:
        await store.cache.catch_up()
    except TimeoutError:
        raise errors.unavailable("the instances are not known yet") from None


class Endings:
    """How long each end has taken so far."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began: dict[str, float] = {}

    def begin(self, name: str) -> None:
        self._began.setdefault(name, self._clock.monotonic())

    def is_long(self, name: str) -> bool:
        return self._clock.monotonic() - self._began.get(name, self._clock.monotonic()) >= LONG_SECONDS

    def forget(self, name: str) -> None:
        self._began.pop(name, None)
