"""Collections: listing them in pages, and joining a watch at the right place.

Lists come from the watch cache: at once where any age will do (`resourceVersion=0`), else when
it has caught up with etcd. A page that follows another, and a list at an exact revision, come
from etcd, which alone remembers the past. Upstream: `storage/cacher` and `etcd3.store`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from services.api import errors
from services.api.errors import ApiError
from services.apiserver.registry import continue_token, keys
from services.apiserver.registry.caches import describer
from services.apiserver.registry.continue_token import Token
from services.apiserver.registry.request import Item, Listing, ListOptions, Target, WatchOptions
from services.apiserver.registry.serving import Serving
from services.apiserver.registry.versions import VersionWatcher, shown_entries, shown_items
from services.apiserver.storage.entries import Entry, Selection
from services.apiserver.storage.storage import Compacted, Storage
from services.apiserver.storage.watch_cache import WatchCache
from services.apiserver.storage.watchers import Watcher
from services.machinery import fields, labels

Json = dict[str, Any]
TOO_OLD = "The resourceVersion for the provided list is too old."
CONTINUE_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new"
    " list without the continue parameter, or use the continue token in this response to retrieve the"
    " remainder of the results. Continuing with the provided token results in an inconsistent list -"
    " objects that were created, modified, or deleted between the time the first chunk was returned and"
    " now may show up in the list."
)
REVISION_MAX = 2**63 - 1
# Kinds with selectable fields of their own, which word the refusal of others differently.
CONVERTED = {"pods", "nodes", "replicationcontrollers", "events", "namespaces", "secrets", "services"}


class Reader:
    """Lists and watches of one resource."""

    def __init__(self, serving: Serving, storage: Storage, cache: WatchCache) -> None:
        self.resource = serving.resource
        self._storage, self._cache = storage, cache
        self._stored, self._version = serving.stored, serving.version
        self._describe = describer(serving.describing)
        nothing: Json = {"metadata": {}, "spec": {}, "status": {}}
        self._known_fields = set(serving.strategy.selectable_fields(nothing))

    # -- list ------------------------------------------------------------------------------------

    async def list(self, target: Target, options: ListOptions) -> Listing:
        selection = self.selection(target, options.labels, options.fields)
        if options.continue_token:
            return await self._continue(target, selection, options)
        revision = parse_version(options.resource_version)
        if options.version_match and not options.resource_version:
            raise _bad_match("resourceVersionMatch is forbidden unless resourceVersion is provided")
        exact = options.version_match == "Exact"
        if exact and not revision:
            raise _bad_match(
                'resourceVersionMatch "exact" is forbidden for resourceVersion "0"',
            )
        if exact or (revision and options.limit and not options.version_match):
            return await self._page(target, selection, options, revision, "")
        if revision is None and not await self._caught_up():
            return await self._page(target, selection, options, None, "")
        if revision:
            await self._wait_for(revision)
        # Upstream's cache takes no notice of a limit where any age will do.
        limit = 0 if revision == 0 else options.limit
        return await self._from_cache(target, selection, limit)

    async def _from_cache(self, target: Target, selection: Selection, limit: int) -> Listing:
        entries, revision = self._cache.select(selection), self._cache.revision
        if not limit or len(entries) <= limit:
            return Listing([*await self._items(entries)], revision)
        page = entries[:limit]
        token = continue_token.encode(Token(revision, self._relative(target, page[-1].key)))
        plain = selection.labels.empty and selection.fields.empty
        remaining = len(entries) - limit if plain else None
        return Listing([*await self._items(page)], revision, token, remaining)

    async def _items(self, entries: Sequence[Entry]) -> Sequence[Item]:
        if self._version is not None:
            entries = await shown_entries(self._version, entries)
        return [_item(entry) for entry in entries]

    async def _continue(self, target: Target, selection: Selection, options: ListOptions) -> Listing:
        if options.resource_version and options.resource_version != "0":
            raise errors.bad_request("specifying resource version is not allowed when using continue")
        try:
            token = continue_token.decode(options.continue_token)
        except ValueError as error:
            raise errors.bad_request(f"invalid continue token: {error}") from None
        revision = 0 if token.revision < 0 else token.revision
        return await self._page(target, selection, options, revision, token.start)

    async def _page(
        self, target: Target, selection: Selection, options: ListOptions, revision: int | None, start: str
    ) -> Listing:
        """From etcd."""
        listing = await self._stored_page(target, selection, options, revision, start)
        if self._version is None:
            return listing
        return replace(listing, items=await shown_items(self._version, listing.items))

    async def _stored_page(
        self, target: Target, selection: Selection, options: ListOptions, revision: int | None, start: str
    ) -> Listing:
        """As many keys as it takes to fill the page."""
        prefix = self._prefix(target)
        at, found, begin = revision or 0, [], prefix + start if start else ""
        limit = options.limit or 0
        while True:
            try:
                page = await self._storage.list(prefix, start=begin, limit=limit, revision=at)
            except Compacted:
                raise self._expired(start) from None
            at = page.revision
            for index, stored in enumerate(page.items):
                entry = Entry(stored.key, stored.value, stored.revision, self._describe(stored.value))
                if not selection.matches(entry):
                    continue
                found.append(_item(entry))
                if limit and len(found) == limit and (index + 1 < len(page.items) or page.remaining):
                    token = continue_token.encode(Token(at, self._relative(target, stored.key)))
                    remaining = page.remaining + len(page.items) - index - 1
                    plain = selection.labels.empty and selection.fields.empty
                    return Listing(found, at, token, remaining if plain else None)
            if not page.remaining or not page.items:
                return Listing(found, at)
            begin = page.items[-1].key + "\0"

    def _expired(self, start: str) -> ApiError:
        if not start:
            return errors.expired(TOO_OLD)
        error = errors.expired(CONTINUE_TOO_OLD)
        token = Token(continue_token.INCONSISTENT, start)
        error.status["metadata"] = {"continue": continue_token.encode(token)}
        return error

    def _prefix(self, target: Target) -> str:
        prefix = keys.prefix(self._stored)
        return f"{prefix}{target.namespace}/" if target.namespace else prefix

    def _relative(self, target: Target, key: str) -> str:
        return key[len(self._prefix(target)) :] + "\0"

    async def _caught_up(self) -> bool:
        """Whether the cache can be shown to be as new as etcd."""
        if not self._storage.progress_is_exact:
            return False
        try:
            await self._cache.catch_up()
        except TimeoutError:
            return False
        return True

    async def _wait_for(self, revision: int) -> None:
        try:
            await self._cache.wait_for(revision)
        except TimeoutError:
            raise too_large_version(revision, self._cache.revision) from None

    # -- watch -----------------------------------------------------------------------------------

    async def watch(self, target: Target, options: WatchOptions) -> Watcher | VersionWatcher:
        """The caller must `leave` it. ApiError 400, 410, 504."""
        selection = self.selection(target, options.labels, options.fields)
        revision = parse_version(options.resource_version, of_list=False)
        if revision is None:
            await self._caught_up()
        elif revision and options.send_initial_events:
            await self._wait_for(revision)
        after = None if options.send_initial_events or not revision else revision
        if options.send_initial_events is False and not revision:
            after = self._cache.revision
        watcher = self._cache.watch(selection, after, bookmarks=options.bookmarks)
        if options.send_initial_events and options.bookmarks:
            watcher.mark(self._cache.revision, initial_events_end=True)
        return watcher if self._version is None else VersionWatcher(watcher, self._version)

    def leave(self, watcher: Watcher | VersionWatcher) -> None:
        own = watcher.watcher if isinstance(watcher, VersionWatcher) else watcher
        self._cache.watchers.leave(own)

    # -- selection -------------------------------------------------------------------------------

    def selection(self, target: Target, label_text: str, field_text: str) -> Selection:
        """ApiError (400) where a selector cannot be understood."""
        try:
            label_selector = labels.parse(label_text) if label_text else labels.EVERYTHING
            field_selector = fields.parse(field_text) if field_text else fields.EVERYTHING
        except ValueError as error:
            raise errors.bad_request(str(error)) from None
        for requirement in field_selector.requirements:
            if requirement.field not in self._known_fields:
                raise self._unknown_field(requirement.field)
        if self._version is not None and self._version.fields:
            names = self._version.fields
            known = (replace(r, field=names.get(r.field, r.field)) for r in field_selector.requirements)
            field_selector = fields.FieldSelector(tuple(known))
        if target.name:
            named = fields.FieldRequirement("metadata.name", "=", target.name)
            field_selector = fields.FieldSelector((*field_selector.requirements, named))
        return Selection(target.namespace, label_selector, field_selector)

    def _unknown_field(self, field: str) -> ApiError:
        if self.resource.plural in CONVERTED or self.resource.is_custom:
            return errors.bad_request(f"field label not supported: {field}")
        known = 'only "metadata.name", "metadata.namespace"'
        return errors.bad_request(f'"{field}" is not a known field selector: {known}')


def parse_version(text: str, *, of_list: bool = True) -> int | None:
    """None where none is asked for: the present. ApiError where it is not a number."""
    if not text:
        return None
    is_number = re.fullmatch(r"[0-9]+", text) is not None
    if not is_number or len(text) > 19 or int(text) > REVISION_MAX:
        fault = "value out of range" if is_number else "invalid syntax"
        why = f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": {fault}'
        if of_list:
            raise errors.bad_request(f"invalid resource version: {why}")
        raise errors.failure(500, "", why)  # as upstream's get does
    return int(text)


def _bad_match(why: str) -> ApiError:
    cause = {"reason": "FieldValueForbidden", "message": f"Forbidden: {why}", "field": "resourceVersionMatch"}
    return errors.invalid("meta.k8s.io", "ListOptions", "", [cause])


def too_large_version(wanted: int, current: int) -> ApiError:
    message = f"Timeout: Too large resource version: {wanted}, current: {current}"
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    return errors.failure(504, "Timeout", message, {"causes": [cause], "retryAfterSeconds": 1})


def _item(entry: Entry) -> Item:
    attributes = entry.attributes
    return Item(entry.value, entry.revision, attributes.namespace, attributes.name, attributes.uid)
