"""The ConfigMaps and Secrets that a Pod names, fetched before its containers are put together.

`Sources` is what was found; the builders of environments and volumes read from it and stay pure.
Upstream: the watch-based `ConfigMapManager`; here each is fetched when a container starts, which
costs nothing while nothing starts.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field

from services.api import errors
from services.api.core_v1 import ConfigMap, Container, Pod, Secret
from services.client.client import Client


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
        return data | {key: base64.b64decode(text) for key, text in found.binary_data.items()}

    def secret(self, name: str, *, optional: bool) -> dict[str, bytes] | None:
        found = self.secrets.get(name)
        if found is None:
            if optional:
                return None
            raise ConfigError(f'secret "{name}" not found')
        return {key: base64.b64decode(text) for key, text in found.data.items()}


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


async def fetch(client: Client, pod: Pod) -> Sources:
    """Reads them from the API server. ApiError when it cannot be asked; what is missing is None."""
    namespace = pod.metadata.namespace or ""
    sources = Sources(namespace)
    config_maps, secrets = named_by(pod)
    await _fetch_config_maps(client, sources, config_maps)
    for name in secrets:
        try:
            sources.secrets[name] = await client.get(Secret, name, namespace)
        except errors.ApiError as error:
            if not errors.is_not_found(error):
                raise
            sources.secrets[name] = None
    return sources


async def _fetch_config_maps(client: Client, sources: Sources, names: Iterable[str]) -> None:
    for name in names:
        try:
            sources.config_maps[name] = await client.get(ConfigMap, name, sources.namespace)
        except errors.ApiError as error:
            if not errors.is_not_found(error):
                raise
            sources.config_maps[name] = None
