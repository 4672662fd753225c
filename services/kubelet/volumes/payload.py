"""The files that a volume shows: from ConfigMaps, Secrets, the Pod's own fields, and tokens. Pure.

Upstream: `MakePayload` of pkg/volume/configmap, /secret, /projected; `CollectData` of /downwardapi.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from services.api.core_v1 import (
    DownwardAPIVolumeFile,
    KeyToPath,
    Pod,
    ProjectedVolumeSource,
    ServiceAccountTokenProjection,
    Volume,
    VolumeProjection,
)
from services.kubelet import downward
from services.kubelet.references import CLUSTER_CAS, ConfigError, Sources

DEFAULT_MODE = 0o644


class File(NamedTuple):
    data: bytes
    mode: int = DEFAULT_MODE


Files = dict[str, File]  # by path inside the volume
Token = Callable[[ServiceAccountTokenProjection], bytes]


@dataclass(frozen=True, slots=True)
class Ground:
    """What files are made from, beside the Pod: objects of its namespace, its node, its tokens."""

    sources: Sources
    allocatable: Mapping[str, str]
    token: Token


def files_of(pod: Pod, volume: Volume, ground: Ground) -> Files:
    """ConfigError where something that is not optional is missing."""
    files: Files
    if volume.config_map:
        source = volume.config_map
        found = ground.sources.config_map(source.name or "", optional=bool(source.optional))
        files = _select(found, source.items, bool(source.optional), _mode(source.default_mode), "config")
    elif volume.secret:
        secret = volume.secret
        found = ground.sources.secret(secret.secret_name or "", optional=bool(secret.optional))
        files = _select(found, secret.items, bool(secret.optional), _mode(secret.default_mode), "secret")
    elif volume.downward_api:
        files = _downward(pod, volume.downward_api.items, _mode(volume.downward_api.default_mode), ground)
    else:
        files = _projected(pod, volume.projected or ProjectedVolumeSource(), ground)
    return _for_group(pod, files)


def _mode(given: int | None) -> int:
    return DEFAULT_MODE if given is None else given


def _for_group(pod: Pod, files: Files) -> Files:
    """A Pod with an fsGroup has its group read what it is shown."""
    context = pod.spec.security_context
    if context is None or context.fs_group is None:
        return files
    return {name: File(file.data, file.mode | 0o440) for name, file in files.items()}


def _select(
    found: Mapping[str, bytes] | None, items: Sequence[KeyToPath], optional: bool, mode: int, what: str
) -> Files:
    if found is None:
        return {}
    if not items:
        return {key: File(data, mode) for key, data in found.items()}
    files: Files = {}
    for item in items:
        if item.key in found:
            files[item.path] = File(found[item.key], mode if item.mode is None else item.mode)
        elif not optional:
            raise ConfigError(f"references non-existent {what} key: {item.key}")
    return files


def _downward(pod: Pod, items: Sequence[DownwardAPIVolumeFile], mode: int, ground: Ground) -> Files:
    files: Files = {}
    for item in items:
        if item.field_ref:
            text = downward.field_value(pod, item.field_ref.field_path)
        elif item.resource_field_ref:
            named = item.resource_field_ref.container_name
            everyone = (*pod.spec.containers, *pod.spec.init_containers)
            container = next((c for c in everyone if c.name == named), None)
            if container is None:
                raise ConfigError(f"container {named} not found")
            text = downward.resource_value(pod, container, item.resource_field_ref, ground.allocatable)
        else:
            continue
        files[item.path] = File(text.encode(), mode if item.mode is None else item.mode)
    return files


def _projected(pod: Pod, projected: ProjectedVolumeSource, ground: Ground) -> Files:
    files: Files = {}
    mode = _mode(projected.default_mode)
    for source in projected.sources:
        files |= _projection(pod, source, mode, ground)
    return files


def _projection(pod: Pod, source: VolumeProjection, mode: int, ground: Ground) -> Files:
    if config := source.config_map:
        # A cluster without a CA has no such file; see references.References.
        optional = bool(config.optional) or config.name in CLUSTER_CAS
        found = ground.sources.config_map(config.name or "", optional=optional)
        return _select(found, config.items, optional, mode, "config")
    if secret := source.secret:
        found = ground.sources.secret(secret.name or "", optional=bool(secret.optional))
        return _select(found, secret.items, bool(secret.optional), mode, "secret")
    if source.downward_api:
        return _downward(pod, source.downward_api.items, mode, ground)
    if token := source.service_account_token:
        # A process that is not root can read it all the same: its user is known only to its image.
        return {token.path: File(ground.token(token), mode)}
    if source.cluster_trust_bundle:
        raise ConfigError("ClusterTrustBundle projection is not supported in this cluster")
    if source.pod_certificate:
        raise ConfigError("PodCertificate projection is not supported in this cluster")
    return {}


def token_requests(pod: Pod) -> list[tuple[Volume, ServiceAccountTokenProjection]]:
    """The tokens that its volumes show, and which volume shows each."""
    return [
        (volume, source.service_account_token)
        for volume in pod.spec.volumes
        for source in (volume.projected.sources if volume.projected else ())
        if source.service_account_token
    ]
