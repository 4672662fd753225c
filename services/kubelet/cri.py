"""The container runtime as the kubelet sees it: the seam `Cri`, and what passes through it.

`Cri` follows upstream's `internalapi.RuntimeService` and `ImageManagerService`, narrowed to what
the kubelet asks. `cri_grpc.GrpcCri` speaks it to any CRI runtime on a unix socket;
`tests/support/fake_cri.py` is a scripted one. Refusals and faults are both `CriError`: the
kubelet reports the text and tries again, whichever it was.
Times are nanoseconds since 1970, 0 where the thing has not happened, as on the wire.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from enum import IntEnum
from typing import Protocol

from msgspec import Struct


class CriError(Exception):
    """A call that the runtime refused or that did not reach it. `code` is gRPC's, as Go writes it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"rpc error: code = {code} desc = {message}")
        self.code = code
        self.message = message


class ContainerState(IntEnum):
    CREATED = 0
    RUNNING = 1
    EXITED = 2
    UNKNOWN = 3


class Resources(Struct, frozen=True, kw_only=True):
    """What the machine grants a container, in the units of its cgroup. 0 is no limit."""

    cpu_shares: int = 0
    cpu_quota: int = 0
    memory_limit_bytes: int = 0


class ContainerRecord(Struct, frozen=True, kw_only=True):
    """One container, living or dead, as the runtime knows it."""

    id: str
    name: str
    attempt: int = 0
    state: ContainerState = ContainerState.CREATED
    image: str = ""  # the image's canonical name
    image_ref: str = ""  # its digest
    created_at: int = 0
    started_at: int = 0
    finished_at: int = 0
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    annotations: dict[str, str] = {}
    user: tuple[int, int, tuple[int, ...]] | None = None  # uid, gid, supplemental groups
    resources: Resources | None = None  # as they are in force
    log_path: str = ""  # of this machine; empty: it has none

    @property
    def running(self) -> bool:
        return self.state == ContainerState.RUNNING


class SandboxRecord(Struct, frozen=True, kw_only=True):
    """What the containers of one Pod share, as the runtime knows it."""

    id: str
    uid: str
    name: str = ""
    namespace: str = ""
    attempt: int = 0
    ready: bool = False
    created_at: int = 0
    ip: str = ""


class PodRecord(Struct, frozen=True, kw_only=True):
    """A sandbox and all its containers: what a runtime event carries and what a relist finds."""

    sandbox: SandboxRecord
    containers: tuple[ContainerRecord, ...] = ()


class Removed(Struct, frozen=True):
    """An event about something that is gone. `id` is the container's or the sandbox's."""

    id: str


class ImageRecord(Struct, frozen=True, kw_only=True):
    id: str
    tags: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    size_bytes: int = 0
    uid: int | None = None  # the user that its containers run as, unless the Pod says otherwise,
    username: str = ""  # or its name, where the image gives no number


class RegistryAuth(Struct, frozen=True, kw_only=True):
    """Credentials for one registry, as a Secret of type dockerconfigjson holds them."""

    username: str = ""
    password: str = ""
    auth: str = ""  # base64 of `username:password`
    server_address: str = ""


class NamespaceMode(IntEnum):
    """Who shares a Linux namespace of a container."""

    POD = 0
    CONTAINER = 1
    NODE = 2
    TARGET = 3


class Mount(Struct, frozen=True, kw_only=True):
    container_path: str
    host_path: str
    readonly: bool = False


class SandboxConfig(Struct, frozen=True, kw_only=True):
    name: str
    namespace: str
    uid: str
    attempt: int
    hostname: str
    log_directory: str
    labels: dict[str, str]
    annotations: dict[str, str]
    dns_servers: tuple[str, ...] = ()
    dns_searches: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    host_network: bool = False
    pid_mode: NamespaceMode = NamespaceMode.CONTAINER
    host_ipc: bool = False
    runtime_handler: str = ""
    port_mappings: tuple[tuple[str, int, int], ...] = ()  # protocol, container port, host port


class ContainerConfig(Struct, frozen=True, kw_only=True):
    name: str
    attempt: int
    image: str
    user_image: str
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    working_dir: str = ""
    envs: tuple[tuple[str, str], ...] = ()
    mounts: tuple[Mount, ...] = ()
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    log_path: str = ""
    stdin: bool = False
    stdin_once: bool = False
    tty: bool = False
    resources: Resources = Resources()
    run_as_user: int | None = None
    run_as_group: int | None = None
    supplemental_groups: tuple[int, ...] = ()
    add_capabilities: tuple[str, ...] = ()
    drop_capabilities: tuple[str, ...] = ()
    readonly_rootfs: bool = False
    privileged: bool = False
    pid_mode: NamespaceMode = NamespaceMode.CONTAINER
    target_id: str = ""  # the container whose processes an ephemeral one sees
    stop_signal: str = ""  # SIGUSR1; empty: the image's own


class ExecResult(Struct, frozen=True, kw_only=True):
    stdout: bytes = b""
    stderr: bytes = b""
    exit_code: int = 0


class HttpAnswer(Struct, frozen=True, kw_only=True):
    status: int
    body: bytes = b""
    location: str = ""


