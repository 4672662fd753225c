"""`make bench`: prints every figure beside its budget; exits 1 when one is missed.

Times depend on the machine: compare ratios, and CPU per Pod, rather than single seconds.
    python -m bench [--only start|idle|api|deployments|density|traffic|rest] [--runs N]
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterator
from statistics import median

from bench.cluster import running_cluster
from bench.density import CONTAINERS, density
from bench.machine import slowness
from bench.port_forward import port_forward
from bench.rest import rest
from bench.scenarios import Figure, api, deployment, idle
from bench.traffic import traffic

SIZES = (100, 500, 1000)
HOLLOW_NODES = (10, 100)


def start(runs: int) -> Iterator[Figure]:
    seconds = []
    for _ in range(runs):
        with running_cluster("--nodes", "3") as cluster:
            seconds.append(cluster.start_seconds)
    yield Figure(f"start to three nodes Ready, median of {runs}", median(seconds), "s", 5)


def small(only: str) -> Iterator[Figure]:
    with running_cluster("--nodes", "3") as cluster:
        if only in ("", "idle"):
            yield from idle(cluster)
        if only in ("", "api"):
            yield from asyncio.run(api(cluster))


def deployments() -> Iterator[Figure]:
    for nodes in HOLLOW_NODES:
        with running_cluster("--nodes", str(nodes), "--hollow") as cluster:
            for replicas in SIZES:
                budgeted = (replicas, nodes) == (1000, 100)
                yield from asyncio.run(deployment(cluster, replicas, nodes, budgeted=budgeted))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench")
    parts = ("start", "idle", "api", "deployments", "density", "traffic", "rest")
    parser.add_argument("--only", choices=parts, default="")
    parser.add_argument("--runs", type=int, default=3, help="starts to take the median of")
    parser.add_argument("--containers", type=int, default=CONTAINERS, help="of the density scenario")
    flags = parser.parse_args()
    missed = 0
    print(Figure("this machine now: times slower than the budgets' machine", slowness(), "x"), flush=True)
    for figure in figures(flags.only, flags.runs, flags.containers):
        print(figure, flush=True)
        if not figure.met:
            missed += 1
            share = figure.value / slowness()
            print(
                f"  … which would be {share:.2f} {figure.unit} on the budgets' machine, by today's yardstick"
            )
    print(Figure("this machine at the end", slowness(), "x"))
    return 1 if missed else 0


def figures(only: str, runs: int, containers: int) -> Iterator[Figure]:
    if only in ("", "start"):
        yield from start(runs)
    if only in ("", "idle", "api"):
        yield from small(only)
    if only in ("", "deployments"):
        yield from deployments()
    if only in ("", "density"):
        yield from density(containers)
    if only in ("", "rest"):
        yield from rest()
    if only in ("", "traffic"):
        yield from traffic()
        with running_cluster("--nodes", "1") as cluster:
            yield from port_forward(cluster)


if __name__ == "__main__":
    sys.exit(main())
