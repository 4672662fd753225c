"""Roles and bindings by what a request asks for: whom a binding names, and what a role is called.

Follows the four watch caches and takes in what changed when somebody asks, so that a decision costs what the
asker's own bindings cost, however many there are in the cluster; nothing is kept before the first question.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import orjson

from services.api import rbac_v1
from services.api.kinds import Resource, resource_of
from services.apiserver.authentication.users import User, account_name
from services.apiserver.storage.entries import Delivery, Selection
from services.apiserver.storage.watch_cache import WatchCache
from services.apiserver.storage.watchers import Watcher
from services.machinery.field_errors import quoted

Json = dict[str, Any]
CacheOf = Callable[[Resource], WatchCache]


class Binding(NamedTuple):
    """One subject of a binding. `namespace` empty: it holds everywhere."""

    name: str
    namespace: str
    role_kind: str
    role_name: str
    subject: str

    def reason(self) -> str:
        kind = "RoleBinding" if self.namespace else "ClusterRoleBinding"
        name = f"{self.name}/{self.namespace}" if self.namespace else self.name
        role = f"{self.role_kind} {quoted(self.role_name)}"
        return f"RBAC: allowed by {kind} {quoted(name)} of {role} to {self.subject}"


class _Feed:
    """The changes of one cache, taken when asked for."""

    def __init__(
        self, cache: WatchCache, forget: Callable[[], None], apply: Callable[[Delivery], None]
    ) -> None:
        self._cache, self._forget, self._apply = cache, forget, apply
        self._watcher: Watcher | None = None

    def drain(self) -> None:
        watcher = self._watcher
        if watcher is None or watcher.ended is not None:
            if watcher is not None:
                self._cache.watchers.leave(watcher)
            self._forget()
            watcher = self._watcher = self._cache.watch(Selection(), None)
        for delivery in watcher.take():
            self._apply(delivery)


class RoleIndex:
    def __init__(self, cache_of: CacheOf) -> None:
        self._roles: dict[tuple[str, str], list[Json]] = {}  # by namespace and name
        self._by_subject: dict[tuple[str, str], dict[str, Binding]] = {}  # by namespace and subject
        self._subjects: dict[str, list[tuple[str, str]]] = {}  # where the binding of a key stands
        self.generation = 0  # moves with every change: what was decided before may be wrong then
        kinds = (rbac_v1.ClusterRole, rbac_v1.Role, rbac_v1.ClusterRoleBinding, rbac_v1.RoleBinding)
        caches = [cache_of(resource_of(kind)) for kind in kinds]
        self._feeds = (
            _Feed(caches[0], lambda: self._forget_roles(True), self._role),
            _Feed(caches[1], lambda: self._forget_roles(False), self._role),
            _Feed(caches[2], lambda: self._forget_bindings(caches[2].prefix), self._binding),
            _Feed(caches[3], lambda: self._forget_bindings(caches[3].prefix), self._binding),
        )

    def refresh(self) -> None:
        for feed in self._feeds:
            feed.drain()

    def role(self, kind: str, namespace: str, name: str) -> list[Json] | None:
        """The rules of a role; None where there is none."""
        return self._roles.get(("" if kind == "ClusterRole" else namespace, name))

    def bindings(self, user: User, namespace: str) -> Iterator[Binding]:
        """All that name the user or one of his groups: cluster-wide first, then those of the namespace."""
        subjects = (_user(user.name), *(_group(name) for name in user.groups))
        for where in ("", namespace) if namespace else ("",):
            for subject in subjects:
                yield from self._by_subject.get((where, subject), {}).values()

    # -- following -------------------------------------------------------------------------------

    def _forget_roles(self, cluster: bool) -> None:
        self.generation += 1
        for key in [key for key in self._roles if (key[0] == "") is cluster]:
            del self._roles[key]

    def _forget_bindings(self, prefix: str) -> None:
        self.generation += 1
        for key in [key for key in self._subjects if key.startswith(prefix)]:
            self._remove(key)

    def _role(self, delivery: Delivery) -> None:
        self.generation += 1
        if (entry := delivery.entry) is None:
            return
        key = (entry.attributes.namespace, entry.attributes.name)
        if delivery.type == "DELETED":
            self._roles.pop(key, None)
        else:
            self._roles[key] = orjson.loads(entry.value).get("rules") or []

    def _binding(self, delivery: Delivery) -> None:
        self.generation += 1
        if (entry := delivery.entry) is None:
            return
        self._remove(entry.key)
        if delivery.type == "DELETED":
            return
        obj = orjson.loads(entry.value)
        name, namespace = entry.attributes.name, entry.attributes.namespace
        reference = obj.get("roleRef") or {}
        places = []
        for subject, shown in _subjects(obj.get("subjects") or (), namespace):
            place = (namespace, subject)
            found = Binding(name, namespace, reference.get("kind", ""), reference.get("name", ""), shown)
            self._by_subject.setdefault(place, {}).setdefault(entry.key, found)
            places.append(place)
        self._subjects[entry.key] = places

    def _remove(self, key: str) -> None:
        for place in self._subjects.pop(key, ()):
            if (bucket := self._by_subject.get(place)) is not None:
                bucket.pop(key, None)
                if not bucket:
                    del self._by_subject[place]


def _user(name: str) -> str:
    return f"User {name}"


def _group(name: str) -> str:
    return f"Group {name}"


def _subjects(subjects: Iterable[Json], namespace: str) -> Iterator[tuple[str, str]]:
    """Each subject as it is found, and as it is named. ServiceAccounts are users of a special name."""
    for subject in subjects:
        kind, name = subject.get("kind", ""), subject.get("name", "")
        match kind:
            case "User":
                yield _user(name), f"User {quoted(name)}"
            case "Group":
                yield _group(name), f"Group {quoted(name)}"
            case "ServiceAccount":
                home = subject.get("namespace") or namespace
                if home:
                    yield _user(account_name(home, name)), f"ServiceAccount {quoted(f'{name}/{home}')}"
