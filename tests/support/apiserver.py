"""An API server for tests: as a process of its own, or inside the test's event loop, on a real etcd."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from random import Random

import pytest

from services.apiserver.server import ApiServer
from services.apiserver.storage.compaction import Compactor
from services.apiserver.storage.etcd import EtcdStorage
from services.machinery.clock import Clock
from services.process.clock import SystemClock
from services.process.healthcheck import check
from services.process.logging import get_logger
from tests.support.etcd import ROOT, Etcd, free_ports

START_SECONDS = 30.0


@contextmanager
def apiserver_process(etcd: Etcd, log: Path, port: int = 0) -> Iterator[str]:
    """A process that serves when the block begins; yields its address."""
    address = f"127.0.0.1:{port or free_ports(1)[0]}"
    command = [
        *(sys.executable, "-m", "services.apiserver"),
        *("--etcd-servers", etcd.endpoint, "--port", address.rpartition(":")[2]),
    ]
    with log.open("ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, cwd=ROOT)
    try:
        deadline = time.monotonic() + START_SECONDS
        while trouble := check(address):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the API server did not start: {trouble}\n{log.read_text()[-3000:]}")
            time.sleep(0.05)  # until another process serves: there is nothing to wait on
        yield address
    finally:
        process.terminate()
        process.wait(10)


@asynccontextmanager
async def apiserver_here(etcd: Etcd, clock: Clock | None = None) -> AsyncIterator[tuple[ApiServer, str]]:
    """The API server inside the running loop; yields it and its address."""
    clock, log = clock or SystemClock(), get_logger("apiserver")
    storage = EtcdStorage(etcd.endpoint, clock, log)
    server = ApiServer(storage, clock, Random(1), log)
    async with server.listen("127.0.0.1", 0) as port:
        parts = (storage.run(), server.run(), Compactor(storage, clock, log).run())
        tasks = [asyncio.ensure_future(part) for part in parts]
        try:
            await asyncio.wait_for(server.serving.wait(), START_SECONDS)
            yield server, f"127.0.0.1:{port}"
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
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
