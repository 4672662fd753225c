"""The ConfigMaps and Secrets that Pods name: each is watched for as long as a Pod here names it.

One watch per object, counted by the Pods that use it, however many those are; of an object that says
it is immutable only the object is kept. `Sources` is what was found for one Pod; the builders of
environments and volumes read from it and stay pure. An object that cannot be read in time is an error
of the Pod's, which tries again. Upstream: pkg/kubelet/util/manager/watch_based_manager.go.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from services.api.core_v1 import ConfigMap, Container, Pod, Secret
from services.client.client import Client
from services.client.informer import Informer
from services.client.log import Logger
from services.client.reflector import Reflector
from services.kubelet.timers import Timers
from services.machinery.clock import Clock

# What admission mounts into every Pod. The first is there where the cluster has a CA; the second is
# another distribution's, and is never there.
ROOT_CA = "kube-root-ca.crt"
CLUSTER_CAS = (ROOT_CA, "openshift-service-ca.crt")
SYNC_SECONDS = 10.0  # how long a Pod waits for what it names to be read
LINGER_SECONDS = 60.0  # a watch outlives its last Pod a little: the next one is often much the same


class ConfigError(Exception):
    """The container cannot be configured: CreateContainerConfigError, with this text."""


@dataclass(slots=True)
class Sources:
    """Contents by name, of the Pod's namespace. None: it does not exist."""

    namespace: str
    config_maps: dict[str, ConfigMap | None] = field(default_factory=dict)
    secrets: dict[str, Secret | None] = field(default_factory=dict)

    def config_map(self, name: str, *, optional: bool) -> dict[str, bytes] | None:
        found = self.config_maps.get(name)
        if found is None:
            if optional:
                return None
            raise ConfigError(f'configmap "{name}" not found')
        data = {key: text.encode() for key, text in found.data.items()}
        return data | {key: _decoded(text, name) for key, text in found.binary_data.items()}

    def secret(self, name: str, *, optional: bool) -> dict[str, bytes] | None:
        found = self.secrets.get(name)
        if found is None:
            if optional:
                return None
            raise ConfigError(f'secret "{name}" not found')
        return {key: _decoded(text, name) for key, text in found.data.items()}


def _decoded(text: str, name: str) -> bytes:
    try:
        return base64.b64decode(text)
    except ValueError as error:
        raise ConfigError(f'data of "{name}" is not base64: {error}') from error


def named_by(pod: Pod) -> tuple[set[str], set[str]]:
    """The names of all ConfigMaps and Secrets that its containers or volumes read."""
    config_maps: set[str | None] = set()
    secrets: set[str | None] = set()
    for container in (*pod.spec.init_containers, *pod.spec.containers):
        _named_by_container(container, config_maps, secrets)
    for volume in pod.spec.volumes:
        if volume.config_map:
            config_maps.add(volume.config_map.name)
        if volume.secret:
            secrets.add(volume.secret.secret_name)
        for source in volume.projected.sources if volume.projected else ():
            if source.config_map:
                config_maps.add(source.config_map.name)
            if source.secret:
                secrets.add(source.secret.name)
    return {name for name in config_maps if name}, {name for name in secrets if name}


def _named_by_container(container: Container, config_maps: set[str | None], secrets: set[str | None]) -> None:
    for whole in container.env_from:
        if whole.config_map_ref:
            config_maps.add(whole.config_map_ref.name)
        if whole.secret_ref:
            secrets.add(whole.secret_ref.name)
    for variable in container.env:
        source = variable.value_from
        if source and source.config_map_key_ref:
            config_maps.add(source.config_map_key_ref.name)
        if source and source.secret_key_ref:
            secrets.add(source.secret_key_ref.name)


Changed = Callable[[str, bool], None]  # of the Pod with that uid; whether it was not there before

_Name = tuple[type[ConfigMap] | type[Secret], str, str]


@dataclass(slots=True, eq=False)
class _Watched:
    """One object that somebody names. `users` by the uid of a Pod: whom to tell of a change."""

    key: _Name
    users: dict[str, Changed] = field(default_factory=dict)
    value: Any = None
    read: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    @property
    def kind(self) -> type[Any]:
        return self.key[0]


