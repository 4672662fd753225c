"""A real etcd for tests: its own data, free loopback ports, ended by its process id."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ports import free_ports

ROOT = Path(__file__).parents[2]
START_SECONDS = END_SECONDS = 60.0


def binary() -> str:
    """Its path, fetched where there is none."""
    script = ROOT / "scripts" / "get_etcd.py"
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=300)
    if done.returncode:
        pytest.skip(f"no etcd: {done.stderr.strip()}")
    return done.stdout.strip()


class Etcd:
    """One member. `stop` and `start` keep the data and the ports."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self._binary, self._folder, self._flags = binary(), folder, flags
        client, peer = free_ports(2)
        self.endpoint = f"127.0.0.1:{client}"
        self._peer = f"127.0.0.1:{peer}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        client, peer = f"http://{self.endpoint}", f"http://{self._peer}"
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                (
                    self._binary,
                    *("--name", "test", "--data-dir", str(self._folder / "data")),
                    *("--listen-client-urls", client, "--advertise-client-urls", client),
                    *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
                    *("--initial-cluster", f"test={peer}", "--log-level", "warn"),
                    *self._flags,
                ),
                stdout=log,
                stderr=log,
            )
        self._wait()

    def _wait(self) -> None:
        assert self._process is not None
        host, _, port = self.endpoint.rpartition(":")
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"etcd ended: {(self._folder / 'log').read_text()[-2000:]}")
            try:
                socket.create_connection((host, int(port)), 1).close()
                return
            except OSError:
                time.sleep(0.05)  # until another process listens: there is nothing to wait on
        raise RuntimeError("etcd did not start")

    def pause(self) -> None:
        """It answers nobody until `resume`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self, *, kill: bool = False) -> None:
        if self._process is not None:
            (self._process.kill if kill else self._process.terminate)()
            self._process.wait(END_SECONDS)
            self._process = None


@pytest.fixture(scope="session")
def shared_etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    """One etcd for all tests of the session; whoever uses it keeps to keys of its own."""
    member = Etcd(tmp_path_factory.mktemp("etcd"), "--unsafe-no-fsync")
    member.start()
    yield member
    member.stop()


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[Etcd]:
    """An etcd of the test's own: empty, and free to be broken."""
    member = Etcd(tmp_path / "etcd", "--unsafe-no-fsync")
    member.start()
    yield member
    member.stop()
