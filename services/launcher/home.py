"""Where one cluster keeps everything: `ORRERY_HOME`, by default `~/.orrery`.

    cluster.json        ports and options; what `ok` reads to find the API server
    cluster.lock        held while a supervisor lives
    data/etcd           the store
    keys                the cluster's CA, and what signs tokens: made at the first start, kept since
    data/NODE           what a node's runtime keeps
    nodes/NAME          the node's own folders that people reach into: etc/kubernetes/manifests
    logs/COMPONENT.log  what each component said

Sockets lie here too, unless the path is longer than a socket address can be (some 100 bytes);
then they lie in a folder of the system's temporary directory that is named after this one, and goes when the
cluster has ended.
Several clusters run side by side, each with a home of its own.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.process.clock import SystemClock

LEAVING_SECONDS, RETRY_SECONDS = 5.0, 0.1
SOCKET_PATH_BYTES_MAX = 60  # leaves room for file names below it, of the 104 that macOS allows


class Taken(Exception):
    """Another supervisor has this home, or is about to."""


@dataclass(frozen=True)
class Home:
    path: Path

    @classmethod
    def from_environment(cls) -> Home:
        return cls(Path(os.environ.get("ORRERY_HOME") or Path.home() / ".orrery").expanduser().absolute())

    @property
    def cluster_file(self) -> Path:
        return self.path / "cluster.json"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def keys(self) -> Path:
        return self.path / "keys"

    @property
    def kubeconfig(self) -> Path:
        """For kubectl and every other Kubernetes client."""
        return self.path / "kubeconfig"

    @property
    def nodes(self) -> Path:
        return self.path / "nodes"

    @property
    def run(self) -> Path:
        own = self.path / "run"
        if len(os.fsencode(own)) <= SOCKET_PATH_BYTES_MAX:
            return own
        digest = hashlib.sha256(os.fsencode(own)).hexdigest()[:12]
        elsewhere = Path(tempfile.gettempdir()) / f"orrery-{os.getuid()}-{digest}"
        if len(os.fsencode(elsewhere)) <= SOCKET_PATH_BYTES_MAX:
            return elsewhere
        return Path("/tmp") / elsewhere.name  # TMPDIR may be as deep as a home

    @property
    def control_socket(self) -> Path:
        return self.run / "control.sock"

    def create(self) -> None:
        for folder in (self.path, self.logs, self.data, self.run):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    @contextmanager
    def alone(self) -> Iterator[int]:
        """Nobody else starts a cluster here while the block, or a process that got the descriptor, lasts.

        Taken when somebody else does; OSError when the home cannot be made.
        """
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(self.path / "cluster.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _take(lock)
            yield lock
        finally:
            os.close(lock)  # an unlock would take it from who inherited it

    def forget_sockets(self) -> None:
        """After the last process has ended: nothing of a cluster is left outside of its home."""
        if self.run.parent != self.path:
            shutil.rmtree(self.run, ignore_errors=True)

    def log_of(self, component: str) -> Path:
        return self.logs / f"{component}.log"

    def read(self) -> dict[str, Any]:
        """The cluster's record; empty when there is none, or when a crash left half of one."""
        try:
            record = json.loads(self.cluster_file.read_text())
        except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
            return {}
        return record if isinstance(record, dict) else {}

    def write(self, record: dict[str, Any]) -> None:
        """Replaces the record as a whole: readers see the old one or the new one."""
        draft = self.cluster_file.with_suffix(".json.new")
        draft.write_text(json.dumps(record, indent=2) + "\n")
        draft.replace(self.cluster_file)


def _take(lock: int) -> None:
    """A supervisor that has just said goodbye has the lock until its process is gone: that long is waited."""
    clock, waited = SystemClock(), 0.0
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if waited >= LEAVING_SECONDS:
                raise Taken from error
        asyncio.run(clock.sleep(RETRY_SECONDS))
        waited += RETRY_SECONDS
