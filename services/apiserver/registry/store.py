"""The ONE generic store: how any object of any kind is read, created, changed and deleted.

Upstream: `registry/generic/registry.Store`. What differs from kind to kind is its strategy. Every
change is a compare-and-swap loop over what the cache shows: a refusal that rests on a stale
reading is checked against etcd before it is sent, and a change that changes nothing is not written.
Where the resource is one of several versions of a kind, callers and rules see objects in that version,
etcd and the cache in the one that is stored.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson

from services.api import errors
from services.api.errors import ApiError
from services.apiserver.admission.attributes import GROUP as ADMISSION
from services.apiserver.admission.attributes import Attributes
from services.apiserver.registry import deletion, extending, keys, metadata, refusals, removal
from services.apiserver.registry.allocations import NOTHING, Allocations, Holding
from services.apiserver.registry.caches import Caches, attributes_of
from services.apiserver.registry.context import RequestContext
from services.apiserver.registry.ownership import Ownership
from services.apiserver.registry.request import Target, WriteOptions
from services.apiserver.registry.serving import Serving
from services.apiserver.registry.versions import shown_stored
from services.apiserver.registry.written import Change, Updater, Written, same
from services.apiserver.rules import admission
from services.apiserver.rules.strategy import Decoded, Strategy
from services.apiserver.storage.entries import Entry
from services.apiserver.storage.storage import Storage, Stored
from services.apiserver.strands import Strands
from services.machinery import trace
from services.machinery.clock import Clock
from services.machinery.pod_amounts import Amounts

if TYPE_CHECKING:
    from services.apiserver.admission.step import Admission
    from services.apiserver.registry.quota import Quotas

Json = dict[str, Any]
EVENT_TTL_SECONDS = 3600
EVENTS = ("v1/events", "events.k8s.io/v1/events")
_JUDGES = frozenset(("v1/limitranges", "v1/namespaces", "v1/resourcequotas"))  # admission asks these
SWAPS_MAX = 100  # a swap fails only because another one succeeded; this many in a row is a fault


class Store:
    """All verbs over one resource; subresources bring their own strategy."""

    def __init__(
        self,
        serving: Serving,
        storage: Storage,
        caches: Caches,
        clock: Clock,
        chance: random.Random,
        strands: Strands,
    ) -> None:
        self.resource = resource = serving.resource
        self.strategy, self.parts = serving.strategy, serving.parts
        self.ownership = Ownership(resource, serving.schema)
        self.cache = caches.of(serving.stored)
        self._version, self._stored, self._describing = serving.version, serving.stored, serving.describing
        self._storage, self._caches, self._clock, self._random = storage, caches, clock, chance
        self._strands = strands
        self.allocations: Allocations | None = None
        self.quotas: Quotas | None = None
        self.extension: Admission | None = None  # webhooks and policies
        self._judges = resource.key in _JUDGES or resource.group == ADMISSION
        self._ttl_seconds = EVENT_TTL_SECONDS if resource.key in EVENTS else 0

    def context(self) -> RequestContext:
        return RequestContext(self._caches, self._clock.now(), self._random)

    def key(self, namespace: str, name: str) -> str:
        return keys.key(self._stored, namespace, name)

    def find(self, namespace: str, name: str) -> Entry | None:
        """What the cache shows."""
        return self.cache.get(self.key(namespace, name))

    # -- get -------------------------------------------------------------------------------------

    async def get(self, namespace: str, name: str) -> Stored:
        """The present state, as the version shows it. ApiError 404."""
        return await self.seen(await self._read(self.key(namespace, name), name))

    async def _read(self, key: str, name: str) -> Stored:
        stored = (await self._storage.get(key)).stored
        if stored is None:
            raise errors.not_found(self.resource, name)
        return stored

    async def seen(self, stored: Stored) -> Stored:
        """What is stored, as the version shows it."""
        return stored if self._version is None else await shown_stored(self._version, stored)

    async def kept(self, obj: Json) -> Json:
        """The object in the version that is stored."""
        return obj if self._version is None else await self._version.stored(obj)

    async def version_of(self, kept: Json) -> Json:
        """What is in the version that is stored, in this one."""
        if self._version is None:
            return kept
        shown: Json = orjson.loads((await self._version.shown([orjson.dumps(kept)]))[0])
        return shown

    # -- create ----------------------------------------------------------------------------------

    async def create(self, target: Target, decoded: Decoded, options: WriteOptions) -> Written:
        try:
            written = await self.create_decoded(target, decoded.obj, options)
        except ApiError as error:
            error.warnings[:0] = decoded.warnings
            raise
        written.warnings[:0] = [*decoded.warnings, *self.strategy.warnings(written.obj, None)]
        return written

    async def create_decoded(
        self, target: Target, obj: Json, options: WriteOptions, *, tracked: bool = False
    ) -> Written:
        """The rules of a creation, in upstream's order. ApiError 403, 404, 409, 422."""
        strategy = self.strategy
        metadata.match_target(self.resource, obj, target.namespace, target.name)
        strategy.default(obj)
        if not tracked:
            self.ownership.track(None, obj, options.field_manager, "", self._clock.now())
        ctx = await self._admitted("create", target, obj, None)
        extension = self.extension
        if extension is not None and extension.active:
            about = extending.asked("CREATE", target, obj, None, ctx, options)
            await self._extended(extension, strategy, about, ctx)
        if options.guard is not None:
            options.guard(obj, None)
        metadata.before_create(obj, ctx.now, ctx.random)
        strategy.prepare_create(obj, ctx)
        causes = await self._strands.judge(lambda: strategy.validate_create(obj))
        refusals.raise_if_invalid(self._stored, obj, causes)
        admission.validate("create", self.resource, target.subresource, obj, None, ctx)
        if extension is not None and extension.active:
            await extending.validate(extension, extending.asked("CREATE", target, obj, None, ctx, options))
        if obj["metadata"].get("resourceVersion") and not options.dry_run:
            raise errors.failure(500, "", "resourceVersion should not be set on objects to be created")
        written = await self._insert(self.key(target.namespace, obj["metadata"]["name"]), obj, options)
        written.warnings += ctx.warnings
        return written

    async def _insert(self, key: str, obj: Json, options: WriteOptions) -> Written:
        taken = NOTHING
        if self.quotas is not None and self.quotas.limit(self.resource, obj["metadata"].get("namespace", "")):
            await self._pay(self.quotas, key, obj, options)
        if self.allocations is not None:
            taken = await self.allocations.take(obj, None, dry_run=options.dry_run)
        kept = obj if self._version is None else await self._version.stored(obj)
        value = orjson.dumps(kept)
        if options.dry_run:
            if (await self._storage.get(key)).stored is not None:
                raise refusals.taken(self.resource, obj)
            return self._written(obj, Stored(key, value, 0))
        self._note(key, value, kept)
        outcome = await self._storage.create(key, value, ttl_seconds=self._ttl_seconds)
        if not outcome.done:
            if self.allocations is not None:
                await self.allocations.failed(taken, outcome.current)
            raise refusals.taken(self.resource, obj, outcome.current)
        await self._settled(outcome.revision)
        return self._written(obj, Stored(key, value, outcome.revision))

    async def _settled(self, revision: int) -> None:
        """What later requests are judged by is seen by the very next one."""
        if self._judges:
            with contextlib.suppress(TimeoutError):
                await self.cache.wait_for(revision)

    async def _pay(self, quotas: Quotas, key: str, obj: Json, options: WriteOptions) -> None:
        """What is there already is not charged for again. ApiError 403, 409."""
        if self.cache.get(key) is not None:
            present = (await self._storage.get(key)).stored
            if present is not None:
                raise refusals.taken(self.resource, obj, present)
        await quotas.charge(Target(self.resource), obj, None, dry_run=options.dry_run)

    def _written(self, obj: Json, stored: Stored, *, changed: bool = True, deleted: bool = False) -> Written:
        shown = None if self._version is None else orjson.dumps(obj)
        return Written(obj, stored, changed=changed, deleted=deleted, shown=shown)

    async def _admitted(
        self, verb: admission.Verb, target: Target, obj: Json, old: Json | None
    ) -> RequestContext:
        """Mutating admission, asked again where it may have refused for what a cache did not know yet."""
        ctx = self.context()
        try:
            admission.mutate(verb, self.resource, target.subresource, obj, old, ctx)
        except ApiError:
            if not ctx.missed:
                raise
            await self.catch_up(ctx)
            ctx = self.context()
            admission.mutate(verb, self.resource, target.subresource, obj, old, ctx)
        return ctx

    async def _extended(
        self, extension: Admission, strategy: Strategy, about: Attributes, ctx: RequestContext
    ) -> None:
        """What webhooks and policies make of the object, in place. ApiError."""
        verb: admission.Verb = "create" if about.old is None else "update"

        def again(obj: Json) -> None:
            admission.mutate(verb, self.resource, about.subresource, obj, about.old, ctx)

        await extending.mutate(extension, self.ownership.schema, about, extending.settled(strategy), again)

    async def catch_up(self, ctx: RequestContext) -> None:
        """Waits for the caches that lacked what `ctx` looked up."""
        for resource in ctx.missed:
            with contextlib.suppress(TimeoutError):  # then the refusal rests on what we know
                await self._caches.of(resource).catch_up()

    # -- update ----------------------------------------------------------------------------------

    async def replace(
        self, target: Target, decode: Callable[[], Decoded], options: WriteOptions, strategy: Strategy
    ) -> Written:
        """PUT: the object as given, or one part of it where `strategy` is a subresource's."""
        decoded = decode()
        metadata.match_target(self.resource, decoded.obj, target.namespace, target.name)
        warnings: list[str] = []
        attempts = iter([decoded])  # rules change what they are given: another attempt decodes anew

        async def update(old: Json, stored: Stored, ctx: RequestContext) -> Change:
            new = (next(attempts, None) or decode()).obj
            metadata.match_target(self.resource, new, target.namespace, target.name)
            strategy.default(new)
            change = await self.checked(target, new, old, stored.revision, ctx, strategy, options)
            warnings[:] = [*decoded.warnings, *strategy.warnings(new, old)]
            return change

        try:
            written = await self.update(target, update, options)
        except ApiError as error:
            error.warnings[:0] = decoded.warnings
            absent = errors.is_not_found(error) and strategy.allows_create_on_update
            if not absent or decoded.obj["metadata"].get("resourceVersion", "0") not in ("", "0"):
                raise
            written = await self.create(target, decode(), options)
            written.created = True
            return written
        written.warnings[:0] = warnings
        return written

    async def checked(
        self,
        target: Target,
        new: Json,
        old: Json,
        revision: int,
        ctx: RequestContext,
        strategy: Strategy,
        options: WriteOptions,
        *,
        tracked: bool = False,
    ) -> Change:
        """The rules of an update, in upstream's order; `tracked` where an apply knows its owners already.

        ApiError 403, 409, 422.
        """
        key = self.key(old["metadata"].get("namespace", ""), old["metadata"]["name"])
        refusals.check_version(self.resource, key, new, old, revision, strategy)
        if not tracked:
            self.ownership.track(old, new, options.field_manager, target.subresource, ctx.now)
        admission.mutate("update", self.resource, target.subresource, new, old, ctx)
        extension = self.extension
        extends = extension is not None and extension.active and target.subresource != "scale"
        if extension is not None and extends:
            shown = extending.with_version(old, revision)
            about = extending.asked("UPDATE", target, new, shown, ctx, options)
            await self._extended(extension, strategy, about, ctx)
        if options.guard is not None:
            options.guard(new, old)
        strategy.prepare_update(new, old, ctx)
        causes = await self._strands.judge(lambda: strategy.validate_update(new, old))
        refusals.raise_if_invalid(self._stored, new, causes)
        admission.validate("update", self.resource, target.subresource, new, old, ctx)
        if extension is not None and extends:
            shown = extending.with_version(old, revision)
            await extending.validate(extension, extending.asked("UPDATE", target, new, shown, ctx, options))
        new["metadata"].pop("resourceVersion", None)
        return Change(new, delete=deletion.is_finished(new, old))

    async def update(
        self, target: Target, update: Updater, options: WriteOptions, start: Stored | None = None
    ) -> Written:
        """The compare-and-swap loop. `update` may run several times and must not keep what it was given.

        `start` is what to begin with, for a caller that knows better than the cache.
        """
        key = self.key(target.namespace, target.name)
        current, fresh = (start, True) if start is not None else await self._current(key, target.name)
        certain = False  # whether a refusal would rest on the present, and not on what a cache lacked
        paid: Amounts = {}
        for _ in range(SWAPS_MAX):
            ctx, taken = self.context(), NOTHING
            seen = await self.seen(current)
            try:
                wanted = update(orjson.loads(seen.value), seen, ctx)
                change = wanted if isinstance(wanted, Change) else await wanted
                if self.quotas is not None and self.quotas.grows(target) and not change.delete:
                    old = orjson.loads(seen.value)
                    paid = await self.quotas.charge(
                        target, change.obj, old, dry_run=options.dry_run, paid=paid
                    )
                if self.allocations is not None and not change.delete:
                    old = orjson.loads(current.value)
                    taken = await self.allocations.take(change.obj, old, dry_run=options.dry_run)
            except ApiError:
                if certain:
                    raise
                await self.catch_up(ctx)
                current = await self._read(key, target.name)
                certain = fresh = True
                continue
            kept = change.obj if self._version is None else await self._version.stored(change.obj)
            value = orjson.dumps(kept)
            if not change.delete and same(value, kept, current.value):
                again = current if fresh else await self._read(key, target.name)
                if again.revision == current.revision:
                    unchanged = self._written(change.obj, current, changed=False)
                    unchanged.warnings += ctx.warnings
                    return unchanged
                current, fresh = again, True
                continue
            written, current_or_none = await self._swap(key, change, kept, value, current, options)
            if self.allocations is not None and not options.dry_run:
                await self._settle(self.allocations, written, taken, current, current_or_none)
            if written is not None:
                written.warnings += ctx.warnings
                if not target.subresource and not options.dry_run:
                    await self._settled(written.stored.revision)
                return written
            if current_or_none is None:
                raise errors.not_found(self.resource, target.name)
            current, fresh, certain = current_or_none, True, False
        raise errors.conflict(self.resource, target.name, errors.STALE)

    async def _settle(
        self,
        allocations: Allocations,
        written: Written | None,
        taken: Holding,
        before: Stored,
        present: Stored | None,
    ) -> None:
        if written is None:
            await allocations.failed(taken, present)
        elif written.deleted:
            await allocations.gone(orjson.loads(before.value))
        else:
            await allocations.changed(written.obj, orjson.loads(before.value))

    async def _current(self, key: str, name: str) -> tuple[Stored, bool]:
        """What to start from, and whether it is surely the present."""
        entry = self.cache.get(key)
        if entry is not None:
            return Stored(key, entry.value, entry.revision), False
        return await self._read(key, name), True

    def _note(self, key: str, value: bytes, obj: Json) -> None:
        """Tells the cache, ahead of the event, whose write it is and what is in it."""
        self._caches.causes.note(key, value, trace.current(), attributes_of(self._describing, obj))

    async def _swap(
        self, key: str, change: Change, kept: Json, value: bytes, current: Stored, options: WriteOptions
    ) -> tuple[Written | None, Stored | None]:
        if options.dry_run:
            dry = Stored(key, value, current.revision)
            return self._written(change.obj, dry, deleted=change.delete), None
        if change.delete:
            self._caches.causes.note(key, None, trace.current())
            outcome = await self._storage.delete(key, current.revision)
        else:
            self._note(key, value, kept)
            outcome = await self._storage.update(key, value, current.revision, ttl_seconds=self._ttl_seconds)
        if outcome.done:
            done = Stored(key, value, outcome.revision)
            return self._written(change.obj, done, deleted=change.delete), None
        return None, outcome.current

    # -- delete ----------------------------------------------------------------------------------

    async def delete(
        self, target: Target, options: deletion.Options, dry_run: bool, *, admitted: bool = False
    ) -> tuple[Written, bool]:
        """Deletes, or marks for deletion. The boolean says whether the object is gone.

        `admitted`: webhooks and policies have been asked already, about an eviction.
        """
        return await removal.delete(self, target, options, dry_run, admitted=admitted)
