"""Controllers: handlers that only enqueue keys, workers that reconcile objects from the cache.

    class ReplicaSetController(Controller[ReplicaSet]):
        name = "replicaset"
        watches = (For(ReplicaSet), Owns(Pod))
        async def reconcile(self, replicaset: ReplicaSet) -> None: ...

Level driven: `reconcile` gets the object as the cache shows it and never learns which event woke
it. It runs under the cause of that event. What it raises ends in one place: logged once, and the
key comes back with a growing delay. Upstream: the pattern of `sample-controller`; kube-rs's names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from services.api.core_v1 import Pod
from services.api.errors import ApiError, is_already_exists, is_conflict, is_not_found
from services.api.kinds import resource_of
from services.api.meta_v1 import LabelSelector, OwnerReference
from services.api.object import Object, ObjectKey
from services.client.client import Client
from services.client.informer import Informer, InformerFactory
from services.client.log import Logger
from services.client.pod_control import PodControl, selector_of
from services.client.store import Store
from services.client.transport import Unavailable
from services.client.workqueue import ShutDown, WorkQueue
from services.machinery import trace
from services.machinery.clock import Clock
from services.machinery.owners import controller_of

if TYPE_CHECKING:
    from services.client.recorder import EventRecorder

QUIET_RETRIES = 8  # those of about the first second, 5 ms to 640 ms apart
T = TypeVar("T", bound=Object)


class Stores:
    """The caches of the process: `stores[Pod]` is the Store of all Pods."""

    def __init__(self, informers: InformerFactory) -> None:
        self._informers = informers

    def __getitem__(self, kind: type[T]) -> Store[T]:
        return self._informers.store(kind)


@dataclass(frozen=True)
class For:
    """The kind that is reconciled. `when(old, new)` may hold events back; None stands for absent."""

    kind: type[Object]
    when: Callable[[Any, Any], bool] | None = None


@dataclass(frozen=True)
class Owns:
    """A kind whose objects the reconciled ones control: an event there wakes the controller.

    With `adopts`, one without a controller wakes every owner whose selector matches its labels.
    """

    kind: type[Object]
    adopts: bool = True
    when: Callable[[Any, Any], bool] | None = None


@dataclass(frozen=True)
class Watches:
    """Any other kind. `map(object, stores)` says whom an event there concerns, for old and new state."""

    kind: type[Object]
    map: Callable[[Any, Stores], Iterable[ObjectKey]]
    when: Callable[[Any, Any], bool] | None = None


Watch = For | Owns | Watches


@dataclass(frozen=True)
class ControllerContext:
    """What every controller of a process shares."""

    client: Client
    informers: InformerFactory
    recorder: EventRecorder
    clock: Clock
    random: Random
    log: Logger


class Controller(Generic[T]):
    """Subclasses give `name`, `watches` and `reconcile`; the first `For` names T."""

    name: ClassVar[str]
    watches: ClassVar[tuple[Watch, ...]]
    workers: ClassVar[int] = 5
    event_source: ClassVar[str] = ""  # who its Events say they come from; empty: `<name>-controller`

    def __init__(self, context: ControllerContext) -> None:
        self.context = context
        self.client, self.clock, self.random = context.client, context.clock, context.random
        self.recorder = context.recorder.named(self.event_source or f"{self.name}-controller")
        self.log = context.log
        self.stores = Stores(context.informers)
        self.queue: WorkQueue[ObjectKey] = WorkQueue(context.clock)
        self.kind: type[T] = _for_kind(self.watches)
        self._informers: list[Informer[Any]] = [
            context.informers.informer(watch.kind) for watch in self.watches
        ]
        for watch, informer in zip(self.watches, self._informers, strict=True):
            self._subscribe(watch, informer)

    def store(self, kind: type[Any]) -> Store[Any]:
        """The cache of all objects of that kind."""
        return self.stores[kind]

    @cached_property
    def pods(self) -> PodControl:
        """Creates, claims and deletes the Pods of an owner."""
        return PodControl(self.client, self.stores[Pod], self.kind, self.recorder, self.clock, self.log)

    async def reconcile(self, obj: T) -> None:
        """Brings the world nearer to what `obj` asks for."""
        raise NotImplementedError

    async def reconcile_deleted(self, key: ObjectKey) -> None:
        """For a key whose object is gone from the cache."""

    async def start(self) -> None:
        """Called once, when the caches are filled and before the workers start."""

    def enqueue(self, key: ObjectKey, cause: str = "") -> None:
        self.queue.add(key, cause)

    def requeue_after(self, key: ObjectKey, seconds: float) -> None:
        """Reconciles the key again then, under the cause of now."""
        self.queue.add_after(key, seconds, trace.current())

    async def run(self) -> None:
        """Until cancelled. Waits for the caches first."""
        for informer in self._informers:
            await informer.wait_synced()
        await self.start()
        async with asyncio.TaskGroup() as group:
            for number in range(self.workers):
                group.create_task(self._work(), name=f"{self.name} worker {number}")

    async def _work(self) -> None:
        while True:
            try:
                key, cause = await self.queue.get()
            except ShutDown:
                return
            try:
                with trace.scope(cause):
                    await self._reconcile_once(key, cause)
            finally:
                self.queue.done(key)

    async def _reconcile_once(self, key: ObjectKey, cause: str) -> None:
        obj = self.stores[self.kind].get(key)
        try:
            if obj is None:
                await self.reconcile_deleted(key)
            else:
                await self.reconcile(obj)
        except Exception as error:  # The one loop that errors rise to.
            self._complain(key, error)
            self.queue.add_rate_limited(key, cause)
        else:
            self.queue.forget(key)

    def _complain(self, key: ObjectKey, error: Exception) -> None:
        names = {
            "controller": self.name, "kind": self.kind.kind, "namespace": key.namespace, "name": key.name,
        }  # fmt: skip
        errors = _leaves(error)
        if all(_is_passing(each) or self._is_gone(each, key) for each in errors):
            self.log.debug("Reconcile will be tried again", **names, reason=str(errors[0]))
        elif all(isinstance(each, ApiError) for each in errors):
            reason = "; ".join(dict.fromkeys(str(each) for each in errors))
            # What is refused comes back within milliseconds at first, and says the same.
            say = self.log.debug if 0 < self.queue.retries(key) < QUIET_RETRIES else self.log.warning
            say("Could not reconcile; will try again", **names, reason=reason)
        else:
            self.log.error("Reconcile failed; will try again", **names, exc_info=error)

    def _is_gone(self, error: BaseException, key: ObjectKey) -> bool:
        """Whether the object itself went meanwhile: the cache will say so in a moment."""
        if not is_not_found(error):
            return False
        assert isinstance(error, ApiError)
        details = error.status.get("details") or {}
        return (details.get("kind"), details.get("name")) == (resource_of(self.kind).plural, key.name)

    def _subscribe(self, watch: Watch, informer: Informer[Any]) -> None:
        match watch:
            case For(when=when):
                keys: _Keys = _own_key
            case Owns(adopts=adopts, when=when):
                keys = _OwnerKeys(self, adopts)
                if watch.kind is Pod:
                    informer.add_handler(
                        on_add=lambda pod, cause: self.pods.observe_added(pod),
                        on_update=lambda old, new, cause: self.pods.observe_updated(old, new),
                        on_delete=lambda pod, cause: self.pods.observe_deleted(pod),
                    )
            case Watches(map=mapping, when=when):
                keys = _MappedKeys(self.stores, mapping)
        enqueue = _Enqueue(self.queue, keys, when)
        informer.add_handler(enqueue.on_add, enqueue.on_update, enqueue.on_delete)


_Keys = Callable[[Any, Any], Iterable[ObjectKey]]  # (old, new) → whom it concerns


def _is_passing(error: BaseException) -> bool:
    """Whether a cache was behind, or the server away: the next attempt knows more."""
    return is_conflict(error) or is_already_exists(error) or isinstance(error, Unavailable)


def _own_key(old: Any, new: Any) -> tuple[ObjectKey]:
    return ((old if new is None else new).key,)


class _Enqueue:
    """An informer's handler that adds keys to a queue."""

    def __init__(
        self, queue: WorkQueue[ObjectKey], keys: _Keys, when: Callable[[Any, Any], bool] | None
    ) -> None:
        self._queue, self._keys, self._when = queue, keys, when

    def _changed(self, old: Any, new: Any, cause: str) -> None:
        if self._when is None or self._when(old, new):
            for key in self._keys(old, new):
                self._queue.add(key, cause)

    def on_add(self, obj: Any, cause: str) -> None:
        self._changed(None, obj, cause)

    def on_update(self, old: Any, new: Any, cause: str) -> None:
        self._changed(old, new, cause)

    def on_delete(self, obj: Any, cause: str) -> None:
        self._changed(obj, None, cause)


