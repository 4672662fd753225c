"""What was measured the last two times, and what was used in between. Pure.

A rate needs two points of one life: a container that was restarted begins anew, and one that has just started
counts from its start once it is 10 seconds old. Upstream: metrics-server, `pkg/storage`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from services.machinery.clock import parse_time

Json = Mapping[str, Any]
RESOLUTION = timedelta(seconds=15)
FRESH = timedelta(seconds=10)  # the least time over which a rate says something


@dataclass(frozen=True, slots=True)
class Point:
    at: datetime
    cpu_nanoseconds: int  # since the start
    memory_bytes: int
    started: datetime | None = None


@dataclass(frozen=True, slots=True)
class Use:
    """Over `window`, which ended `at`."""

    at: datetime
    window: timedelta
    cpu_nanocores: int
    memory_bytes: int


PodKey = tuple[str, str]  # namespace, name


@dataclass(frozen=True, slots=True)
class Scrape:
    """What one kubelet told at one time."""

    node: Point
    node_nanocores: int
    pods: Mapping[PodKey, Mapping[str, Point]]


class Malformed(Exception):
    """A summary that is none: whatever a node says, it harms nobody but its own numbers."""


def scrape_of(summary: Any, at: datetime) -> Scrape:
    """From a kubelet's summary. Malformed."""
    try:
        node = summary["node"]
        return Scrape(
            Point(
                at, _number(node["cpu"]["usageCoreNanoSeconds"]), _number(node["memory"]["workingSetBytes"])
            ),
            _number(node["cpu"]["usageNanoCores"]),
            {
                (pod["podRef"]["namespace"], pod["podRef"]["name"]): {
                    container["name"]: _point(container, at) for container in pod["containers"]
                }
                for pod in summary["pods"]
            },
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Malformed(f"{type(error).__name__}: {error}") from error


def _point(container: Json, at: datetime) -> Point:
    started = container.get("startTime")
    return Point(
        at,
        _number(container["cpu"]["usageCoreNanoSeconds"]),
        _number(container["memory"]["workingSetBytes"]),
        parse_time(started) if started else None,
    )


def _number(value: Any) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is no whole number")
    return value


class Points:
    """The last two scrapes of each node."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[Scrape, Scrape | None]] = {}
        self._node_of: dict[PodKey, str] = {}

    def put(self, node: str, scrape: Scrape) -> None:
        held = self._last.get(node)
        self._forget_pods(node)
        self._last[node] = (scrape, held[0] if held else None)
        self._node_of.update(dict.fromkeys(scrape.pods, node))

    def keep(self, nodes: Iterable[str]) -> None:
        """Forgets the nodes that are not among these."""
        for gone in self._last.keys() - set(nodes):
            self._forget_pods(gone)
            del self._last[gone]

    def _forget_pods(self, node: str) -> None:
        held = self._last.get(node)
        for key in held[0].pods if held else ():
            if self._node_of.get(key) == node:
                del self._node_of[key]

    def node(self, name: str) -> Use | None:
        last, previous = self._last.get(name, (None, None))
        if last is None or previous is None:
            return None
        # A node's sum shrinks when a container ends; the kubelet knows the rate all the same.
        use = used(last.node, previous.node)
        window = last.node.at - previous.node.at
        return use or Use(last.node.at, window, last.node_nanocores, last.node.memory_bytes)

    def pod(self, namespace: str, name: str) -> dict[str, Use] | None:
        """By container; None as long as one of them cannot be told."""
        key = (namespace, name)
        last, previous = self._last.get(self._node_of.get(key, ""), (None, None))
        if last is None:
            return None
        before = previous.pods.get(key, {}) if previous else {}
        found = {}
        for container, point in last.pods[key].items():
            earlier = _begin(point, before.get(container))
            use = used(point, earlier) if earlier else None
            if use is None:
                return None
            found[container] = use
        return found or None


def _begin(point: Point, previous: Point | None) -> Point | None:
    """From when on the use is told."""
    if previous is not None and previous.started == point.started:
        return previous
    if point.started is not None and FRESH <= point.at - point.started < RESOLUTION:
        return Point(point.started, 0, 0, point.started)
    return None


def used(last: Point, previous: Point) -> Use | None:
    """None where the counter went back, or no time has passed."""
    window = last.at - previous.at
    spent = last.cpu_nanoseconds - previous.cpu_nanoseconds
    if window <= timedelta() or spent < 0:
        return None
    return Use(last.at, window, round(spent / window.total_seconds()), last.memory_bytes)
