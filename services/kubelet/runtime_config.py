"""From a Pod's spec to what the CRI is asked for: the configuration of its sandbox and containers.

Pure. Labels and annotations are upstream's, so that tools which list a node's containers by label
find them, and so that a restarted kubelet recognises its own. Upstream: `kuberuntime_sandbox.go`,
`kuberuntime_container.go`, `labels.go`.
"""

from __future__ import annotations

import json
import zlib

from services.api.core_v1 import Container, Pod, PodSecurityContext, ResourceRequirements
from services.kubelet.cri import ContainerConfig, ImageRecord, Mount, NamespaceMode, Resources, SandboxConfig
from services.kubelet.environment import expand
from services.machinery import quantity

HASH_ANNOTATION = "io.kubernetes.container.hash"
MEMORY_MOUNTS = "io.kubernetes.container.memoryMounts"
CLUSTER_DOMAIN = "cluster.local"
CLUSTER_DNS = "10.96.0.10"
POD_LOG_ROOT = "/var/log/pods"
_CPU_PERIOD = 100_000
_MIN_SHARES = 2
_MIN_QUOTA = 1000
HOSTNAME_LENGTH_MAX = 63
FQDN_LENGTH_MAX = 64


def pod_log_directory(pod: Pod) -> str:
    metadata = pod.metadata
    return f"{POD_LOG_ROOT}/{metadata.namespace}_{metadata.name}_{metadata.uid}"


def hostname(pod: Pod, node_name: str) -> str:
    if pod.spec.hostname_override:
        return pod.spec.hostname_override
    if pod.spec.host_network:
        return node_name
    return (pod.spec.hostname or pod.metadata.name or "")[:HOSTNAME_LENGTH_MAX].rstrip("-.")


def fqdn(pod: Pod) -> str:
    """The name with which the cluster's DNS knows it, when it has a subdomain; else empty."""
    if not pod.spec.subdomain:
        return ""
    return f"{hostname(pod, '')}.{pod.spec.subdomain}.{pod.metadata.namespace}.svc.{CLUSTER_DOMAIN}"


def kernel_hostname(pod: Pod, node_name: str) -> str:
    """What `hostname` prints in it. ValueError when the full name, which was asked for, is too long."""
    if not pod.spec.set_hostname_as_fqdn or pod.spec.host_network:
        return hostname(pod, node_name)
    full = fqdn(pod) or hostname(pod, node_name)
    if len(full) > FQDN_LENGTH_MAX:
        raise ValueError(
            f"failed to construct FQDN from pod hostname and cluster domain, FQDN {full} is too long "
            f"({FQDN_LENGTH_MAX} characters is the max, {len(full)} characters requested)"
        )
    return full


def hosts_file(pod: Pod, address: str, node_name: str) -> bytes | None:
    """Its /etc/hosts where it says more than the runtime's own; None where it does not."""
    domain = fqdn(pod).partition(".")[2]
    if not pod.spec.host_aliases and not domain:
        return None
    lines = [
        "# Kubernetes-managed hosts file.",
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "fe00::0\tip6-localnet",
        "fe00::0\tip6-mcastprefix",
        "fe00::1\tip6-allnodes",
        "fe00::2\tip6-allrouters",
    ]
    name = hostname(pod, node_name)
    lines.append(f"{address}\t{name}.{domain}\t{name}" if domain else f"{address}\t{name}")
    if pod.spec.host_aliases:
        lines += ["", "# Entries added by HostAliases."]
        lines += ["\t".join((alias.ip, *alias.hostnames)) for alias in pod.spec.host_aliases]
    return ("\n".join(lines) + "\n").encode()


def sandbox_config(pod: Pod, attempt: int, node_name: str, handler: str = "") -> SandboxConfig:
    """`handler` is that of the Pod's RuntimeClass. ValueError for a hostname that cannot be."""
    metadata = pod.metadata
    servers, searches, options = _dns(pod)
    return SandboxConfig(
        name=metadata.name or "",
        namespace=metadata.namespace or "",
        uid=metadata.uid or "",
        attempt=attempt,
        hostname=kernel_hostname(pod, node_name),
        log_directory=pod_log_directory(pod),
        labels={**metadata.labels, **_identity(pod)},
        annotations={**metadata.annotations},
        dns_servers=servers,
        dns_searches=searches,
        dns_options=options,
        host_network=bool(pod.spec.host_network),
        pid_mode=pid_mode(pod),
        host_ipc=bool(pod.spec.host_ipc),
        runtime_handler=handler,
        port_mappings=tuple(
            (port.protocol or "TCP", port.container_port, port.host_port)
            for container in pod.spec.containers
            for port in container.ports
            if port.host_port
        ),
    )