class References:
    """One for all nodes of a process."""

    def __init__(self, client: Client, clock: Clock, random: Random, log: Logger, timers: Timers) -> None:
        self._client, self._clock, self._random, self._log = client, clock, random, log
        self._timers = timers
        self._watched: dict[_Name, _Watched] = {}
        self._of_pod: dict[str, tuple[_Name, ...]] = {}
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Holds the watches, until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for watched in self._watched.values():
                    self._begin(watched)
                await asyncio.Event().wait()
        finally:
            self._group = None

    def follow(self, pod: Pod, changed: Changed) -> None:
        """From now on `changed` is called when something that the Pod names changes."""
        uid, namespace = pod.metadata.uid or "", pod.metadata.namespace or ""
        config_maps, secrets = named_by(pod)
        wanted: set[_Name] = {(ConfigMap, namespace, name) for name in config_maps if name != CLUSTER_CAS[1]}
        wanted |= {(Secret, namespace, name) for name in secrets}
        for name in {*self._of_pod.get(uid, ())} - wanted:
            self._drop(uid, name)
        entries = [self._entry(name) for name in wanted]
        for watched in entries:
            watched.users[uid] = changed
        if entries:
            self._of_pod[uid] = tuple(watched.key for watched in entries)

    async def fetch(self, pod: Pod) -> Sources:
        """What the Pod names, as last seen. ConfigError when something could not be read in time."""
        uid = pod.metadata.uid or ""
        sources = Sources(pod.metadata.namespace or "")
        if uid not in self._of_pod:
            self.follow(pod, _nobody)
        for name in self._of_pod.get(uid, ()):
            watched = self._watched[name]
            await self._wait(watched)
            if watched.kind is ConfigMap:
                sources.config_maps[name[2]] = watched.value
            else:
                sources.secrets[name[2]] = watched.value
        return sources

    def forget(self, uid: str) -> None:
        """The Pod is gone from here."""
        for name in self._of_pod.pop(uid, ()):
            self._drop(uid, name)

    async def _wait(self, watched: _Watched) -> None:
        if watched.read.is_set():
            return
        try:
            async with self._clock.timeout(SYNC_SECONDS):
                await watched.read.wait()
        except TimeoutError:
            kind = watched.kind.kind.lower()
            raise ConfigError(f"failed to sync {kind} cache: timed out waiting for the condition") from None

    def _entry(self, name: _Name) -> _Watched:
        watched = self._watched.get(name)
        if watched is None:
            watched = self._watched[name] = _Watched(name)
            if self._group is not None:
                self._begin(watched)
        return watched

    def _begin(self, watched: _Watched) -> None:
        if self._group is not None and watched.task is None:
            watched.task = self._group.create_task(
                self._watch(watched), name=f"{watched.kind.kind} {watched.key[1]}/{watched.key[2]}"
            )

    async def _watch(self, watched: _Watched) -> None:
        reflector: Reflector[Any] = Reflector(
            self._client, watched.kind, self._clock, self._random, self._log,
            namespace=watched.key[1], fields=f"metadata.name={watched.key[2]}",
        )  # fmt: skip
        informer = Informer(reflector)
        informer.add_handler(
            lambda new, cause: self._seen(watched, new),
            lambda old, new, cause: self._seen(watched, new),
            lambda old, cause: self._seen(watched, None),
        )
        async with asyncio.TaskGroup() as group:
            running = group.create_task(informer.run())
            await informer.wait_synced()
            watched.read.set()
            if watched.value is not None and watched.value.immutable:
                running.cancel()  # Nothing will ever change in it.

    def _seen(self, watched: _Watched, value: Any) -> None:
        before, watched.value = watched.value, value
        if not watched.read.is_set():
            return
        for uid, changed in [*watched.users.items()]:
            changed(uid, before is None)

    def _drop(self, uid: str, name: _Name) -> None:
        watched = self._watched[name]
        watched.users.pop(uid, None)
        if not watched.users:
            self._timers.after(LINGER_SECONDS, lambda: self._end(name))

    def _end(self, name: _Name) -> None:
        watched = self._watched.get(name)
        if watched is None or watched.users:
            return
        del self._watched[name]
        if watched.task is not None:
            watched.task.cancel()


def _nobody(uid: str, new: bool) -> None:
    """Nobody wants to know."""
