"""`ps` of a machine: its daemons, a shim for each sandbox, and what runs in containers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from services.node.shell.host import MEBIBYTE, Host
from services.runtime.model import SandboxState
from services.runtime.processes import Process, Program

_RESIDENT = {
    "init": 12,
    "containerd": 52,
    "kubelet": 96,
    "kube-proxy": 41,
    "stress": 4,
}  # MiB of what is no container


@dataclass(frozen=True, slots=True)
class Row:
    pid: int
    parent: int
    user: str
    memory_bytes: int
    terminal: str
    state: str
    started: float
    command: str


def rows(host: Host, console: Process) -> list[Row]:
    """By process number. `console` is the process that asks: its container is the machine's console."""
    found = [*_own(host, console), *_of_containers(host), *_taken(host, console)]
    return sorted(found, key=lambda row: row.pid)


def _own(host: Host, asking: Process) -> Iterator[Row]:
    for process in asking.container.processes.alive.values():
        name = process.argv[0].rpartition("/")[2]
        terminal = "pts/0" if process.stdin.terminal else "?"
        state = "R+" if process is asking else "Ss" if process.parent == 0 or process.pid == 1 else "Ssl"
        memory = _RESIDENT.get(name, 3) * MEBIBYTE
        yield Row(
            process.pid, process.parent, _user(process.uid), memory, terminal, state,
            process.started_at, " ".join(process.argv),
        )  # fmt: skip


def _of_containers(host: Host) -> Iterator[Row]:
    seen: set[int] = set()  # containers of a Pod may share one table
    for sandbox in host.runtime.sandboxes.values():
        if sandbox.state is not SandboxState.READY:
            continue
        started = sandbox.created_at / 1e9
        shim = host.pid(sandbox.id)
        command = (
            f"/usr/bin/containerd-shim-runc-v2 -namespace k8s.io -id {sandbox.id} "
            "-address /run/containerd/containerd.sock"
        )
        yield Row(shim, 1, "root", 11 * MEBIBYTE, "?", "Sl", started, command)
        yield Row(host.pid(sandbox.id, 1), shim, "65535", MEBIBYTE, "?", "Ss", started, "/pause")
        for container in sandbox.containers.values():
            for process in container.processes.alive.values():
                if id(process) in seen:
                    continue
                seen.add(id(process))
                first = process.pid == 1
                memory = container.usage.memory(container.now_seconds()) if first else MEBIBYTE
                parent = shim if process.parent == 0 else host.pid(container.id, process.parent)
                yield Row(
                    host.pid(container.id, process.pid), parent, _user(process.uid), memory, "?",
                    "Ss" if first else "S", process.started_at, " ".join(process.argv),
                )  # fmt: skip


def _taken(host: Host, asking: Process) -> Iterator[Row]:
    """What `orrery node pressure` holds shows as what it would be: a stress test."""
    started = asking.container.now_seconds()
    taken = host.taken.get("memory", 0)
    if taken:
        command = f"stress-ng --vm 1 --vm-bytes {taken} --vm-keep"
        yield Row(host.pid("stress"), 1, "root", taken, "?", "R", started, command)
    if count := host.taken.get("pid", 0):
        command = f"stress-ng --fork {count}"
        yield Row(host.pid("fork"), 1, "root", _RESIDENT["stress"] * MEBIBYTE, "?", "S", started, command)


def _user(uid: int) -> str:
    return "root" if uid == 0 else str(uid)


def process_programs(host: Host) -> dict[str, Program]:
    async def ps(process: Process) -> int:
        words = [word for word in process.argv[1:] if not word.startswith("--")]
        found = rows(host, process)
        if any(not word.startswith("-") and ("u" in word or "x" in word) for word in words):
            await process.write(_wide(found, host.memory_bytes))
        elif any(word.startswith("-") and ("f" in word or "F" in word) for word in words):
            await process.write(_full(found))
        else:
            everything = any(word.startswith("-") and ("e" in word or "A" in word) for word in words)
            shown = found if everything else [row for row in found if row.terminal != "?"]
            await process.write(_short(shown))
        return 0

    return {"ps": ps}


def _wide(found: list[Row], memory_bytes: int) -> str:
    lines = ["USER         PID %CPU %MEM    VSZ   RSS TTY      STAT START   TIME COMMAND"]
    for row in found:
        resident = row.memory_bytes // 1024
        share = 100 * row.memory_bytes / memory_bytes
        lines.append(
            f"{row.user:<8} {row.pid:7d}  0.0 {share:4.1f} {resident + 4096:6d} {resident:5d} "
            f"{row.terminal:<8} {row.state:<4} {_clock(row)}   0:00 {row.command}"
        )
    return "\n".join(lines) + "\n"


def _full(found: list[Row]) -> str:
    lines = ["UID          PID    PPID  C STIME TTY          TIME CMD"]
    lines += [
        f"{row.user:<8} {row.pid:7d} {row.parent:7d}  0 {_clock(row)} {row.terminal:<8} "
        f"00:00:00 {row.command}"
        for row in found
    ]
    return "\n".join(lines) + "\n"


def _short(found: list[Row]) -> str:
    lines = ["    PID TTY          TIME CMD"]
    lines += [
        f"{row.pid:7d} {row.terminal:<8} 00:00:00 {row.command.split()[0].rpartition('/')[2]}"
        for row in found
    ]
    return "\n".join(lines) + "\n"


def _clock(row: Row) -> str:
    return f"{datetime.fromtimestamp(row.started, UTC):%H:%M}"
