"""Between the messages of `runtime.v1` and the kubelet's own records. Pure.

Nothing else of the kubelet but the two clients (`cri_grpc`, `cri_plain`) sees those messages. Upstream:
`pkg/kubelet/kuberuntime/convert.go` and its neighbours.
"""

from __future__ import annotations

from typing import Any

import grpc
import grpc.aio

from services.kubelet.cri import (
    ContainerConfig,
    ContainerRecord,
    ContainerState,
    CriError,
    ImageRecord,
    NamespaceMode,
    Resources,
    SandboxConfig,
    SandboxRecord,
    SandboxUsage,
    Usage,
)
from services.pb.runtime.v1 import api_pb2 as pb

_PROTOCOLS = {"TCP": pb.TCP, "UDP": pb.UDP, "SCTP": pb.SCTP}
_STATES = {state.value: state for state in ContainerState}


def as_cri_error(error: grpc.aio.AioRpcError) -> CriError:
    return CriError(go_code(error.code()), error.details() or "")


def go_code(code: grpc.StatusCode) -> str:
    """NOT_FOUND as Go prints it: NotFound."""
    return "".join(word.capitalize() for word in code.name.split("_"))


def condition_text(condition: Any) -> str:
    return f"{condition.type}=false reason:{condition.reason} message:{condition.message}"


def stream_token(url: str) -> str:
    return url.rpartition("#")[2]


def sandbox_record(status: Any) -> SandboxRecord:
    return SandboxRecord(
        id=status.id,
        uid=status.metadata.uid,
        name=status.metadata.name,
        namespace=status.metadata.namespace,
        attempt=status.metadata.attempt,
        ready=status.state == pb.SANDBOX_READY,
        created_at=status.created_at,
        ip=status.network.ip,
    )


def container_records(statuses: Any) -> tuple[ContainerRecord, ...]:
    return tuple(container_record(status) for status in statuses)


def container_record(status: Any) -> ContainerRecord:
    user = status.user.linux if status.HasField("user") else None
    return ContainerRecord(
        id=status.id,
        name=status.metadata.name,
        attempt=status.metadata.attempt,
        state=_STATES.get(status.state, ContainerState.UNKNOWN),
        image=status.image.image,
        image_ref=status.image_ref,
        created_at=status.created_at,
        started_at=status.started_at,
        finished_at=status.finished_at,
        exit_code=status.exit_code,
        reason=status.reason,
        message=status.message,
        annotations=dict(status.annotations),
        user=(user.uid, user.gid, tuple(user.supplemental_groups)) if user else None,
        resources=_granted(status.resources.linux) if status.resources.HasField("linux") else None,
        log_path=status.log_path,
    )


def _granted(linux: Any) -> Resources:
    return Resources(
        cpu_shares=linux.cpu_shares,
        cpu_quota=linux.cpu_quota,
        memory_limit_bytes=linux.memory_limit_in_bytes,
    )


def image_record(image: Any) -> ImageRecord:
    return ImageRecord(
        id=image.id,
        tags=tuple(image.repo_tags),
        digests=tuple(image.repo_digests),
        size_bytes=image.size,
        uid=image.uid.value if image.HasField("uid") else None,
        username=image.username,
    )


def usage_record(stats: Any) -> Usage:
    labels = stats.attributes.labels
    return Usage(
        container_id=stats.attributes.id,
        name=labels.get("io.kubernetes.container.name", stats.attributes.metadata.name),
        pod_uid=labels.get("io.kubernetes.pod.uid", ""),
        cpu_nano_cores=stats.cpu.usage_nano_cores.value,
        cpu_core_nano_seconds=stats.cpu.usage_core_nano_seconds.value,
        memory_bytes=stats.memory.working_set_bytes.value,
        memory_usage_bytes=stats.memory.usage_bytes.value,
        memory_rss_bytes=stats.memory.rss_bytes.value,
        memory_available_bytes=stats.memory.available_bytes.value
        if stats.memory.HasField("available_bytes")
        else None,
        page_faults=stats.memory.page_faults.value,
        major_page_faults=stats.memory.major_page_faults.value,
        written_bytes=stats.writable_layer.used_bytes.value,
        written_inodes=stats.writable_layer.inodes_used.value,
    )