class Usage(Struct, frozen=True, kw_only=True):
    """What a container uses now."""

    container_id: str
    name: str
    pod_uid: str
    cpu_nano_cores: int = 0
    cpu_core_nano_seconds: int = 0
    memory_bytes: int = 0
    memory_usage_bytes: int = 0
    memory_rss_bytes: int = 0
    memory_available_bytes: int | None = None  # up to its limit
    page_faults: int = 0
    major_page_faults: int = 0
    written_bytes: int = 0  # in its own layer
    written_inodes: int = 0


class SandboxUsage(Struct, frozen=True, kw_only=True):
    """What the containers of a Pod use together."""

    pod_uid: str
    received_bytes: int = 0
    sent_bytes: int = 0
    processes: int = 0


class FilesystemUsage(Struct, frozen=True, kw_only=True):
    used_bytes: int = 0
    inodes_used: int = 0


class RuntimeInfo(Struct, frozen=True, kw_only=True):
    """`Version` and `Status` in one. A condition that holds has an empty message."""

    name: str = "containerd"
    version: str = ""
    runtime_message: str = ""
    network_message: str = ""


class Duplex(Protocol):
    """A byte stream to a port of a Pod."""

    async def send(self, data: bytes) -> None: ...

    async def end(self) -> None:
        """No more data from this side."""
        ...

    def receive(self) -> AsyncIterator[bytes]: ...


class Connection(Duplex, Protocol):
    """A byte stream that its holder ends."""

    def close(self) -> None: ...


class Terminal(Protocol):
    """A running command or attachment: input one way, output and exit the other."""

    async def stdin(self, data: bytes) -> None: ...

    async def close_stdin(self) -> None: ...

    async def resize(self, columns: int, rows: int) -> None: ...

    def output(self) -> AsyncIterator[tuple[str, bytes, int]]:
        """("stdout" | "stderr", data, 0), and at the end ("exit", b"", code). Closing it ends the stream."""
        ...


class Cri(Protocol):
    """One machine's runtime."""

    async def info(self) -> RuntimeInfo: ...

    async def set_pod_cidr(self, cidr: str) -> None: ...

    async def run_sandbox(self, config: SandboxConfig) -> str: ...

    async def stop_sandbox(self, sandbox_id: str) -> None: ...

    async def remove_sandbox(self, sandbox_id: str) -> None: ...

    async def pod(self, sandbox_id: str) -> PodRecord: ...

    async def list_pods(self) -> list[PodRecord]:
        """All sandboxes with all their containers: the relist of PLEG."""
        ...

    def events(self) -> AsyncIterator[PodRecord | Removed]:
        """Changes from now on. CriError "Unimplemented": this runtime has none, relist instead."""
        ...

    async def create_container(
        self, sandbox_id: str, config: ContainerConfig, sandbox: SandboxConfig
    ) -> str: ...

    async def start_container(self, container_id: str) -> None: ...

    async def stop_container(self, container_id: str, grace_seconds: int) -> None:
        """Returns when it has ended."""
        ...

    async def remove_container(self, container_id: str) -> None: ...

    async def reopen_log(self, container_id: str) -> None:
        """After its log file was renamed: what it says from now on goes to a new one."""
        ...

    async def image(self, name: str) -> ImageRecord | None: ...

    async def images(self) -> list[ImageRecord]: ...

    async def remove_image(self, image: str) -> None: ...

    async def update_resources(self, container_id: str, resources: Resources) -> None:
        """Changes them in a running container."""
        ...

    async def pull_image(self, name: str, auth: RegistryAuth | None = None) -> str:
        """Its id. Returns when all of it is on the machine."""
        ...

    async def exec_sync(
        self, container_id: str, command: Sequence[str], timeout_seconds: int
    ) -> ExecResult: ...

    async def http(
        self,
        ip: str,
        port: int,
        path: str,
        *,
        scheme: str,
        headers: Sequence[tuple[str, str]],
        timeout_seconds: float,
    ) -> HttpAnswer: ...

    async def dial(self, ip: str, port: int, timeout_seconds: float) -> None:
        """Connects and hangs up. CriError when nobody listens."""
        ...

    async def connect(self, ip: str, port: int) -> Connection:
        """Connects as `dial` does, and keeps the connection until it is closed."""
        ...

    async def forward(self, sandbox_id: str, port: int) -> Duplex: ...

    async def exec(
        self, container_id: str, command: Sequence[str], *, stdin: bool, tty: bool, stderr: bool
    ) -> Terminal: ...

    async def attach(self, container_id: str, *, stdin: bool, tty: bool, stderr: bool) -> Terminal: ...

    def read_log(
        self, container_id: str, *, follow: bool, tail_lines: int | None = None
    ) -> AsyncIterator[bytes]:
        """Whole lines in CRI's format: `time stream F|P text`."""
        ...

    async def usage(self) -> list[Usage]: ...

    async def sandbox_usage(self) -> list[SandboxUsage]:
        """Empty: this runtime does not measure it."""
        ...

    async def image_filesystem(self) -> FilesystemUsage: ...
