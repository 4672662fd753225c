"""Requests to an address of the host, each on a connection of its own, while something else happens.

Every request is kept: when it began, what was answered, or how it failed. A request that hangs counts as one
that failed, after as long as a test waits for anything.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.e2e.cluster import PATIENCE_SECONDS

CLIENTS = 4  # at once
PAUSE_SECONDS = 0.03  # of each client between two requests: about 100 a second where the machine can


@dataclass(frozen=True)
class Answer:
    """One request. `body` is empty and `fault` says why, where it failed."""

    began: float
    ended: float
    body: str
    fault: str = ""


@dataclass
class Load:
    answers: list[Answer] = field(default_factory=list)

    @property
    def failed(self) -> list[Answer]:
        return [each for each in self.answers if each.fault]

    def since(self, moment: float) -> list[Answer]:
        """Those that began afterwards."""
        return [each for each in self.answers if each.began > moment]


def ask(host: str, port: int, timeout: float = PATIENCE_SECONDS) -> str:
    """The body of a 200. OSError otherwise."""
    with socket.create_connection((host, port), timeout=timeout) as peer:
        peer.settimeout(timeout)
        peer.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        raw = b"".join(iter(lambda: peer.recv(65536), b"")).decode()
    head, _, body = raw.partition("\r\n\r\n")
    if not head.startswith("HTTP/1.1 200"):
        raise OSError(f"answered {head[:80]!r}")
    return body


def one(host: str, port: int, timeout: float = PATIENCE_SECONDS) -> Answer:
    began = time.monotonic()
    try:
        body, fault = ask(host, port, timeout), ""
    except OSError as error:
        body, fault = "", f"{type(error).__name__}: {error}"
    return Answer(began, time.monotonic(), body.strip(), fault)


@contextmanager
def load(
    host: str, port: int, *, clients: int = CLIENTS, timeout: float = PATIENCE_SECONDS
) -> Iterator[Load]:
    """For as long as the block lasts."""
    found, over = Load(), threading.Event()

    def client() -> None:
        while not over.wait(PAUSE_SECONDS):
            found.answers.append(one(host, port, timeout))

    threads = [threading.Thread(target=client, name=f"client {number}") for number in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        over.set()
        for thread in threads:
            thread.join()
