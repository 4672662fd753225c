"""A control plane of real processes for tests: etcd, API server, and what a test asks for beside them.

Every process dies with the test process, writes its log into `root`, and is ended by its id.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from services.launcher.etcd_binary import find_etcd, flags_for, version_of
from services.launcher.plan import etcd_argv
from services.launcher.tether import tethered
from services.process import healthcheck
from tests.support.ports import free_port

START_SECONDS_MAX = 60.0
END_SECONDS_MAX = 30.0
TELL_SECONDS_MAX = 60.0
REPOSITORY = Path(__file__).parents[2]


class ControlPlane:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.apiserver = f"127.0.0.1:{free_port()}"
        self.etcd = f"127.0.0.1:{free_port()}"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start_store(self) -> None:
        binary = find_etcd()
        argv = etcd_argv(binary, self.root / "etcd", self.etcd, f"127.0.0.1:{free_port()}")
        self._spawn("etcd", [*argv, *flags_for(version_of(binary))])
        self.start_apiserver()

    def start_apiserver(self) -> None:
        flags = ["--etcd-servers", self.etcd, "--port", self.apiserver.rpartition(":")[2]]
        self._spawn("apiserver", python("apiserver", *flags))
        self.wait_serving(self.apiserver)

    def start(self, component: str, *flags: str, name: str = "") -> int:
        """A component that talks to the API server. Returns its process id."""
        argv = python(component, "--apiserver", self.apiserver, "--port", str(free_port()), *flags)
        return self._spawn(name or component, argv)

    def start_plain(self, component: str, *flags: str) -> int:
        """A component that does not talk to the API server."""
        return self._spawn(component, python(component, *flags))

    def kill(self, name: str) -> None:
        process = self._processes.pop(name)
        process.kill()
        process.wait()

    def stop(self, name: str) -> None:
        process = self._processes.pop(name)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=END_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def stop_all(self) -> None:
        for name in reversed([*self._processes]):
            self.stop(name)

    def log(self, name: str) -> str:
        """Its whole lines so far; the last one may still be written."""
        whole, newline, _ = (self.root / f"{name}.log").read_bytes().rpartition(b"\n")
        return (whole + newline).decode(errors="replace")

    def told(self, name: str, *words: str) -> str:
        """The first line of its log with all those words: it may be written after what it tells of."""
        deadline = time.monotonic() + TELL_SECONDS_MAX
        while True:
            for line in self.log(name).splitlines():
                if all(word in line for word in words):
                    return line
            assert time.monotonic() < deadline, f"{name} never told of {words}"
            time.sleep(0.05)  # a file tells nobody that it grows

    def wait_serving(self, address: str) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline:
            if not healthcheck.check(address):
                return
            time.sleep(0.05)
        raise TimeoutError(f"nothing serves at {address}; log: {self.log('apiserver')[-2000:]}")

    def _spawn(self, name: str, argv: Sequence[str]) -> int:
        with (self.root / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                tethered(argv), stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=REPOSITORY
            )
        self._processes[name] = process
        return process.pid


def python(component: str, *flags: str) -> list[str]:
    return [sys.executable, "-m", f"services.{component}", *flags]


@contextmanager
def control_plane(root: Path) -> Iterator[ControlPlane]:
    """etcd and the API server, serving; the rest is the caller's to start."""
    plane = ControlPlane(root)
    try:
        plane.start_store()
        yield plane
    finally:
        plane.stop_all()
