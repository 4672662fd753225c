"""The words of the runtime: configurations as the kubelet hands them in, states, signals.

Plain frozen values; protobuf stays in `wire.py`. Times are nanoseconds since 1970, 0 for "not yet".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from typing import TypeVar

from services.runtime.filesystem import Tree

T = TypeVar("T")

SIGHUP, SIGINT, SIGQUIT, SIGKILL, SIGUSR1, SIGUSR2, SIGPIPE, SIGALRM, SIGTERM = 1, 2, 3, 9, 10, 12, 13, 14, 15
SIGCHLD, SIGCONT, SIGSTOP, SIGURG, SIGWINCH = 17, 18, 19, 23, 28

SIGNALS: dict[str, int] = {
    "HUP": 1, "INT": 2, "QUIT": 3, "ILL": 4, "TRAP": 5, "ABRT": 6, "BUS": 7, "FPE": 8, "KILL": 9, "USR1": 10,
    "SEGV": 11, "USR2": 12, "PIPE": 13, "ALRM": 14, "TERM": 15, "STKFLT": 16, "CHLD": 17, "CONT": 18,
    "STOP": 19, "TSTP": 20, "TTIN": 21, "TTOU": 22, "URG": 23, "XCPU": 24, "XFSZ": 25, "VTALRM": 26,
    "PROF": 27, "WINCH": 28, "POLL": 29, "PWR": 30, "SYS": 31, "IOT": 6, "IO": 29, "CLD": 17, "RTMIN": 34,
    "RTMAX": 64,
}  # fmt: skip


def signal_number(text: str) -> int | None:
    """`TERM`, `SIGTERM`, `15`, `SIGRTMIN+3`; None when there is no such signal."""
    word = text.upper().removeprefix("SIG")
    if word.isdigit():
        return int(word) if int(word) <= 64 else None
    base, plus, offset = word.partition("+")
    if plus and base == "RTMIN" and offset.isdigit() and int(offset) <= 15:
        return 34 + int(offset)
    return SIGNALS.get(word)


class SandboxState(IntEnum):
    READY = 0
    NOTREADY = 1


class ContainerState(IntEnum):
    CREATED = 0
    RUNNING = 1
    EXITED = 2
    UNKNOWN = 3


class EventType(IntEnum):
    CREATED = 0
    STARTED = 1
    STOPPED = 2
    DELETED = 3


@lru_cache(maxsize=4_096)
def once(value: T) -> T:
    """The same for equal values: what replicas have in common is kept once. Bounded."""
    return value


def _share(config: object, *names: str) -> None:
    """The words of these tables are mostly those of other containers too."""
    for name in names:
        table = {once(key): once(value) for key, value in dict(getattr(config, name)).items()}
        object.__setattr__(config, name, table)


class RuntimeFault(Exception):
    """What a call is refused with. `code` is the name of a gRPC status code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Dns:
    servers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


# NamespaceMode of the contract.
POD_MODE, CONTAINER_MODE, NODE_MODE, TARGET_MODE = range(4)


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    name: str
    uid: str
    namespace: str
    attempt: int
    hostname: str
    log_directory: str
    dns: Dns | None
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    network_mode: int  # NODE is host network
    pid_mode: int
    ipc_mode: int
    host_ports: Mapping[int, int] = field(default_factory=dict)  # of the machine → of the Pod, by TCP

    def __post_init__(self) -> None:
        _share(self, "labels", "annotations")
        object.__setattr__(self, "dns", once(self.dns))

    @property
    def host_network(self) -> bool:
        return self.network_mode == NODE_MODE


@dataclass(frozen=True, slots=True)
class Resources:
    cpu_period: int = 0
    cpu_quota: int = 0
    cpu_shares: int = 0
    memory_limit_bytes: int = 0
    oom_score_adj: int = 0


@dataclass(frozen=True, slots=True)
class MountConfig:
    container_path: str
    host_path: str
    readonly: bool


@dataclass(frozen=True, slots=True)
class ContainerConfig:
    name: str
    attempt: int
    image: str
    user_image: str
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    working_dir: str = ""
    envs: tuple[tuple[str, str], ...] = ()
    mounts: tuple[MountConfig, ...] = ()
    labels: Mapping[str, str] = ()  # type: ignore[assignment]
    annotations: Mapping[str, str] = ()  # type: ignore[assignment]
    log_path: str = ""
    stdin: bool = False
    stdin_once: bool = False
    tty: bool = False
    resources: Resources = Resources()
    run_as_user: int | None = None
    run_as_group: int | None = None
    supplemental_groups: tuple[int, ...] = ()  # the Pod's own and its fsGroup
    readonly_root: bool = False
    pid_mode: int = CONTAINER_MODE
    pid_target: str = ""  # the container whose processes it joins
    stop_signal: int = 0  # the contract's number; 0 is the image's own

    def __post_init__(self) -> None:
        _share(self, "labels", "annotations")
        for name in ("image", "user_image", "command", "args", "envs", "resources"):
            object.__setattr__(self, name, once(getattr(self, name)))


@dataclass(frozen=True, slots=True)
class Layer:
    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Image:
    """An image on a node. `tree` and `behaviour` are shared by all nodes of the process."""

    id: str  # sha256:… of its configuration
    digest: str  # sha256:… of its manifest
    repository: str  # docker.io/library/nginx
    size: int
    layers: tuple[Layer, ...]
    tree: Tree
    behaviour: Mapping[str, object]
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    working_dir: str = "/"
    user: str = ""
    ports: tuple[int, ...] = ()
    stop_signal: str = "SIGTERM"
