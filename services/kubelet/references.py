"""The ConfigMaps and Secrets that a Pod names, fetched before its containers are put together.

`Sources` is what was found; the builders of environments and volumes read from it and stay pure.
Upstream: the watch-based `ConfigMapManager`; here each is fetched when a container starts, which
costs nothing while nothing starts.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TypeVar

from services.api import errors
from services.api.core_v1 import ConfigMap, Container, Pod, Secret
from services.client.client import Client
from services.machinery.clock import Clock

K = TypeVar("K", ConfigMap, Secret)

# What admission mounts into every Pod.
CLUSTER_CAS = ("kube-root-ca.crt", "openshift-service-ca.crt")
SHARED_SECONDS = 60.0


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


class References:
    """Reads them from the API server. One for all nodes of a process.

    The cluster's CAs, which every Pod mounts, are read once a minute at most. A cluster that does not
    publish them has Pods all the same: their volume then lacks the files.
    """

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client, self._clock = client, clock
        self._shared: dict[tuple[str, str], tuple[float, ConfigMap]] = {}

    async def fetch(self, pod: Pod) -> Sources:
        """ApiError when the server cannot be asked; what is missing is None."""
        namespace = pod.metadata.namespace or ""
        sources = Sources(namespace)
        config_maps, secrets = named_by(pod)
        for name in config_maps:
            if name in CLUSTER_CAS:
                sources.config_maps[name] = await self._cluster_ca(name, namespace)
            else:
                sources.config_maps[name] = await self._get(ConfigMap, name, namespace)
        for name in secrets:
            sources.secrets[name] = await self._get(Secret, name, namespace)
        return sources

    async def _cluster_ca(self, name: str, namespace: str) -> ConfigMap:
        now = self._clock.monotonic()
        known = self._shared.get((namespace, name))
        if known is None or now - known[0] > SHARED_SECONDS:
            known = (now, await self._get(ConfigMap, name, namespace) or ConfigMap())
            self._shared[namespace, name] = known
        return known[1]

    async def _get(self, kind: type[K], name: str, namespace: str) -> K | None:
        try:
            return await self._client.get(kind, name, namespace)
        except errors.ApiError as error:
            if not errors.is_not_found(error):
                raise
            return None
