"""The files that a runtime makes: /proc, /dev, and those of /etc that speak of the Pod.

/proc is shaped like Linux' as far as tools and people look; its content is made when it is read.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

from services.runtime.filesystem import DEVICE, LINK, Entry

if TYPE_CHECKING:
    from services.runtime.container import Container
    from services.runtime.sandbox import Sandbox

KERNEL = "6.8.0-orrery"
MEMORY_BYTES = 8 * 1024**3  # of the emulated machine


@cache
def device_files() -> dict[str, Entry]:
    names = ("null", "zero", "full", "random", "urandom", "tty", "console")
    files = {name: Entry(DEVICE, 0o666) for name in names}
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        files[name] = Entry(DEVICE, 0o666, target=str(number))
    files["shm"] = Entry("d", 0o777)
    return files


def process_files(container: Container) -> dict[str, Entry]:
    def memory() -> bytes:
        total = (container.resources.memory_limit_bytes or MEMORY_BYTES) // 1024
        used = container.usage.memory(container.now_seconds()) // 1024
        free = max(total - used, 0)
        return f"MemTotal: {total:>15} kB\nMemFree: {free:>16} kB\nMemAvailable: {free:>11} kB\n".encode()

    def uptime() -> bytes:
        seconds = container.kernel.clock.monotonic()
        return f"{seconds:.2f} {seconds:.2f}\n".encode()

    def mounts() -> bytes:
        lines = ["overlay / overlay rw,relatime 0 0"]
        lines += [
            f"{_source(path)} {path} {_kind(path)} rw,relatime 0 0"
            for path in sorted(container.filesystem.mounts)
        ]
        return ("\n".join(lines) + "\n").encode()

    def command_line() -> bytes:
        return b"".join(word.encode() + b"\0" for word in container.argv())

    return {
        "version": Entry(mode=0o444, data=f"Linux version {KERNEL} (orrery) #1 SMP\n".encode()),
        "loadavg": Entry(mode=0o444, data=b"0.00 0.00 0.00 1/1 1\n"),
        "cpuinfo": Entry(mode=0o444, data=b"processor\t: 0\nmodel name\t: Emulated CPU\n\n"),
        "meminfo": Entry(mode=0o444, read=memory),
        "uptime": Entry(mode=0o444, read=uptime),
        "mounts": Entry(mode=0o444, read=mounts),
        "1/cmdline": Entry(mode=0o444, read=command_line),
        "self": Entry(LINK, 0o777, target="1"),
        "sys/kernel/hostname": Entry(mode=0o444, data=f"{container.hostname}\n".encode()),
    }


def etc_files(sandbox: Sandbox) -> dict[str, bytes]:
    """/etc/hosts, /etc/hostname and /etc/resolv.conf; the kubelet may mount its own over them."""
    hosts = [
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "fe00::0\tip6-localnet",
        "fe00::0\tip6-mcastprefix",
        "fe00::1\tip6-allnodes",
        "fe00::2\tip6-allrouters",
    ]
    if sandbox.ip:
        hosts.append(f"{sandbox.ip}\t{sandbox.hostname}")
    return {
        "/etc/hosts": _lines(hosts),
        "/etc/hostname": _lines([sandbox.hostname]),
        "/etc/resolv.conf": _lines(_resolver(sandbox)),
    }


def _resolver(sandbox: Sandbox) -> Iterable[str]:
    dns = sandbox.config.dns
    if dns is None:
        return
    if dns.searches:
        yield "search " + " ".join(dns.searches)
    for server in dns.servers:
        yield f"nameserver {server}"
    if dns.options:
        yield "options " + " ".join(dns.options)


def _lines(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _source(path: str) -> str:
    return {"/proc": "proc", "/dev": "tmpfs", "/sys": "sysfs"}.get(path, "/dev/vda1")


def _kind(path: str) -> str:
    return {"/proc": "proc", "/dev": "tmpfs", "/sys": "sysfs"}.get(path, "ext4")
