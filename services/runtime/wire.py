"""Between the messages of runtime.v1 and the runtime's own values. The only place that knows both."""

from __future__ import annotations

from services.machinery.image_names import canonical, repository_of
from services.pb.runtime.v1 import api_pb2 as pb
from services.runtime.container import Container
from services.runtime.images import ImageStore
from services.runtime.machine import Machine
from services.runtime.model import (
    ContainerConfig,
    ContainerState,
    Dns,
    Image,
    MountConfig,
    Resources,
    RuntimeFault,
    SandboxConfig,
    SandboxState,
    signal_number,
)
from services.runtime.sandbox import Sandbox

MEMORY_OF_MACHINE_BYTES = 8 * 1024**3


def sandbox_config(message: pb.PodSandboxConfig) -> SandboxConfig:
    options = message.linux.security_context.namespace_options
    dns = message.dns_config if message.HasField("dns_config") else None
    return SandboxConfig(
        name=message.metadata.name,
        uid=message.metadata.uid,
        namespace=message.metadata.namespace,
        attempt=message.metadata.attempt,
        hostname=message.hostname,
        log_directory=message.log_directory,
        dns=Dns(tuple(dns.servers), tuple(dns.searches), tuple(dns.options)) if dns is not None else None,
        labels=dict(message.labels),
        annotations=dict(message.annotations),
        network_mode=options.network,
        pid_mode=options.pid,
        ipc_mode=options.ipc,
        host_ports={
            mapping.host_port: mapping.container_port
            for mapping in message.port_mappings
            if mapping.host_port and mapping.protocol == pb.TCP and options.network != pb.NODE
        },
    )


def container_config(message: pb.ContainerConfig) -> ContainerConfig:
    security = message.linux.security_context
    return ContainerConfig(
        name=message.metadata.name,
        attempt=message.metadata.attempt,
        image=message.image.image,
        user_image=message.image.user_specified_image or message.image.image,
        command=tuple(message.command),
        args=tuple(message.args),
        working_dir=message.working_dir,
        envs=tuple((entry.key, entry.value.decode("utf-8", "surrogateescape")) for entry in message.envs),
        mounts=tuple(
            MountConfig(mount.container_path, mount.host_path, mount.readonly) for mount in message.mounts
        ),
        labels=dict(message.labels),
        annotations=dict(message.annotations),
        log_path=message.log_path,
        stdin=message.stdin,
        stdin_once=message.stdin_once,
        tty=message.tty,
        resources=resources(message.linux.resources),
        run_as_user=security.run_as_user.value if security.HasField("run_as_user") else None,
        run_as_group=security.run_as_group.value if security.HasField("run_as_group") else None,
        supplemental_groups=tuple(security.supplemental_groups),
        readonly_root=security.readonly_rootfs,
        pid_mode=security.namespace_options.pid,
        pid_target=security.namespace_options.target_id,
        stop_signal=_signal(message.stop_signal),
    )


def resources(message: pb.LinuxContainerResources) -> Resources:
    return Resources(
        message.cpu_period,
        message.cpu_quota,
        message.cpu_shares,
        message.memory_limit_in_bytes,
        message.oom_score_adj,
    )


def updated_resources(old: Resources, message: pb.LinuxContainerResources) -> Resources:
    """As containerd merges an update: what the request leaves at 0 stays."""
    new = resources(message)
    return Resources(
        new.cpu_period or old.cpu_period,
        new.cpu_quota or old.cpu_quota,
        new.cpu_shares or old.cpu_shares,
        new.memory_limit_bytes or old.memory_limit_bytes,
        new.oom_score_adj or old.oom_score_adj,
    )


def in_state(container: Container) -> str:
    return f"container is in CONTAINER_{container.state.name} state"


def check_container(machine: Machine, request: pb.CreateContainerRequest) -> None:
    """RuntimeFault in containerd's words and order for a request that no container can be made of."""
    try:
        machine.sandbox(request.pod_sandbox_id)
    except RuntimeFault as fault:
        raise RuntimeFault(
            fault.code, f'failed to find sandbox id "{request.pod_sandbox_id}": not found'
        ) from fault
    if not request.config.HasField("metadata"):
        raise RuntimeFault("UNKNOWN", "container config must include metadata")
    for mount in request.config.mounts:
        if not mount.container_path.strip("/"):
            raise RuntimeFault(
                "INVALID_ARGUMENT", f"mount of {mount.host_path!r} has no place in the container"
            )
        if "\0" in mount.container_path + mount.host_path:
            raise RuntimeFault("INVALID_ARGUMENT", "a path holds a null byte")
    if any("\0" in word for word in (*request.config.command, *request.config.args)):
        raise RuntimeFault("INVALID_ARGUMENT", "a word of the command holds a null byte")


