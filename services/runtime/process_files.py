"""/proc and /sys/fs/cgroup as a container sees them: made when read, nothing kept.

`/proc` knows the processes of the container's PID namespace; `self` is whoever looks. Numbers are those of
`usage`, so that `cat /sys/fs/cgroup/memory.current` and the statistics that the kubelet reads
agree. Shaped like Linux' and cgroup v2's as far as tools and people look.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from services.runtime.filesystem import DIRECTORY, LINK, Entry, fault
from services.runtime.network import Namespace
from services.runtime.system_files import KERNEL, MEMORY_BYTES, etc_files

if TYPE_CHECKING:
    from services.runtime.container import Container
    from services.runtime.processes import Process
    from services.runtime.sandbox import Sandbox

ETC_FILES = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf")
CORES = 4  # of the emulated machine
PERIOD_MICROSECONDS = 100_000
FOLDER = Entry(DIRECTORY, 0o555)
Files = dict[str, Callable[["Container"], str]]


class MadeFiles:
    """A mount of files that are functions of the container."""

    __slots__ = ("_container", "_files")
    readonly = True

    def __init__(self, container: Container, files: Files) -> None:
        self._container, self._files = container, files

    def entry(self, path: str) -> Entry | None:
        make = self._files.get(path)
        if make is not None:
            return Entry(mode=0o444, read=lambda: make(self._container).encode("utf-8", "surrogateescape"))
        if not path or any(name.startswith(path + "/") for name in self._files):
            return FOLDER
        return None

    def names(self, path: str) -> Iterable[str]:
        inside = path + "/" if path else ""
        return {name[len(inside) :].partition("/")[0] for name in self._files if name.startswith(inside)}

    def write(self, path: str, entry: Entry) -> None:
        raise fault(errno.EROFS if path in self._files else errno.EACCES, path)

    def remove(self, path: str) -> None:
        raise fault(errno.EPERM, path)


class EtcFile:
    """One of the files of /etc that speak of the Pod."""

    __slots__ = ("_path", "_sandbox")
    readonly = True

    def __init__(self, sandbox: Sandbox, path: str) -> None:
        self._sandbox, self._path = sandbox, path

    def entry(self, path: str) -> Entry | None:
        return None if path else Entry(data=etc_files(self._sandbox)[self._path])

    def names(self, path: str) -> Iterable[str]:
        return ()

    def write(self, path: str, entry: Entry) -> None:
        raise fault(errno.EROFS, path)

    def remove(self, path: str) -> None:
        raise fault(errno.EBUSY, path)


class ProcessFiles(MadeFiles):
    """/proc: the files of the system, and a folder for each process."""

    __slots__ = ()

    def __init__(self, container: Container) -> None:
        super().__init__(container, SYSTEM)

    def entry(self, path: str) -> Entry | None:
        if path in ("self", "thread-self"):
            return Entry(LINK, 0o777, target=str(self._container.looking()))
        number, _, rest = path.partition("/")
        if not number.isdigit():
            return super().entry(path)
        process = self._container.processes.alive.get(int(number))
        if process is None:
            return None
        if not rest or rest in ("fd", "net", "ns", "task"):
            return Entry(DIRECTORY, 0o555, process.uid, process.gid)
        return _of_process(process, rest)

    def names(self, path: str) -> Iterable[str]:
        if not path:
            numbers = {str(pid) for pid in self._container.processes.alive}
            return {*super().names(""), *numbers, "self", "thread-self"}
        number, _, rest = path.partition("/")
        process = self._container.processes.alive.get(int(number)) if number.isdigit() else None
        if process is None:
            return super().names(path)
        if rest == "fd":
            return [str(descriptor) for descriptor in process.streams]
        if rest == "net":
            return ("dev", "tcp")
        return (*PROCESS, "cwd", "exe", "root", "fd", "net") if not rest else ()


def _of_process(process: Process, name: str) -> Entry | None:
    folder, _, number = name.partition("/")
    if folder == "fd" and number.isdigit():
        stream = process.streams.get(int(number))
        return None if stream is None else Entry(LINK, 0o700, target=_descriptor(stream, number))
    links = {"cwd": process.cwd, "root": "/", "exe": process.executable}
    if name in links:
        return Entry(LINK, 0o777, process.uid, process.gid, target=links[name])
    if name in ("net/dev", "net/tcp"):
        return MadeFiles(process.container, SYSTEM).entry(name)
    make = PROCESS.get(name)
    if make is None:
        return None
    mode = 0o400 if name == "environ" else 0o444
    return Entry(
        mode=mode, uid=process.uid, gid=process.gid,
        read=lambda: make(process).encode("utf-8", "surrogateescape"),
    )  # fmt: skip


def _descriptor(stream: object, number: str) -> str:
    kind = type(stream).__name__
    return "/dev/null" if kind == "Null" else "/dev/pts/0" if getattr(stream, "terminal", False) else (
        f"pipe:[{100000 + int(number)}]"
    )  # fmt: skip


# -- of one process ---------------------------------------------------------------------------


def _command_line(process: Process) -> str:
    return "".join(f"{word}\0" for word in process.argv)


def _environment(process: Process) -> str:
    return "".join(f"{name}={value}\0" for name, value in process.env.items())


def _status(process: Process) -> str:
    kibibytes = process.memory_bytes() // 1024
    return (
        f"Name:\t{process.name}\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t{process.pid}\nNgid:\t0\n"
        f"Pid:\t{process.pid}\nPPid:\t{process.parent}\nTracerPid:\t0\n"
        f"Uid:\t{process.uid}\t{process.uid}\t{process.uid}\t{process.uid}\n"
        f"Gid:\t{process.gid}\t{process.gid}\t{process.gid}\t{process.gid}\nFDSize:\t64\n"
        f"Groups:\t{process.gid} \nVmPeak:\t{kibibytes:8d} kB\nVmSize:\t{kibibytes:8d} kB\n"
        f"VmRSS:\t{kibibytes:8d} kB\nThreads:\t1\n"
    )


def _stat(process: Process) -> str:
    pages = process.memory_bytes() // 4096
    started = max(int((process.started_at - process.container.started_seconds()) * 100), 0)
    return (
        f"{process.pid} ({process.name}) S {process.parent} {process.pid} {process.pid} 0 -1 4194560 "
        f"0 0 0 0 0 0 0 0 20 0 1 0 {started} {pages * 4096} {pages} 18446744073709551615"
        + " 0" * 28
        + "\n"
    )  # fmt: skip


def _mounts(process: Process) -> str:
    container = process.container
    lines = [f"overlay / overlay {'ro' if container.config.readonly_root else 'rw'},relatime 0 0"]
    for path in sorted(container.filesystem.mounts):
        source, kind = _MOUNTED.get(path, ("/dev/vda1", "ext4"))
        mode = "ro" if container.filesystem.mounts[path].readonly else "rw"
        lines.append(f"{source} {path} {kind} {mode},relatime 0 0")
    return "\n".join(lines) + "\n"


_MOUNTED = {
    "/proc": ("proc", "proc"), "/dev": ("tmpfs", "tmpfs"), "/sys": ("sysfs", "sysfs"),
    "/sys/fs/cgroup": ("cgroup", "cgroup2"), "/dev/shm": ("shm", "tmpfs"),
}  # fmt: skip

PROCESS: dict[str, Callable[[Process], str]] = {
    "cmdline": _command_line,
    "environ": _environment,
    "status": _status,
    "stat": _stat,
    "comm": lambda process: f"{process.name}\n",
    "mounts": _mounts,
    "cgroup": lambda process: "0::/\n",
    "oom_score_adj": lambda process: f"{process.container.resources.oom_score_adj}\n",
    "limits": lambda process: (
        "Limit                     Soft Limit           Hard Limit           Units     \n"
        "Max open files            1048576              1048576              files     \n"
    ),
}


# -- of the system ----------------------------------------------------------------------------


def _memory(container: Container) -> str:
    """Of the machine, as in a real container: limits do not show here, which surprises many a program."""
    total = MEMORY_BYTES // 1024
    used = sum(one.memory() for one in container.machine.running()) // 1024
    free = max(total - used, 0)
    rows = {
        "MemTotal": total, "MemFree": free, "MemAvailable": free, "Buffers": 0, "Cached": 0,
        "SwapTotal": 0, "SwapFree": 0,
    }  # fmt: skip
    return "".join(f"{name + ':':<15} {value:8d} kB\n" for name, value in rows.items())


def _processors(container: Container) -> str:
    return "".join(
        f"processor\t: {number}\nvendor_id\t: Orrery\nmodel name\t: Emulated CPU\ncpu MHz\t\t: 2000.000\n"
        f"cpu cores\t: {CORES}\nflags\t\t: fpu\n\n"
        for number in range(CORES)
    )


def _load(container: Container) -> str:
    load = sum(one.usage.cpu_nanocores for one in container.machine.running()) / 1e9
    count = len(container.processes.alive)
    return f"{load:.2f} {load:.2f} {load:.2f} 1/{count} {max(container.processes.alive, default=1)}\n"


def _uptime(container: Container) -> str:
    seconds = container.kernel.clock.monotonic()
    return f"{seconds:.2f} {seconds * CORES:.2f}\n"


def _stat_of_machine(container: Container) -> str:
    ticks = int(sum(one.usage.cpu_time(one.now_seconds()) for one in container.machine.running()) / 1e7)
    line = f"{ticks} 0 0 {int(container.kernel.clock.monotonic() * 100)} 0 0 0 0 0 0\n"
    return f"cpu  {line}" + "".join(f"cpu{number} {line}" for number in range(CORES))


def _first(make: Callable[[Process], str]) -> Callable[[Container], str]:
    """What a file of the system says of whoever is first in the container."""

    def of_first(container: Container) -> str:
        first = container.processes.first
        return make(first) if first is not None else ""

    return of_first


def _interfaces(container: Container) -> str:
    namespace: Namespace = container.sandbox.namespace
    head = (
        "Inter-|   Receive                                                |  Transmit\n"
        " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo "
        "colls carrier compressed\n"
    )
    received, sent = namespace.received_bytes, namespace.sent_bytes
    zeros = "    0    0    0     0          0         0"
    return (
        head
        + f"    lo: {0:7d} {0:7d}{zeros} {0:8d} {0:7d}    0    0    0     0       0          0\n"
        + f"  eth0: {received:7d} {received // 1000:7d}{zeros} {sent:8d} {sent // 1000:7d}"
        + "    0    0    0     0       0          0\n"
    )


def _sockets(container: Container) -> str:
    """What listens, in the kernel's own notation."""
    lines = [
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"
    ]
    for number, port in enumerate(sorted(container.sandbox.namespace.listeners)):
        lines.append(
            f"{number:4d}: 00000000:{port:04X} 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0"
            f"        0 {20000 + port}"
        )
    return "\n".join(lines) + "\n"