def sandbox_usage_record(stats: Any) -> SandboxUsage:
    interface = stats.linux.network.default_interface
    return SandboxUsage(
        pod_uid=stats.attributes.metadata.uid,
        received_bytes=interface.rx_bytes.value,
        sent_bytes=interface.tx_bytes.value,
        processes=stats.linux.process.process_count.value,
    )


def sandbox_message(config: SandboxConfig) -> pb.PodSandboxConfig:
    message = pb.PodSandboxConfig(
        metadata=pb.PodSandboxMetadata(
            name=config.name, uid=config.uid, namespace=config.namespace, attempt=config.attempt
        ),
        # The machine's own name is not the Pod's to set: runc refuses to.
        hostname="" if config.host_network else config.hostname,
        log_directory=config.log_directory,
        dns_config=pb.DNSConfig(
            servers=config.dns_servers, searches=config.dns_searches, options=config.dns_options
        ),
        port_mappings=[
            pb.PortMapping(protocol=_PROTOCOLS.get(protocol, pb.TCP), container_port=port, host_port=host)
            for protocol, port, host in config.port_mappings
        ],
        labels=config.labels,
        annotations=config.annotations,
    )
    options = message.linux.security_context.namespace_options
    options.pid = config.pid_mode.value  # type: ignore[assignment]
    if config.host_network:
        options.network = pb.NODE
    if config.host_ipc:
        options.ipc = pb.NODE
    return message


def container_message(config: ContainerConfig) -> pb.ContainerConfig:
    message = pb.ContainerConfig(
        metadata=pb.ContainerMetadata(name=config.name, attempt=config.attempt),
        image=pb.ImageSpec(image=config.image, user_specified_image=config.user_image),
        command=config.command,
        args=config.args,
        working_dir=config.working_dir,
        envs=[pb.KeyValue(key=key, value=value.encode()) for key, value in config.envs],
        mounts=[
            pb.Mount(container_path=m.container_path, host_path=m.host_path, readonly=m.readonly)
            for m in config.mounts
        ],
        labels=config.labels,
        annotations=config.annotations,
        log_path=config.log_path,
        stdin=config.stdin,
        stdin_once=config.stdin_once,
        tty=config.tty,
    )
    message.linux.resources.CopyFrom(resources_message(config.resources))
    if config.stop_signal:
        message.stop_signal = pb.Signal.Value(signal_name(config.stop_signal))
    _secure(message.linux.security_context, config)
    return message


def signal_name(signal: str) -> str:
    """SIGRTMIN+1 as the contract spells it."""
    return "SIGNAL_" + signal.replace("+", "PLUS").replace("-", "MINUS")


def resources_message(resources: Resources) -> pb.LinuxContainerResources:
    return pb.LinuxContainerResources(
        cpu_shares=resources.cpu_shares,
        cpu_quota=resources.cpu_quota,
        memory_limit_in_bytes=resources.memory_limit_bytes,
    )


def _secure(security: Any, config: ContainerConfig) -> None:
    security.readonly_rootfs, security.privileged = config.readonly_rootfs, config.privileged
    security.namespace_options.pid = config.pid_mode.value
    if config.pid_mode is NamespaceMode.TARGET:
        security.namespace_options.target_id = config.target_id
    if config.run_as_user is not None:
        security.run_as_user.value = config.run_as_user
    if config.run_as_group is not None:
        security.run_as_group.value = config.run_as_group
    if config.supplemental_groups:
        security.supplemental_groups.extend(config.supplemental_groups)
    if config.add_capabilities or config.drop_capabilities:
        security.capabilities.add_capabilities.extend(config.add_capabilities)
        security.capabilities.drop_capabilities.extend(config.drop_capabilities)