def check_streams(request: pb.ExecRequest | pb.AttachRequest, none: str) -> None:
    if not (request.stdin or request.stdout or request.stderr):
        raise RuntimeFault("INVALID_ARGUMENT", none)
    if request.tty and request.stderr:
        raise RuntimeFault("INVALID_ARGUMENT", "tty and stderr cannot both be true")


def _signal(number: int) -> int:
    if number not in pb.Signal.values() or number == 0:
        return 0
    name = pb.Signal.Name(number).removeprefix("SIGNAL_SIG")  # type: ignore[arg-type]
    if name.startswith("RTMAXMINUS"):
        return 64 - int(name.removeprefix("RTMAXMINUS"))
    return signal_number(name.replace("RTMINPLUS", "RTMIN+")) or 0


def _signal_message(name: str) -> int:
    known = f"SIGNAL_{name}" in pb.Signal.DESCRIPTOR.values_by_name
    return pb.Signal.Value(f"SIGNAL_{name}") if known else 0


def sandbox_item(sandbox: Sandbox) -> pb.PodSandbox:
    return pb.PodSandbox(
        id=sandbox.id,
        metadata=_sandbox_metadata(sandbox),
        state=int(sandbox.state),  # type: ignore[arg-type]
        created_at=sandbox.created_at,
        labels=sandbox.config.labels,
        annotations=sandbox.config.annotations,
        runtime_handler=sandbox.handler,
    )


def sandbox_status(sandbox: Sandbox) -> pb.PodSandboxStatus:
    config = sandbox.config
    options = pb.NamespaceOption(network=config.network_mode, pid=config.pid_mode, ipc=config.ipc_mode)  # type: ignore[arg-type]
    ip = "" if config.host_network or sandbox.state is SandboxState.NOTREADY else sandbox.ip
    return pb.PodSandboxStatus(
        id=sandbox.id,
        metadata=_sandbox_metadata(sandbox),
        state=int(sandbox.state),  # type: ignore[arg-type]
        created_at=sandbox.created_at,
        network=pb.PodSandboxNetworkStatus(ip=ip),
        linux=pb.LinuxPodSandboxStatus(namespaces=pb.Namespace(options=options)),
        labels=config.labels,
        annotations=config.annotations,
        runtime_handler=sandbox.handler,
    )


def _sandbox_metadata(sandbox: Sandbox) -> pb.PodSandboxMetadata:
    config = sandbox.config
    return pb.PodSandboxMetadata(
        name=config.name, uid=config.uid, namespace=config.namespace, attempt=config.attempt
    )


def container_item(container: Container) -> pb.Container:
    config = container.config
    return pb.Container(
        id=container.id,
        pod_sandbox_id=container.sandbox.id,
        metadata=pb.ContainerMetadata(name=config.name, attempt=config.attempt),
        image=pb.ImageSpec(image=config.image, user_specified_image=config.user_image),
        image_ref=container.image.id,
        image_id=container.image.id,
        state=int(container.state),  # type: ignore[arg-type]
        created_at=container.created_at,
        labels=config.labels,
        annotations=config.annotations,
    )


def container_status(container: Container) -> pb.ContainerStatus:
    config, image = container.config, container.image
    uid, gid = container.identity()
    ended = container.state is ContainerState.EXITED
    return pb.ContainerStatus(
        id=container.id,
        metadata=pb.ContainerMetadata(name=config.name, attempt=config.attempt),
        state=int(container.state),  # type: ignore[arg-type]
        created_at=container.created_at,
        started_at=container.started_at,
        finished_at=container.finished_at,
        exit_code=container.exit_code,
        image=pb.ImageSpec(image=image_name(container), user_specified_image=config.user_image),
        image_ref=f"{image.repository}@{image.digest}",
        image_id=image.id,
        reason=container.reason if ended else "",
        message=container.message,
        labels=config.labels,
        annotations=config.annotations,
        mounts=[
            pb.Mount(container_path=mount.container_path, host_path=mount.host_path, readonly=mount.readonly)
            for mount in config.mounts
        ],
        log_path=str(container.log.path or ""),
        resources=pb.ContainerResources(linux=resources_message(container.resources)),
        user=pb.ContainerUser(
            linux=pb.LinuxContainerUser(
                uid=uid, gid=gid, supplemental_groups=[gid, *config.supplemental_groups]
            )
        ),
        stop_signal=_signal_message(image.stop_signal),  # type: ignore[arg-type]
    )