SYSTEM: Files = {
    "version": lambda container: f"Linux version {KERNEL} (orrery) #1 SMP\n",
    "loadavg": _load,
    "cpuinfo": _processors,
    "meminfo": _memory,
    "uptime": _uptime,
    "stat": _stat_of_machine,
    "mounts": _first(_mounts),
    "filesystems": lambda container: "nodev\tproc\nnodev\ttmpfs\nnodev\toverlay\n\text4\n",
    "net/dev": _interfaces,
    "net/tcp": _sockets,
    "sys/kernel/hostname": lambda container: f"{container.hostname}\n",
    "sys/kernel/osrelease": lambda container: f"{KERNEL}\n",
    "sys/kernel/ostype": lambda container: "Linux\n",
    "sys/kernel/pid_max": lambda container: "32768\n",
    "sys/net/ipv4/ip_forward": lambda container: "1\n",
    "sys/net/core/somaxconn": lambda container: "4096\n",
    "sys/vm/overcommit_memory": lambda container: "1\n",
}


# -- control group ----------------------------------------------------------------------------


def _limit(value: int) -> str:
    return f"{value}\n" if value else "max\n"


def _cpu_max(container: Container) -> str:
    resources = container.resources
    quota = str(resources.cpu_quota) if resources.cpu_quota > 0 else "max"
    return f"{quota} {resources.cpu_period or PERIOD_MICROSECONDS}\n"