class _OwnerKeys:
    """The controllers of the old and new state; for an orphan, those that would adopt it."""

    def __init__(self, controller: Controller[Any], adopts: bool) -> None:
        self._controller, self._adopts = controller, adopts

    def __call__(self, old: Any, new: Any) -> Iterable[ObjectKey]:
        keys: dict[ObjectKey, None] = {}
        before = controller_of(old) if old is not None else None
        after = controller_of(new) if new is not None else None
        for reference, obj in ((before, old), (after, new)):
            if reference is not None and (owner := self._owner(reference, obj)):
                keys[owner.key] = None
        if self._adopts and new is not None and after is None and _may_be_wanted(old, new):
            for owner in self._would_adopt(new):
                keys[owner.key] = None
        return keys

    def _owner(self, reference: OwnerReference, obj: Any) -> Any:
        kind = self._controller.kind
        if reference.kind != kind.kind or reference.api_version != kind.api_version:
            return None
        owner = self._controller.stores[kind].get(ObjectKey(obj.key.namespace, reference.name))
        return owner if owner is not None and owner.metadata.uid == reference.uid else None

    def _would_adopt(self, obj: Any) -> Sequence[Any]:
        owners = self._controller.stores[self._controller.kind].by_index("namespace", obj.key.namespace)
        return [owner for owner in owners if _selects(owner, obj)]


