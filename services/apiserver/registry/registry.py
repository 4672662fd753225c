"""Every verb over every resource: what the fronts call.

Finds the store and the strategy that a request means, and says what became of it. Subresources
that are not a part of the stored object (`scale`, `binding`, `eviction`) are handled beside it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

import orjson

from services.api import errors
from services.api.core_v1 import Service, ServiceAccount
from services.api.kinds import STREAMED, Resource, resource_of
from services.api.policy_v1 import PodDisruptionBudget
from services.apiserver.custom.resource import CustomResource
from services.apiserver.registry import actions, applying, deletion, extending, patching
from services.apiserver.registry.caches import Caches
from services.apiserver.registry.cluster_ips import IP_ADDRESSES, ClusterIps
from services.apiserver.registry.computed import Computed
from services.apiserver.registry.deleted import deleted_answer
from services.apiserver.registry.disruption import Budgets
from services.apiserver.registry.journal import Journal
from services.apiserver.registry.node_ports import NodePorts
from services.apiserver.registry.ownership import check_manager
from services.apiserver.registry.quota import QUOTAS, Quotas
from services.apiserver.registry.reading import Reader, parse_version, too_large_version
from services.apiserver.registry.request import (
    Answer,
    Deleted,
    Item,
    Listing,
    ListOptions,
    PatchType,
    Target,
    WatchOptions,
    WriteOptions,
)
from services.apiserver.registry.service_addresses import ServiceAddresses
from services.apiserver.registry.serving import Serving, built_in
from services.apiserver.registry.store import Store
from services.apiserver.registry.tokens import TokenRequests
from services.apiserver.registry.versions import VersionWatcher
from services.apiserver.registry.written import Written, answer, item
from services.apiserver.rules.strategy import Strategy
from services.apiserver.storage.storage import Storage, Stored
from services.apiserver.storage.watch_cache import WatchCache
from services.apiserver.storage.watchers import Watcher
from services.apiserver.strands import Strands
from services.apiserver.token_issuer import TokenIssuer
from services.machinery.clock import Clock
from services.machinery.patch.apply_patch import STRATEGIC, unsupported
from services.process.logging import Logger

if TYPE_CHECKING:
    from services.apiserver.admission.step import Admission

Json = dict[str, Any]
# Parts of the object itself, each with a strategy of its own.
PARTS = ("approval", "status", "finalize", "resize", "ephemeralcontainers")


class Registry:
    def __init__(
        self,
        storage: Storage,
        caches: Caches,
        clock: Clock,
        chance: random.Random,
        log: Logger,
        issuer: TokenIssuer | None = None,
    ) -> None:
        self._journal = Journal(log)
        self.catalog, self.caches = caches.catalog, caches
        self._storage, self._clock, self._random = storage, clock, chance
        self.strands = Strands(clock)
        self._stores: dict[str, Store] = {}
        self._readers: dict[str, Reader] = {}
        self._quotas: Quotas | None = None
        self._extension: Admission | None = None
        for resource in self.catalog.resources:
            self._enter(built_in(resource, self.catalog))
        self._quotas = Quotas(self.store(QUOTAS), clock)
        for store in self._stores.values():
            store.quotas = self._quotas
        self.addresses = ServiceAddresses(ClusterIps(self.store(IP_ADDRESSES)), NodePorts(storage), chance)
        self.store(resource_of(Service)).allocations = self.addresses
        self._computed: dict[str, Computed] = {}
        self._budgets = Budgets(self.store(resource_of(PodDisruptionBudget)))
        self._tokens = TokenRequests(self.store(resource_of(ServiceAccount)), issuer or TokenIssuer())

    def store_for(self, serving: Serving) -> Store:
        """One of its own, for who needs what nobody may ask for."""
        return Store(serving, self._storage, self.caches, self._clock, self._random, self.strands)

    def _enter(self, serving: Serving) -> None:
        key = serving.resource.key
        self._stores[key] = self.store_for(serving)
        self._stores[key].quotas = self._quotas
        self._stores[key].extension = self._extension
        self._readers[key] = Reader(serving, self._storage, self.caches.of(serving.stored))

    def extend(self, admission: Admission) -> None:
        """From now on webhooks and policies are asked too."""
        self._extension = admission
        for store in self._stores.values():
            store.extension = admission

    # -- what comes and goes ---------------------------------------------------------------------

    def serve(self, cache: WatchCache, servings: Sequence[Serving]) -> None:
        """From now on these are answered for, out of `cache`, which must be ready; in place of older ones."""
        for serving in servings:
            self.caches.put(serving.resource, cache)
        for serving in servings:
            self._enter(serving)
        self.catalog.put(*(serving.resource for serving in servings))

    def compute(self, resource: Resource, computed: Computed) -> None:
        """From now on its objects are made when they are asked for."""
        self._computed[resource.key] = computed

    def withdraw(self, *resources: Resource) -> None:
        """From now on these are unknown. Requests under way end as they began."""
        self.catalog.remove(*resources)
        for resource in resources:
            self._stores.pop(resource.key, None)
            self._readers.pop(resource.key, None)
            self.caches.forget(resource)

    def store(self, resource: Resource) -> Store:
        return self._stores[resource.key]

    def lookup(self, resource: Resource, namespace: str, name: str) -> Json | None:
        """An object as last seen, or None."""
        entry = self._stores[resource.key].find(namespace, name)
        return orjson.loads(entry.value) if entry is not None else None

    # -- reading ---------------------------------------------------------------------------------

    async def get(self, target: Target, resource_version: str = "") -> Answer:
        if (computed := self._computed.get(target.resource.key)) is not None:
            return await computed.get(self._of_collection(target))
        store = self._served(target, "get")
        revision = parse_version(resource_version, of_list=False)
        if revision is not None:
            await self._wait_for(store, revision)
            entry = store.find(target.namespace, target.name)
            if entry is None:
                raise errors.not_found(target.resource, target.name)
            stored = await store.seen(Stored(entry.key, entry.value, entry.revision))
        else:
            stored = await store.get(target.namespace, target.name)
            entry = store.find(target.namespace, target.name)
        found = (stored.value, stored.revision)
        if target.subresource == "scale":
            return actions.scale_answer(store, *found)
        if entry is not None and entry.revision == stored.revision:
            uid = entry.attributes.uid
        else:  # the cache shows another state, perhaps of another object of that name
            uid = orjson.loads(stored.value)["metadata"].get("uid", "")
        return Answer(Item(*found, target.namespace, target.name, uid), deprecation(target.resource))

    async def _wait_for(self, store: Store, revision: int) -> None:
        try:
            await store.cache.wait_for(revision)
        except TimeoutError:
            raise too_large_version(revision, store.cache.revision) from None

    async def list(self, target: Target, options: ListOptions) -> Listing:
        if (computed := self._computed.get(target.resource.key)) is not None:
            return await computed.list(self._of_collection(target), options)
        self._served(target, "list")
        listing = await self._readers[target.resource.key].list(target, options)
        return replace(listing, warnings=deprecation(target.resource))

    async def watch(self, target: Target, options: WatchOptions) -> Watcher | VersionWatcher:
        """The caller hands it back to `leave`."""
        self._served(target, "watch")
        return await self._readers[target.resource.key].watch(target, options)

    def leave(self, target: Target, watcher: Watcher | VersionWatcher) -> None:
        # What is served no longer has let go of its watchers already.
        if (reader := self._readers.get(target.resource.key)) is not None:
            reader.leave(watcher)

    # -- writing ---------------------------------------------------------------------------------

    async def create(self, target: Target, body: bytes, options: WriteOptions) -> Answer:
        store = self._writable(target, "create", options)
        if target.subresource == "token":
            return await self._tokens.create(target, body, options)
        if target.subresource == "binding":
            done = await actions.bind(store, target, body, options)
        elif target.subresource == "eviction":
            done = await actions.evict(store, target, body, options, self._budgets)
        else:
            decoded = store.strategy.decode(body, options.field_validation)
            written = await store.create(target, decoded, options)
            self._journal.created(target, written, options)
            return answer(written)
        self._journal.updated(target, done.written, options)
        return done.answer

    async def update(self, target: Target, body: bytes, options: WriteOptions) -> Answer:
        store = self._writable(target, "update", options)
        if target.subresource == "scale":
            return await self._scale(
                store, target, actions.scale_updater(store, target, body, options), options
            )
        strategy = self._strategy(store, target)
        written = await store.replace(
            target, lambda: strategy.decode(body, options.field_validation), options, strategy
        )
        self._journal.updated(target, written, options)
        return answer(written)

    async def patch(
        self, target: Target, body: bytes, patch_type: PatchType, options: WriteOptions
    ) -> Answer:
        if patch_type == STRATEGIC and isinstance(target.resource, CustomResource):
            raise unsupported(patch_type)
        store = self._writable(target, "patch", options)
        if target.subresource == "scale":
            updater = actions.scale_patcher(store, target, body, patch_type, options)
            return await self._scale(store, target, updater, options)
        strategy = self._strategy(store, target)
        if patch_type == "application/apply-patch+yaml":
            written = await applying.apply(store, strategy, target, body, options)
        else:
            written = await patching.patch(store, strategy, target, body, patch_type, options)
        self._journal.updated(target, written, options)
        return answer(written)

    async def _scale(
        self, store: Store, target: Target, updater: actions.Updater, options: WriteOptions
    ) -> Answer:
        written = await store.update(target, updater, options)
        self._journal.updated(target, written, options)
        return actions.scale_answer(store, written.value, written.stored.revision)

    async def connect(self, target: Target, options: Json) -> None:
        """Before a stream is opened. ApiError where a webhook or policy refuses."""
        await extending.connecting(self.store(target.resource), target, options)

    async def delete(self, target: Target, raw_options: bytes, dry_run: bool = False) -> Deleted:
        store = self._served(target, "delete")
        options = deletion.parse_options(raw_options)
        written, gone = await store.delete(target, options, dry_run or options.dry_run)
        self._journal.deleted(target, written, gone, dry_run or options.dry_run)
        written.warnings += [*deletion.warnings(target.resource, options), *deprecation(target.resource)]
        return deleted_answer(target.resource, written, gone)

    async def delete_collection(
        self, target: Target, selection: ListOptions, raw_options: bytes, dry_run: bool = False
    ) -> Listing:
        """Deletes what the selectors match now; what was created meanwhile stays."""
        store = self._served(target, "deletecollection")
        options = deletion.parse_options(raw_options)
        dry_run = dry_run or options.dry_run
        listing = await self._readers[target.resource.key].list(target, selection)
        items = []
        for each in listing.items:
            one = Target(target.resource, each.namespace, each.name)
            try:
                written, gone = await store.delete(one, options, dry_run)
            except errors.ApiError as error:
                if not errors.is_not_found(error):
                    raise
                continue
            self._journal.deleted(one, written, gone, dry_run)
            items.append(item(written))
        return Listing(items, listing.revision, warnings=deletion.warnings(target.resource, options))

    # -- finding ---------------------------------------------------------------------------------

    def _strategy(self, store: Store, target: Target) -> Strategy:
        return store.parts[target.subresource] if target.subresource else store.strategy

    def _writable(self, target: Target, verb: str, options: WriteOptions) -> Store:
        check_manager(options.field_manager)
        return self._served(target, verb)

    @staticmethod
    def _of_collection(target: Target) -> Target:
        """A target that has no parts. ApiError (404)."""
        namespaced = target.resource.namespaced
        if target.subresource or (target.namespace and not namespaced):
            _unknown()
        if namespaced and target.name and not target.namespace:
            _unknown()
        return target

    def _served(self, target: Target, verb: str) -> Store:
        """The store, where the resource knows the verb. ApiError 404, 405."""
        resource = target.resource
        store = self._stores.get(resource.key)
        if store is None:
            if resource.key in self._computed:
                self._of_collection(target)
                raise _not_allowed()
            _unknown()  # It has gone while the request came in.
        if bool(target.namespace) and not resource.namespaced:
            _unknown()
        if not target.subresource:
            if verb not in resource.verbs:
                raise _not_allowed()
            needs_name = verb not in ("create", "list", "watch", "deletecollection")
            needs_namespace = resource.namespaced and (needs_name or verb == "create")
            if needs_namespace and not target.namespace:
                if needs_name:
                    _unknown()
                raise errors.bad_request("an empty namespace may not be set during creation")
            if needs_name and not target.name:
                raise _not_allowed()
            return store
        part = next((s for s in resource.subresources if s.name == target.subresource), None)
        if part is None and isinstance(resource, CustomResource):
            raise errors.not_found(resource, target.name)
        if part is None or part.name in STREAMED or not target.name:
            _unknown()
        if verb not in part.verbs:
            raise _not_allowed()
        return store


def deprecation(resource: Resource) -> tuple[str, ...]:
    """What whoever reads or deletes objects of a kind should know; writes learn it from the rules."""
    if isinstance(resource, CustomResource):
        return (resource.deprecation,) if resource.deprecation else ()
    if resource.plural == "endpoints":
        return ("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",)
    return ()


def _unknown() -> NoReturn:
    raise errors.resource_unknown()


def _not_allowed() -> errors.ApiError:
    message = "the server does not allow this method on the requested resource"
    return errors.failure(405, "MethodNotAllowed", message, {})


__all__ = ["Registry", "Written"]
