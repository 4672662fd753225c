"""Ports for servers of tests: from below those that the system gives to outgoing connections.

A port that the system itself chose as free is taken by some client's connection a moment later, when
thousands of them come and go. Each test process has a range of its own, and gives no port twice.
"""

from __future__ import annotations

import os
import socket

FIRST, SIZE, WORKERS = 20_000, 1_500, 5
_given: set[int] = set()


def free_port() -> int:
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    return [_next() for _ in range(count)]


def _next() -> int:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    number = int(worker[2:]) % (WORKERS - 1) if worker.startswith("gw") else WORKERS - 1
    first = FIRST + number * SIZE
    start = os.getpid() * 7 + len(_given)  # where a run before this one was is seldom free yet
    for step in range(SIZE):
        port = first + (start + step) % SIZE
        if port not in _given and _is_free(port):
            _given.add(port)
            return port
    raise OSError("no port is left for tests")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
