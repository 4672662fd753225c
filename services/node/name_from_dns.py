"""A node's name under docker compose, where a container is told only a random hostname.

The engine's DNS knows better: the address of the second replica of the service `node` resolves to
`orrery-node-2.orrery_default`. Its end, `node-2`, is the same after a restart, so the node
comes back as itself. The question must go to the DNS server itself: the system's resolver would
answer from /etc/hosts, where the address stands beside the random hostname.
"""

from __future__ import annotations

import ipaddress
import re
import secrets
import socket
from pathlib import Path

TIMEOUT_SECONDS = 3.0
ATTEMPTS = 5  # a container may be asked before the engine has entered it
PTR, IN = 12, 1


def node_name(container: str) -> str:
    """`orrery-node-2.orrery_default` → `node-2`; a name of another form stays as it is."""
    label = container.partition(".")[0]
    match = re.search(r"[-_]([a-z]+)[-_](\d+)$", label)
    return f"{match[1]}-{match[2]}" if match else label


def question(address: str, identifier: int) -> bytes:
    """A DNS query (RFC 1035) for the name of an address."""
    labels = ipaddress.ip_address(address).reverse_pointer.split(".")
    name = b"".join(bytes((len(label),)) + label.encode() for label in labels) + b"\0"
    header = b"".join(number.to_bytes(2, "big") for number in (identifier, 0x0100, 1, 0, 0, 0))
    return header + name + PTR.to_bytes(2, "big") + IN.to_bytes(2, "big")


def first_name(answer: bytes) -> str:
    """The name in the first PTR record of an answer. ValueError when there is none."""
    try:
        offset = read_name(answer, 12)[1] + 4
        for _ in range(int.from_bytes(answer[6:8], "big")):
            offset = read_name(answer, offset)[1]
            kind, size = int.from_bytes(answer[offset : offset + 2], "big"), answer[offset + 8 : offset + 10]
            if kind == PTR:
                return read_name(answer, offset + 10)[0]
            offset += 10 + int.from_bytes(size, "big")
    except IndexError as error:
        raise ValueError("a DNS answer that is cut short") from error
    raise ValueError("no name for this machine's address")


def read_name(message: bytes, offset: int) -> tuple[str, int]:
    """A name that may be compressed, and where it ends. ValueError when it never does."""
    labels: list[str] = []
    end = 0
    for _ in range(128):
        size = message[offset]
        if size >= 0xC0:  # a pointer to the rest of the name
            end = end or offset + 2
            offset = int.from_bytes(message[offset : offset + 2], "big") & 0x3FFF
        elif size == 0:
            return ".".join(labels), end or offset + 1
        else:
            labels.append(message[offset + 1 : offset + 1 + size].decode("ascii", "replace"))
            offset += 1 + size
    raise ValueError("a DNS name without end")


def name_server() -> str:
    for line in Path("/etc/resolv.conf").read_text().splitlines():
        words = line.split()
        if words[:1] == ["nameserver"]:
            return words[1]
    raise OSError("no name server in /etc/resolv.conf")


def name_from_dns() -> str:
    """Asks for the name of this machine's own address. OSError when nobody knows it."""
    address = socket.gethostbyname(socket.gethostname())
    trouble: Exception | None = None
    for _ in range(ATTEMPTS):
        try:
            return node_name(first_name(ask(name_server(), address)))
        except (ValueError, TimeoutError) as error:
            trouble = error
    raise OSError(f"{address}: {trouble}")


def ask(server: str, address: str) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.settimeout(TIMEOUT_SECONDS)
        channel.connect((server, 53))
        channel.send(question(address, secrets.randbits(16)))
        return channel.recv(4096)
