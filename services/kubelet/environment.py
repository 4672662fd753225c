"""The environment of a container: services, envFrom, env, and `$(VAR)` in all of them. Pure.

Upstream: `makeEnvironmentVariables` in `pkg/kubelet/kubelet_pods.go`, `pkg/kubelet/envvars` and
`third_party/forked/golang/expansion`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from services.api.core_v1 import Container, EnvVarSource, Pod, Service
from services.kubelet import downward
from services.kubelet.references import ConfigError, Sources

_REFERENCE = re.compile(r"\$(\$|\(([^)]*)\))")
_NOT_IN_NAMES = re.compile(r"[^A-Z0-9_]")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a container's environment is made from, beside its own spec."""

    sources: Sources
    services: Mapping[str, str]
    host_ip: str
    pod_ip: str
    allocatable: Mapping[str, str]


def expand(text: str, *scopes: Mapping[str, str]) -> str:
    """Replaces `$(NAME)` by the first scope that has it; `$$` is a dollar; what nobody knows stays."""
    if "$" not in text:
        return text

    def one(match: re.Match[str]) -> str:
        if match[1] == "$":
            return "$"
        return next((scope[match[2]] for scope in scopes if match[2] in scope), match[0])

    return _REFERENCE.sub(one, text)


def variables(pod: Pod, container: Container, around: Surroundings) -> dict[str, str]:
    """In order; a later definition of a name takes the place of an earlier one."""
    result: dict[str, str] = {}
    for source in container.env_from:
        prefix = source.prefix or ""
        found: dict[str, bytes] | None = {}
        if source.config_map_ref and source.config_map_ref.name:
            found = around.sources.config_map(
                source.config_map_ref.name, optional=bool(source.config_map_ref.optional)
            )
        elif source.secret_ref and source.secret_ref.name:
            found = around.sources.secret(source.secret_ref.name, optional=bool(source.secret_ref.optional))
        for key, value in (found or {}).items():
            result[prefix + key] = value.decode(errors="replace")
    for variable in container.env:
        if variable.value_from is None:
            result[variable.name] = expand(variable.value or "", result, around.services)
        elif (text := _referred(pod, container, variable.value_from, around)) is not None:
            result[variable.name] = text
    for name, text in around.services.items():
        result.setdefault(name, text)
    return result


def _referred(pod: Pod, container: Container, source: EnvVarSource, around: Surroundings) -> str | None:
    """None where an optional source is missing."""
    if source.field_ref:
        path = source.field_ref.field_path
        return downward.field_value(pod, path, host_ip=around.host_ip, pod_ip=around.pod_ip)
    if source.resource_field_ref:
        return downward.resource_value(pod, container, source.resource_field_ref, around.allocatable)
    namespace = around.sources.namespace
    if ref := source.config_map_key_ref:
        found = around.sources.config_map(ref.name or "", optional=bool(ref.optional))
        return _key(found, ref.key, bool(ref.optional), f"ConfigMap {namespace}/{ref.name}")
    if secret := source.secret_key_ref:
        found = around.sources.secret(secret.name or "", optional=bool(secret.optional))
        return _key(found, secret.key, bool(secret.optional), f"Secret {namespace}/{secret.name}")
    return None


def _key(found: Mapping[str, bytes] | None, key: str, optional: bool, where: str) -> str | None:
    if found is not None and key in found:
        return found[key].decode(errors="replace")
    if optional:
        return None
    raise ConfigError(f"couldn't find key {key} in {where}")


# ---- Services --------------------------------------------------------------------------------


def service_variables(pod: Pod, services: Iterable[Service]) -> dict[str, str]:
    """`KUBIA_SERVICE_HOST` and its kin, for the Services of the Pod's namespace.

    The API server's own Service counts everywhere. Variables know only the Services that are
    older than the container; who needs more asks DNS.
    """
    links = pod.spec.enable_service_links is not False
    result: dict[str, str] = {}
    for service in services:
        namespace, name = service.metadata.namespace, service.metadata.name or ""
        master = namespace == "default" and name == "kubernetes"
        if not (master or (links and namespace == pod.metadata.namespace)):
            continue
        address = service.spec.cluster_ip
        if address and address != "None" and service.spec.ports:
            result |= _of_service(name, address, service)
    return result


def _of_service(name: str, address: str, service: Service) -> dict[str, str]:
    word = _variable_name(name)
    first = service.spec.ports[0]
    result = {f"{word}_SERVICE_HOST": address, f"{word}_SERVICE_PORT": str(first.port)}
    for port in service.spec.ports:
        if port.name:
            result[f"{word}_SERVICE_PORT_{_variable_name(port.name)}"] = str(port.port)
    protocol = (first.protocol or "TCP").lower()
    result[f"{word}_PORT"] = f"{protocol}://{address}:{first.port}"
    for port in service.spec.ports:
        kind = port.protocol or "TCP"
        prefix = f"{word}_PORT_{port.port}_{kind.upper()}"
        result |= {
            prefix: f"{kind.lower()}://{address}:{port.port}",
            f"{prefix}_PROTO": kind.lower(),
            f"{prefix}_PORT": str(port.port),
            f"{prefix}_ADDR": address,
        }
    return result


def _variable_name(name: str) -> str:
    return _NOT_IN_NAMES.sub("_", name.upper())