def pid_mode(pod: Pod) -> NamespaceMode:
    if pod.spec.host_pid:
        return NamespaceMode.NODE
    return NamespaceMode.POD if pod.spec.share_process_namespace else NamespaceMode.CONTAINER


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
    target_id: str = "",
) -> ContainerConfig:
    """`image` is what the image manager resolved the spec's image to. `target_id`: of an ephemeral one."""
    own, shared = container.security_context, pod.spec.security_context
    capabilities = own.capabilities if own else None
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
        resources=resources(container.resources),
        run_as_user=_first(own.run_as_user if own else None, shared.run_as_user if shared else None),
        run_as_group=_first(own.run_as_group if own else None, shared.run_as_group if shared else None),
        supplemental_groups=_groups(shared),
        add_capabilities=tuple(capabilities.add) if capabilities else (),
        drop_capabilities=tuple(capabilities.drop) if capabilities else (),
        readonly_rootfs=bool(own and own.read_only_root_filesystem),
        privileged=bool(own and own.privileged),
        pid_mode=NamespaceMode.TARGET if target_id else pid_mode(pod),
        target_id=target_id,
        stop_signal=(container.lifecycle.stop_signal or "") if container.lifecycle else "",
    )


def resources(wanted: ResourceRequirements | None) -> Resources:
    """In the units of the cgroup."""
    limits = wanted.limits if wanted else {}
    requests = wanted.requests if wanted else {}
    cpu = quantity.milli(str(requests.get("cpu") or limits.get("cpu") or "0"))
    cpu_limit = quantity.milli(str(limits.get("cpu") or "0"))
    return Resources(
        cpu_shares=max(_MIN_SHARES, cpu * 1024 // 1000),
        cpu_quota=max(_MIN_QUOTA, cpu_limit * _CPU_PERIOD // 1000) if cpu_limit else 0,
        memory_limit_bytes=quantity.value(str(limits.get("memory") or "0")),
    )


def _groups(shared: PodSecurityContext | None) -> tuple[int, ...]:
    if shared is None:
        return ()
    own = (shared.fs_group,) if shared.fs_group is not None else ()
    return (*own, *shared.supplemental_groups)


def must_not_be_root(pod: Pod, container: Container, image: ImageRecord) -> str:
    """Why it may not run as the user it would run as; empty when it may."""
    own, shared = container.security_context, pod.spec.security_context
    refused = _first(own.run_as_non_root if own else None, shared.run_as_non_root if shared else None)
    if not refused:
        return ""
    user = _first(own.run_as_user if own else None, shared.run_as_user if shared else None)
    who = f'(pod: "{full_name(pod)}", container: {container.name})'
    if user is not None:
        return f"container's runAsUser breaks non-root policy {who}" if user == 0 else ""
    if image.uid == 0 or (image.uid is None and not image.username):
        return f"container has runAsNonRoot and image will run as root {who}"
    if image.uid is None:
        return (
            f"container has runAsNonRoot and image has non-numeric user ({image.username}), "
            f"cannot verify user is non-root {who}"
        )
    return ""


def full_name(pod: Pod) -> str:
    """As upstream names a Pod in messages."""
    return f"{pod.metadata.name}_{pod.metadata.namespace}({pod.metadata.uid})"


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
    if in_memory := _memory_mounts(pod, container):
        annotations[MEMORY_MOUNTS] = json.dumps(in_memory)
    return annotations


def _memory_mounts(pod: Pod, container: Container) -> dict[str, int]:
    """Where the container has volumes that lie in memory, with the size of each; 0 is any size.

    A real kubelet mounts a tmpfs, which the kernel charges. Runtimes of ours know by this, others ignore it.
    """
    sizes = {
        volume.name: quantity.value(volume.empty_dir.size_limit or "0")
        for volume in pod.spec.volumes
        if volume.empty_dir is not None and volume.empty_dir.medium == "Memory"
    }
    return {mount.mount_path: sizes[mount.name] for mount in container.volume_mounts if mount.name in sizes}


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)
