"""Volumes: which files each one holds, where it lies, and how a container mounts it.

`contents` and `mounts` decide; `write` puts the files below the node's root directory, where the
runtime finds them by path, as on a real node. Names of files come from manifests: a path that
would leave its volume is refused here, whatever the API server let through.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.api.core_v1 import Container, KeyToPath, Pod, Volume
from services.kubelet import downward
from services.kubelet.cri import Mount
from services.kubelet.environment import Surroundings, expand
from services.kubelet.references import CLUSTER_CAS, ConfigError

Files = dict[str, bytes]  # by path inside the volume

FILE_MODE = 0o644
TEMPORARY = "..new"  # No key of a ConfigMap begins with two dots.
_PLUGINS = ("empty_dir", "config_map", "secret", "downward_api", "projected", "host_path")
_DIRECTORY = {"empty_dir": "empty-dir", "config_map": "configmap", "downward_api": "downward-api"}


@dataclass(frozen=True, slots=True)
class PodDirectory:
    """Where a Pod's files lie on its node: `<root>/pods/<uid>`."""

    root: Path
    uid: str

    @property
    def path(self) -> str:
        return f"{self.root}/pods/{self.uid}"

    def volume(self, volume: Volume) -> str:
        plugin = plugin_of(volume)
        return f"{self.path}/volumes/kubernetes.io~{_DIRECTORY.get(plugin, plugin)}/{volume.name}"


def plugin_of(volume: Volume) -> str:
    """Which kind of volume it is. ConfigError for those that this node has no plugin for."""
    for plugin in _PLUGINS:
        if getattr(volume, plugin) is not None:
            return plugin
    raise ConfigError(f'no volume plugin matched name: volume "{volume.name}"')


def follows_objects(pod: Pod) -> bool:
    """Whether any of its volumes shows a ConfigMap or Secret that somebody may change."""
    for volume in pod.spec.volumes:
        if volume.config_map or volume.secret:
            return True
        for source in volume.projected.sources if volume.projected else ():
            if source.secret or (source.config_map and source.config_map.name not in CLUSTER_CAS):
                return True
    return False


def contents(pod: Pod, volume: Volume, around: Surroundings) -> Files | None:
    """The files that it starts with; None for a host path, which is not ours to fill."""
    if volume.host_path:
        return None
    if volume.config_map:
        source = volume.config_map
        found = around.sources.config_map(source.name or "", optional=bool(source.optional))
        return _select(found, source.items, bool(source.optional))
    if volume.secret:
        secret = volume.secret
        found = around.sources.secret(secret.secret_name or "", optional=bool(secret.optional))
        return _select(found, secret.items, bool(secret.optional))
    if volume.downward_api:
        return _downward(pod, volume.downward_api.items, around)
    return _projected(pod, volume, around)


def _projected(pod: Pod, volume: Volume, around: Surroundings) -> Files:
    files: Files = {}
    for source in volume.projected.sources if volume.projected else ():
        if source.config_map:
            # A cluster without a CA has no such file; see references.References.
            optional = bool(source.config_map.optional) or source.config_map.name in CLUSTER_CAS
            found = around.sources.config_map(source.config_map.name or "", optional=optional)
            files |= _select(found, source.config_map.items, optional)
        if source.secret:
            optional = bool(source.secret.optional)
            found = around.sources.secret(source.secret.name or "", optional=optional)
            files |= _select(found, source.secret.items, optional)
        if source.downward_api:
            files |= _downward(pod, source.downward_api.items, around)
        if source.service_account_token:
            # Nobody here checks tokens yet; programs only expect the file.
            files[source.service_account_token.path] = b""
    return files


def _select(found: Mapping[str, bytes] | None, items: Sequence[KeyToPath], optional: bool) -> Files:
    if found is None:
        return {}
    if not items:
        return dict(found)
    files: Files = {}
    for item in items:
        if item.key in found:
            files[item.path] = found[item.key]
        elif not optional:
            raise ConfigError(f"references non-existent config key: {item.key}")
    return files


def _downward(pod: Pod, items: Sequence[object], around: Surroundings) -> Files:
    files: Files = {}
    for item in items:
        field_ref = getattr(item, "field_ref", None)
        resource_ref = getattr(item, "resource_field_ref", None)
        path: str = getattr(item, "path", "")
        if field_ref:
            text = downward.field_value(
                pod, field_ref.field_path, host_ip=around.host_ip, pod_ip=around.pod_ip
            )
        elif resource_ref:
            text = downward.resource_value(pod, pod.spec.containers[0], resource_ref, around.allocatable)
        else:
            continue
        files[path] = text.encode()
    return files


def write(directory: str, files: Files) -> None:
    """Makes the volume's directory hold these files; an emptyDir (no files) keeps what it has.

    Plain system calls: every Pod mounts at least one volume, and a Pod's start is counted in them.
    ConfigError when the machine refuses a name or has no room.
    """
    fresh = f"{directory}/{TEMPORARY}"
    try:
        os.makedirs(directory, exist_ok=True)
        for name, data in files.items():
            target = f"{directory}/{_inside(name)}"
            if "/" in name:
                os.makedirs(os.path.dirname(target), exist_ok=True)
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE)
            try:
                os.write(descriptor, data)
            finally:
                os.close(descriptor)
            os.replace(fresh, target)
    except OSError as error:
        raise ConfigError(f"cannot write the volume: {error.strerror}") from error


def remove(directory: PodDirectory) -> None:
    shutil.rmtree(directory.path, ignore_errors=True)


def _inside(name: str) -> str:
    if not name or name.startswith("/") or ".." in name.split("/") or "\0" in name:
        raise ConfigError(f"invalid path in volume: {name!r}")
    return name


def mounts(
    pod: Pod, container: Container, directory: PodDirectory, environment: Mapping[str, str]
) -> tuple[Mount, ...]:
    """One mount for each volumeMount of the container, in order."""
    volumes = {volume.name: volume for volume in pod.spec.volumes}
    found = []
    for mount in container.volume_mounts:
        volume = volumes.get(mount.name)
        if volume is None:
            raise ConfigError(f'volume "{mount.name}" not found')
        if volume.host_path:
            source = volume.host_path.path
        else:
            source = directory.volume(volume)
        part = expand(mount.sub_path_expr, environment) if mount.sub_path_expr else mount.sub_path
        if part:
            source = f"{source}/{_inside(part)}"
        found.append(Mount(container_path=mount.mount_path, host_path=source, readonly=bool(mount.read_only)))
    return tuple(found)
