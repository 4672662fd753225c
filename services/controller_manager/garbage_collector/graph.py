"""Graph: who owns whom, over every kind, and what follows for one object.

An object is named by its uid alone: a name can be taken again, a uid cannot. An owner that some
object mentions but no watch has shown is *absent* here and must be asked for live before anything is
deleted on its account: the watches of two kinds may be seconds apart.

`put` and `remove` take what the watches say and answer with the uids to look at again; `decide`
says what to do about one of them. No I/O. Upstream: graph_builder.go, garbagecollector.go.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Literal

from services.api.meta_v1 import ObjectMeta, OwnerReference

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"  # the finalizers that stand for a deletion policy
Policy = Literal["Foreground", "Background", "Orphan"]


@dataclass(frozen=True, slots=True)
class Identity:
    """Where an object is found."""

    api_version: str
    kind: str
    namespace: str
    name: str


@dataclass(slots=True)
class Item:
    """One object that a watch has shown, and the uids of those that name it as an owner."""

    uid: str
    identity: Identity
    owners: tuple[OwnerReference, ...]
    deleting: bool
    finalizers: frozenset[str]
    dependents: set[str] = field(default_factory=set)

    @property
    def waits_for_dependents(self) -> bool:
        return self.deleting and FOREGROUND in self.finalizers

    @property
    def orphans_dependents(self) -> bool:
        return self.deleting and ORPHAN in self.finalizers


# What to do about one object. Nothing is None.
@dataclass(frozen=True, slots=True)
class Delete:
    """Nobody owns it any more."""

    item: Item
    policy: Policy


@dataclass(frozen=True, slots=True)
class Disown:
    """Some owners are gone, others remain: drop the references to the former."""

    item: Item
    owner_uids: frozenset[str]


@dataclass(frozen=True, slots=True)
class Orphan:
    """Its deletion spares the dependents: they forget it, then it may go."""

    item: Item
    dependents: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Release:
    """Nothing blocks its foreground deletion any more."""

    item: Item


@dataclass(frozen=True, slots=True)
class Unblock:
    """It and one of its dependents wait for each other: it stops blocking its owners."""

    item: Item


@dataclass(frozen=True, slots=True)
class Visit:
    """It waits for these dependents; see to each."""

    uids: tuple[str, ...]


Action = Delete | Disown | Orphan | Release | Unblock | Visit | None


class Graph:
    """Bounded by the number of objects in the cluster."""

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}
        # Dependents of owners that no watch has shown (yet, or any more).
        self._waiting: dict[str, set[str]] = {}

    def __len__(self) -> int:
        return len(self._items)

    def get(self, uid: str) -> Item | None:
        return self._items.get(uid)

    def put(self, identity: Identity, metadata: ObjectMeta) -> list[str]:
        """An object was added or changed. Returns the uids to look at."""
        uid = metadata.uid or ""
        new = Item(
            uid=uid,
            identity=identity,
            owners=tuple(metadata.owner_references),
            deleting=metadata.deletion_timestamp is not None,
            finalizers=frozenset(metadata.finalizers),
        )
        old = self._items.get(uid)
        if old is None:
            new.dependents = self._waiting.pop(uid, set())
        else:
            new.dependents = old.dependents
            self._unlink(old)
        self._items[uid] = new
        self._link(new)
        return list(dict.fromkeys(self._affected(old, new)))

    def remove(self, uid: str) -> list[str]:
        """An object is gone. Its dependents lost an owner; owners that waited for it may go."""
        item = self._items.pop(uid, None)
        if item is None:
            return []
        self._unlink(item)
        if item.dependents:
            self._waiting[uid] = item.dependents
        waiting = [owner.uid for owner in item.owners if self._waits(owner.uid)]
        return [*sorted(item.dependents), *waiting]

    def _affected(self, old: Item | None, new: Item) -> Iterable[str]:
        if new.orphans_dependents and not (old and old.orphans_dependents):
            yield new.uid
        if new.waits_for_dependents and not (old and old.waits_for_dependents):
            yield from sorted(new.dependents)
            yield new.uid
        before = {owner.uid: owner for owner in old.owners} if old else {}
        now = {owner.uid: owner for owner in new.owners}
        if any(owner not in self._items or self._waits(owner) for owner in now if owner not in before):
            yield new.uid
        for uid, owner in before.items():
            # An owner that waited for this dependent may no longer be blocked by it.
            if now.get(uid) != owner and self._waits(uid):
                yield uid

    def _waits(self, uid: str) -> bool:
        item = self._items.get(uid)
        return item is not None and item.waits_for_dependents

    def _link(self, item: Item) -> None:
        for reference in item.owners:
            owner = self._items.get(reference.uid)
            known = owner.dependents if owner else self._waiting.setdefault(reference.uid, set())
            known.add(item.uid)

    def _unlink(self, item: Item) -> None:
        for reference in item.owners:
            owner = self._items.get(reference.uid)
            known = owner.dependents if owner else self._waiting.get(reference.uid, set())
            known.discard(item.uid)
            if not known and owner is None:
                self._waiting.pop(reference.uid, None)

    def unseen_owners(self, item: Item) -> list[OwnerReference]:
        """The owners to ask for live before `decide` may be believed."""
        return [owner for owner in item.owners if owner.uid not in self._items]

    def decide(self, item: Item, absent: Collection[str]) -> Action:
        """What to do about `item`; `absent` are those of its owners that were found not to exist."""
        if item.orphans_dependents:
            return Orphan(item, tuple(self._items[uid] for uid in sorted(item.dependents)))
        if item.waits_for_dependents:
            blocking = [uid for uid in sorted(item.dependents) if self._blocks(self._items[uid], item.uid)]
            idle = tuple(uid for uid in blocking if not self._items[uid].waits_for_dependents)
            return (Visit(idle) if idle else None) if blocking else Release(item)
        if item.deleting or not item.owners:
            return None
        return self._collect(item, absent)

    def _collect(self, item: Item, absent: Collection[str]) -> Action:
        gone = {owner.uid for owner in item.owners if owner.uid in absent}
        waiting = {owner.uid for owner in item.owners if self._waits(owner.uid)}
        leaving = gone | waiting
        if any(owner.uid not in leaving for owner in item.owners):
            return Disown(item, frozenset(leaving)) if leaving else None
        if waiting and item.dependents:
            if self._is_blocked_by_dependent(item):
                return Unblock(item)
            return Delete(item, "Foreground")
        return Delete(item, _policy(item))

    def _is_blocked_by_dependent(self, item: Item) -> bool:
        blocks = any(owner.block_owner_deletion for owner in item.owners)
        return blocks and any(self._waits(uid) for uid in item.dependents)

    @staticmethod
    def _blocks(dependent: Item, owner_uid: str) -> bool:
        return any(owner.uid == owner_uid and owner.block_owner_deletion for owner in dependent.owners)


def _policy(item: Item) -> Policy:
    """The policy that the object's own finalizers ask for."""
    if ORPHAN in item.finalizers:
        return "Orphan"
    return "Foreground" if FOREGROUND in item.finalizers else "Background"
