"""An API server for tests: as a process of its own, or inside the test's event loop, on a real etcd."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import aiohttp
import pytest
from aiohappyeyeballs import AddrInfoType

from services.apiserver.server import ApiServer
from services.apiserver.storage.compaction import Compactor
from services.apiserver.storage.etcd import EtcdStorage
from services.machinery.clock import Clock
from services.process.clock import SystemClock
from services.process.healthcheck import check
from services.process.keys import make_missing
from services.process.logging import get_logger
from tests.support.etcd import ROOT, Etcd
from tests.support.ports import free_ports

START_SECONDS = 60.0
CLOSE_SECONDS = END_SECONDS = 60.0


@contextmanager
def apiserver_process(
    etcd: Etcd, log: Path, port: int = 0, flags: tuple[str, ...] = (), health: str = ""
) -> Iterator[str]:
    """A process that serves when the block begins; yields its address. `health`: where it says that."""
    address = f"127.0.0.1:{port or free_ports(1)[0]}"
    command = [
        *(sys.executable, "-m", "services.apiserver"),
        *("--etcd-servers", etcd.endpoint, "--port", address.rpartition(":")[2]),
        *flags,
    ]
    with log.open("ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, cwd=ROOT)
    log.with_name(f"{log.name}.pid").write_text(str(process.pid))
    try:
        deadline = time.monotonic() + START_SECONDS
        while trouble := check(health or address):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the API server did not start: {trouble}\n{log.read_text()[-3000:]}")
            time.sleep(0.05)  # until another process serves: there is nothing to wait on
        yield address
    finally:
        process.terminate()
        process.wait(END_SECONDS)


@asynccontextmanager
async def apiserver_here(etcd: Etcd, clock: Clock | None = None) -> AsyncIterator[tuple[ApiServer, str]]:
    """The API server inside the running loop; yields it and its address."""
    clock, log = clock or SystemClock(), get_logger("apiserver")
    storage = EtcdStorage(etcd.endpoint, clock, log)
    server = ApiServer(storage, clock, Random(1), log)
    try:
        async with server.listen("127.0.0.1", 0) as port:
            parts = (storage.run(), server.run(), Compactor(storage, clock, log).run())
            tasks = [asyncio.ensure_future(part) for part in parts]
            try:
                await asyncio.wait_for(server.serving.wait(), START_SECONDS)
                yield server, f"127.0.0.1:{port}"
            finally:
                for task in tasks:
                    task.cancel()
                ends = await asyncio.gather(*tasks, return_exceptions=True)
                # A part that ended by itself is why a test waited in vain.
                for end in ends:
                    if isinstance(end, Exception):
                        raise end
    finally:
        await storage.close()


@pytest.fixture(scope="module")
def apiserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an API server with an empty etcd, both of the module's own."""
    folder = tmp_path_factory.mktemp("apiserver")
    etcd = Etcd(folder / "etcd", "--unsafe-no-fsync")
    etcd.start()
    try:
        with apiserver_process(etcd, folder / "apiserver.log") as address:
            yield address
    finally:
        etcd.stop()


@dataclass(frozen=True)
class Https:
    """An API server's HTTPS port, its gRPC one, its etcd, and the folder of the keys."""

    base: str
    grpc: str
    etcd: str
    keys: Path
    pid: int
    log: Path
    store: Etcd

    def context(self, name: str = "admin") -> ssl.SSLContext:
        """As the user whose certificate has that name; `""`: as nobody."""
        context = ssl.create_default_context(cafile=str(self.keys / "ca.crt"))
        if name:
            context.load_cert_chain(str(self.keys / f"{name}.crt"), str(self.keys / f"{name}.key"))
        return context

    @asynccontextmanager
    async def client(self, name: str = "admin", limit: int = 0) -> AsyncIterator[aiohttp.ClientSession]:
        """Asks as that user, with at most `limit` connections (0: any number).

        Every socket is closed when the block ends. A session by itself does not wait for the connections
        that it gave up, such as those of watches: they would be found open by another test's garbage.
        """
        made: list[socket.socket] = []

        def make(address: AddrInfoType) -> socket.socket:
            made.append(socket.socket(*address[:3]))
            return made[-1]

        connector = aiohttp.TCPConnector(ssl=self.context(name), limit=limit, socket_factory=make)
        async with aiohttp.ClientSession(self.base, connector=connector) as session:
            yield session
        async with asyncio.timeout(CLOSE_SECONDS):
            while any(each.fileno() >= 0 for each in made):  # noqa: ASYNC110 (transports tell nobody)
                await asyncio.sleep(0.001)


@pytest.fixture(scope="module")
def https(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Https]:
    """An API server with its HTTPS port and an empty etcd, both of the module's own; no controllers."""
    with https_apiserver(tmp_path_factory.mktemp("https")) as server:
        yield server


@contextmanager
def https_apiserver(folder: Path, more_flags: tuple[str, ...] = ()) -> Iterator[Https]:
    keys = folder / "keys"
    make_missing(keys, SystemClock().now())
    etcd = Etcd(folder / "etcd", "--unsafe-no-fsync")
    etcd.start()
    (port,) = free_ports(1)
    flags = (
        *("--secure-port", str(port), "--client-ca-file", str(keys / "ca.crt")),
        *("--tls-cert-file", str(keys / "apiserver.crt")),
        *("--tls-private-key-file", str(keys / "apiserver.key")),
        *more_flags,
    )
    try:
        with apiserver_process(etcd, folder / "apiserver.log", flags=flags) as address:
            pid = int((folder / "apiserver.log.pid").read_text())
            base = f"https://127.0.0.1:{port}"
            yield Https(base, address, etcd.endpoint, keys, pid, folder / "apiserver.log", etcd)
    finally:
        etcd.stop()