def _cpu_stat(container: Container) -> str:
    now = container.now_seconds()
    used, throttled = int(container.usage.cpu_time(now) / 1000), container.usage.throttling(now)
    return (
        f"usage_usec {used}\nuser_usec {used}\nsystem_usec 0\nnr_periods {throttled.periods}\n"
        f"nr_throttled {throttled.throttled_periods}\n"
        f"throttled_usec {throttled.throttled_nanoseconds // 1000}\nnr_bursts 0\nburst_usec 0\n"
    )


def _cpu_weight(container: Container) -> str:
    """From shares to weight, as runc converts them."""
    shares = container.resources.cpu_shares or 1024
    return f"{1 + ((min(max(shares, 2), 262_144) - 2) * 9999) // 262_142}\n"


def _memory_stat(container: Container) -> str:
    return f"anon {container.memory()}\nfile 0\nkernel 0\nshmem {container.usage.held_bytes}\n"


def _memory_events(container: Container) -> str:
    killed = int(container.reason == "OOMKilled")
    return f"low 0\nhigh 0\nmax {killed}\noom {killed}\noom_kill {killed}\noom_group_kill {killed}\n"


CONTROL_GROUP: Files = {
    "fs/cgroup/memory.max": lambda container: _limit(container.resources.memory_limit_bytes),
    "fs/cgroup/memory.current": lambda container: f"{container.memory()}\n",
    "fs/cgroup/memory.peak": lambda container: f"{max(container.memory(), container.usage.peak_bytes)}\n",
    "fs/cgroup/memory.high": lambda container: "max\n",
    "fs/cgroup/memory.low": lambda container: "0\n",
    "fs/cgroup/memory.min": lambda container: "0\n",
    "fs/cgroup/memory.swap.max": lambda container: "0\n",
    "fs/cgroup/memory.stat": _memory_stat,
    "fs/cgroup/memory.events": _memory_events,
    "fs/cgroup/cpu.max": _cpu_max,
    "fs/cgroup/cpu.stat": _cpu_stat,
    "fs/cgroup/cpu.weight": _cpu_weight,
    "fs/cgroup/cpuset.cpus.effective": lambda container: f"0-{CORES - 1}\n",
    "fs/cgroup/pids.max": lambda container: f"{container.processes.limit}\n",
    "fs/cgroup/pids.current": lambda container: f"{len(container.processes.own)}\n",
    "fs/cgroup/cgroup.controllers": lambda container: "cpuset cpu io memory hugetlb pids rdma misc\n",
    "fs/cgroup/cgroup.procs": lambda container: "".join(f"{pid}\n" for pid in container.processes.own),
    "fs/cgroup/cgroup.type": lambda container: "domain\n",
    "class/net/eth0/address": lambda container: _hardware_address(container.sandbox.ip),
    "class/net/lo/address": lambda container: "00:00:00:00:00:00\n",
    "devices/system/cpu/online": lambda container: f"0-{CORES - 1}\n",
}


def _hardware_address(ip: str) -> str:
    parts = ip.split(".")
    tail = ":".join(f"{int(part):02x}" for part in parts) if len(parts) == 4 else "00:00:00:01"
    return f"0a:58:{tail}\n"
