"""A cluster to measure: started by `orrery up -d` in a home of its own, its processes read from /proc."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from services.client.client import Client, connect
from services.client.credentials import of_administrator
from services.launcher import control
from services.launcher.home import Home

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cluster:
    home: Home
    start_seconds: float  # from the command to all nodes Ready

    def connect(self) -> AbstractAsyncContextManager[Client]:
        mine = of_administrator(self.home.path)
        return connect(self.apiserver, user_agent="bench", credentials=mine)

    @property
    def apiserver(self) -> str:
        return str(json.loads(self.home.cluster_file.read_text())["apiserver"])

    def pids(self) -> dict[str, int]:
        answer = control.ask(self.home, {"command": "status"})
        pids = {component["name"]: component["pid"] for component in answer["components"]}
        return {**pids, "(supervisor)": parent_of(next(iter(pids.values())))}

    def cpu_seconds(self) -> dict[str, float]:
        """Processor time of each process since it started, by component."""
        return {name: cpu_seconds(pid) for name, pid in self.pids().items()}

    def memory_mib(self) -> dict[str, float]:
        """Proportional set size of each process: shared pages count once over all."""
        return {name: pss_mib(pid) for name, pid in self.pids().items()}


@contextmanager
def running_cluster(*flags: str) -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory(prefix="orrery-bench-") as folder:
        environment = {**os.environ, "ORRERY_HOME": folder}
        orrery = (sys.executable, "-m", "services.launcher")
        began = time.perf_counter()
        subprocess.run((*orrery, "up", "-d", *flags), env=environment, check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - began
        try:
            yield Cluster(Home(Path(folder)), seconds)
        finally:
            subprocess.run((*orrery, "down"), env=environment, check=True, stdout=subprocess.DEVNULL)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def pss_mib(pid: int) -> float:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) / 1024


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
