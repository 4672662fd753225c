"""From a Pod's spec to what the CRI is asked for: the configuration of its sandbox and containers.

Pure. Labels and annotations are upstream's, so that tools which list a node's containers by label
find them, and so that a restarted kubelet recognises its own. Upstream: `kuberuntime_sandbox.go`,
`kuberuntime_container.go`, `labels.go`.
"""

from __future__ import annotations

import zlib

from services.api.core_v1 import Container, Pod
from services.kubelet.cri import ContainerConfig, Mount, SandboxConfig
from services.kubelet.environment import expand
from services.machinery import quantity

HASH_ANNOTATION = "io.kubernetes.container.hash"
CLUSTER_DOMAIN = "cluster.local"
CLUSTER_DNS = "10.96.0.10"
POD_LOG_ROOT = "/var/log/pods"
_CPU_PERIOD = 100_000
_MIN_SHARES = 2
HOSTNAME_LENGTH_MAX = 63


def pod_log_directory(pod: Pod) -> str:
    metadata = pod.metadata
    return f"{POD_LOG_ROOT}/{metadata.namespace}_{metadata.name}_{metadata.uid}"


def hostname(pod: Pod, node_name: str) -> str:
    if pod.spec.hostname_override:
        return pod.spec.hostname_override
    if pod.spec.host_network:
        return node_name
    return (pod.spec.hostname or pod.metadata.name or "")[:HOSTNAME_LENGTH_MAX].rstrip("-.")


def sandbox_config(pod: Pod, attempt: int, node_name: str) -> SandboxConfig:
    metadata = pod.metadata
    servers, searches, options = _dns(pod)
    return SandboxConfig(
        name=metadata.name or "",
        namespace=metadata.namespace or "",
        uid=metadata.uid or "",
        attempt=attempt,
        hostname=hostname(pod, node_name),
        log_directory=pod_log_directory(pod),
        labels={**metadata.labels, **_identity(pod)},
        annotations={**metadata.annotations},
        dns_servers=servers,
        dns_searches=searches,
        dns_options=options,
        host_network=bool(pod.spec.host_network),
        port_mappings=tuple(
            (port.protocol or "TCP", port.container_port, port.host_port)
            for container in pod.spec.containers
            for port in container.ports
            if port.host_port
        ),
    )


def _identity(pod: Pod) -> dict[str, str]:
    return {
        "io.kubernetes.pod.name": pod.metadata.name or "",
        "io.kubernetes.pod.namespace": pod.metadata.namespace or "",
        "io.kubernetes.pod.uid": pod.metadata.uid or "",
    }


def _dns(pod: Pod) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Nameservers, search domains and options of its resolv.conf."""
    policy = pod.spec.dns_policy or "ClusterFirst"
    servers: list[str] = []
    searches: list[str] = []
    options: list[str] = []
    if (policy == "ClusterFirst" and not pod.spec.host_network) or policy == "ClusterFirstWithHostNet":
        servers = [CLUSTER_DNS]
        namespace = pod.metadata.namespace
        searches = [f"{namespace}.svc.{CLUSTER_DOMAIN}", f"svc.{CLUSTER_DOMAIN}", CLUSTER_DOMAIN]
        options = ["ndots:5"]
    if own := pod.spec.dns_config:
        servers += own.nameservers
        searches += own.searches
        options += [f"{o.name}:{o.value}" if o.value else (o.name or "") for o in own.options]
    return tuple(servers), tuple(searches), tuple(options)


def container_hash(container: Container) -> str:
    """Changes when the container must be made anew. Only the image can change in a live Pod."""
    return f"{zlib.crc32(f'{container.name} {container.image}'.encode()):x}"


def container_config(
    pod: Pod,
    container: Container,
    attempt: int,
    image: str,
    environment: dict[str, str],
    mounts: tuple[Mount, ...] = (),
) -> ContainerConfig:
    """`image` is what the image manager resolved the spec's image to."""
    limits = container.resources.limits if container.resources else {}
    requests = container.resources.requests if container.resources else {}
    cpu = quantity.milli(str(requests.get("cpu") or limits.get("cpu") or "0"))
    cpu_limit = quantity.milli(str(limits.get("cpu") or "0"))
    own, shared = container.security_context, pod.spec.security_context
    return ContainerConfig(
        name=container.name,
        attempt=attempt,
        image=image,
        user_image=container.image or "",
        command=tuple(expand(word, environment) for word in container.command),
        args=tuple(expand(word, environment) for word in container.args),
        working_dir=container.working_dir or "",
        envs=tuple(environment.items()),
        mounts=mounts,
        labels={**_identity(pod), "io.kubernetes.container.name": container.name},
        annotations=_annotations(pod, container, attempt),
        log_path=f"{container.name}/{attempt}.log",
        stdin=bool(container.stdin),
        stdin_once=bool(container.stdin_once),
        tty=bool(container.tty),
        cpu_shares=max(_MIN_SHARES, cpu * 1024 // 1000),
        cpu_quota=cpu_limit * _CPU_PERIOD // 1000,
        memory_limit_bytes=quantity.value(str(limits.get("memory") or "0")),
        run_as_user=_first(own.run_as_user if own else None, shared.run_as_user if shared else None),
        run_as_group=_first(own.run_as_group if own else None, shared.run_as_group if shared else None),
        readonly_rootfs=bool(own and own.read_only_root_filesystem),
        privileged=bool(own and own.privileged),
    )


def _annotations(pod: Pod, container: Container, attempt: int) -> dict[str, str]:
    annotations = {
        HASH_ANNOTATION: container_hash(container),
        "io.kubernetes.container.restartCount": str(attempt),
        "io.kubernetes.container.terminationMessagePath": container.termination_message_path
        or "/dev/termination-log",
        "io.kubernetes.container.terminationMessagePolicy": container.termination_message_policy or "File",
    }
    if pod.spec.termination_grace_period_seconds is not None:
        annotations["io.kubernetes.pod.terminationGracePeriod"] = str(
            pod.spec.termination_grace_period_seconds
        )
    return annotations


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)