def _may_be_wanted(old: Any, new: Any) -> bool:
    """An orphan that appears, loses its controller or changes its labels."""
    return old is None or controller_of(old) is not None or old.metadata.labels != new.metadata.labels


def _selects(owner: Any, obj: Any) -> bool:
    selector: LabelSelector | dict[str, str] | None = getattr(getattr(owner, "spec", None), "selector", None)
    if not selector:
        return False
    return not selector_of(owner).empty and selector_of(owner).matches(obj.metadata.labels)


class _MappedKeys:
    def __init__(self, stores: Stores, mapping: Callable[[Any, Stores], Iterable[ObjectKey]]) -> None:
        self._stores, self._mapping = stores, mapping

    def __call__(self, old: Any, new: Any) -> Iterable[ObjectKey]:
        keys: dict[ObjectKey, None] = {}
        for obj in (old, new):
            if obj is not None:
                keys |= dict.fromkeys(self._mapping(obj, self._stores))
        return keys


def _for_kind(watches: Sequence[Watch]) -> Any:
    return next(watch.kind for watch in watches if isinstance(watch, For))


def _leaves(error: BaseException) -> list[BaseException]:
    """The errors inside a tree of exception groups."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]


async def run_controllers(
    context: ControllerContext, controllers: Iterable[Callable[[ControllerContext], Controller[Any]]]
) -> None:
    """Runs the informers, the recorder and a tuple of controllers until cancelled, or until one fails."""
    made = [controller(context) for controller in controllers]
    async with asyncio.TaskGroup() as group:
        group.create_task(context.recorder.run(), name="recorder")
        group.create_task(context.informers.run(), name="informers")
        for controller in made:
            group.create_task(controller.run(), name=controller.name)