def image_name(container: Container) -> str:
    """The tag that the image has on this machine: what `image` of a Pod's status shows."""
    try:
        named = canonical(container.config.user_image)
    except ValueError:
        return container.config.image
    return f"{repository_of(named)}@{container.image.digest}" if "@" in named else named


def resources_message(value: Resources) -> pb.LinuxContainerResources:
    return pb.LinuxContainerResources(
        cpu_period=value.cpu_period,
        cpu_quota=value.cpu_quota,
        cpu_shares=value.cpu_shares,
        memory_limit_in_bytes=value.memory_limit_bytes,
        oom_score_adj=value.oom_score_adj,
    )


def image_message(store: ImageStore, image: Image) -> pb.Image:
    uid, _, _ = image.user.partition(":")
    message = pb.Image(
        id=image.id,
        repo_tags=store.tags_of(image),
        repo_digests=store.digests_of(image),
        size=image.size,
        username="" if uid.isdigit() else uid,
        spec=pb.ImageSpec(image=image.id),
        pinned=image.repository == "registry.k8s.io/pause",
    )
    if uid.isdigit() or not uid:
        message.uid.value = int(uid or 0)
    return message


def container_stats(container: Container) -> pb.ContainerStats:
    now, seconds = container.machine.now(), container.now_seconds()
    usage, config = container.usage, container.config
    memory = usage.memory(seconds)
    limit = container.resources.memory_limit_bytes
    written = container.written_bytes()
    return pb.ContainerStats(
        attributes=pb.ContainerAttributes(
            id=container.id,
            metadata=pb.ContainerMetadata(name=config.name, attempt=config.attempt),
            labels=config.labels,
            annotations=config.annotations,
        ),
        cpu=pb.CpuUsage(
            timestamp=now,
            usage_core_nano_seconds=_uint(usage.cpu_time(seconds)),
            usage_nano_cores=_uint(usage.cpu_nanocores),
        ),
        memory=pb.MemoryUsage(
            timestamp=now,
            working_set_bytes=_uint(memory),
            available_bytes=_uint(max((limit or MEMORY_OF_MACHINE_BYTES) - memory, 0)),
            usage_bytes=_uint(memory),
            rss_bytes=_uint(memory),
            page_faults=_uint(0),
            major_page_faults=_uint(0),
        ),
        writable_layer=pb.FilesystemUsage(
            timestamp=now, used_bytes=_uint(written), inodes_used=_uint(len(container.filesystem.upper))
        ),
    )


def sandbox_stats(sandbox: Sandbox, now: int) -> pb.PodSandboxStats:
    running = [one for one in sandbox.containers.values() if one.state is ContainerState.RUNNING]
    stats = [container_stats(container) for container in running]
    config, namespace = sandbox.config, sandbox.namespace
    return pb.PodSandboxStats(
        attributes=pb.PodSandboxAttributes(
            id=sandbox.id,
            metadata=_sandbox_metadata(sandbox),
            labels=config.labels,
            annotations=config.annotations,
        ),
        linux=pb.LinuxPodSandboxStats(
            cpu=pb.CpuUsage(
                timestamp=now,
                usage_core_nano_seconds=_uint(sum(one.cpu.usage_core_nano_seconds.value for one in stats)),
                usage_nano_cores=_uint(sum(one.cpu.usage_nano_cores.value for one in stats)),
            ),
            memory=pb.MemoryUsage(
                timestamp=now,
                working_set_bytes=_uint(sum(one.memory.working_set_bytes.value for one in stats)),
                usage_bytes=_uint(sum(one.memory.usage_bytes.value for one in stats)),
                rss_bytes=_uint(sum(one.memory.rss_bytes.value for one in stats)),
            ),
            network=pb.NetworkUsage(
                timestamp=now,
                default_interface=pb.NetworkInterfaceUsage(
                    name="eth0",
                    rx_bytes=_uint(namespace.received_bytes),
                    tx_bytes=_uint(namespace.sent_bytes),
                ),
            ),
            process=pb.ProcessUsage(
                timestamp=now, process_count=_uint(sum(len(one.processes.own) for one in running))
            ),
            containers=stats,
        ),
    )


def _uint(value: float) -> pb.UInt64Value:
    return pb.UInt64Value(value=int(value))
