"""The files that a runtime makes: /dev, and those of /etc that speak of the Pod; /proc: process_files.py."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

from services.runtime.filesystem import DEVICE, Entry

if TYPE_CHECKING:
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
