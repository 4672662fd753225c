"""`top`: what nodes and Pods use of CPU and memory, as metrics.k8s.io tells it.

The first numbers are there half a minute after a node, or a Pod, has started. What cannot be told yet is an
error for Pods, and `<unknown>` for one node among others. Upstream: `kubectl/pkg/cmd/top`, `metricsutil`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any, TypeVar

from services.api import kinds
from services.api.core_v1 import Node, Pod
from services.kubectl.commands.registry import Command
from services.kubectl.errors import Fail
from services.kubectl.flags import Flag, boolean, text
from services.kubectl.output.columns import align
from services.kubectl.session import Session
from services.machinery import duration, quantity
from services.machinery.clock import parse_time

T = TypeVar("T")
Json = dict[str, Any]
Usage = tuple[int, int]  # thousandths of a core, bytes
MIB = 1024 * 1024
CREATION_DELAY_SECONDS = 120
NODES, PODS = kinds.MEASURED
UNAVAILABLE = "metrics not available yet"

_COMMON: tuple[Flag, ...] = (
    boolean("no-headers", "Leave the headers out"),
    text("selector", "Only what has these labels", short="l"),
    text("sort-by", "cpu or memory"),
    boolean("use-protocol-buffers", "Accepted for compatibility", default=True),
)
_POD_FLAGS: tuple[Flag, ...] = (
    *_COMMON,
    boolean("all-namespaces", "In all namespaces", short="A"),
    boolean("containers", "Show each container"),
    text("field-selector", "Only Pods with these fields"),
    boolean("sum", "Show the sum, too"),
)


def _name(session: Session) -> str:
    flags = session.flags
    if flags["sort-by"] not in ("", "cpu", "memory"):
        raise Fail("--sort-by accepts only cpu or memory")
    if len(session.args) > 1:
        raise Fail("only one name can be given")
    name = session.args[0] if session.args else ""
    if name and (flags["selector"] or flags.get("field-selector")):
        raise Fail("only one of NAME or selector can be provided")
    return name


async def nodes(session: Session) -> None:
    flags, name, resource = session.flags, _name(session), kinds.resource_of(Node)
    if name:
        measured = [await session.client.get(NODES, name)]
        there = [await session.client.get(resource, name)]
    else:
        measured = (await session.client.list_page(NODES, labels=flags["selector"], limit=0)).items
        if not measured:
            raise Fail(UNAVAILABLE)
        there = (await session.client.list_page(resource, labels=flags["selector"], limit=0)).items
    shares = "capacity" if flags["show-capacity"] else "allocatable"
    available = {
        each["metadata"]["name"]: usage_of((each.get("status") or {}).get(shares) or {}) for each in there
    }
    used = {each["metadata"]["name"]: usage_of(each["usage"]) for each in measured}
    rows = [["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"]]
    for node, use in ordered(used.items(), flags["sort-by"], lambda each: each[0], lambda each: each[1]):
        of = available.get(node, (0, 0))
        cells = [f"{use[0]}m", _share(use[0], of[0]), _mebibytes(use[1]), _share(use[1], of[1])]
        rows.append([node, *cells])
    rows += [[node, *["<unknown>"] * 4] for node in sorted(available.keys() - used.keys())]
    _print(session, rows)


async def pods(session: Session) -> None:
    flags, name = session.flags, _name(session)
    namespace = "" if flags["all-namespaces"] else session.namespace
    if name:
        found = [await session.client.get(PODS, name, namespace)]
    else:
        found = await _selected(session, PODS, namespace)
        if not found:
            await _explain_nothing(session, namespace)
            return
    spaces, each_container = flags["all-namespaces"], flags["containers"]
    head = [*(["NAMESPACE"] if spaces else []), *(["POD"] if each_container else [])]
    rows = [[*head, "NAME", "CPU(cores)", "MEMORY(bytes)"]]
    totals = [(pod, total(pod["containers"])) for pod in found]
    for pod, use in ordered(
        totals, flags["sort-by"], lambda each: _key(each[0], spaces), lambda each: each[1]
    ):
        lines = [(pod["metadata"]["name"], use)]
        if each_container:
            parts = [(part["name"], usage_of(part["usage"])) for part in pod["containers"]]
            lines = ordered(parts, flags["sort-by"], lambda part: part[0], lambda part: part[1])
        before = [pod["metadata"]["namespace"]] if spaces else []
        before += [pod["metadata"]["name"]] if each_container else []
        rows += [[*before, line, *_cells(use)] for line, use in lines]
    if flags["sum"]:
        empty = len(rows[0]) - 2
        sums = total(part for pod in found for part in pod["containers"])
        rows += [[*[""] * empty, "________", "________"], [*[""] * empty, *_cells(sums)]]
    _print(session, rows)


async def _selected(session: Session, resource: kinds.Resource, namespace: str) -> list[Json]:
    flags = session.flags
    page = await session.client.list_page(
        resource, namespace, labels=flags["selector"], fields=flags["field-selector"], limit=0
    )
    return page.items


async def _explain_nothing(session: Session, namespace: str) -> None:
    """Whether there are no Pods, or none that was measured. Fail for the latter."""
    there = await _selected(session, kinds.resource_of(Pod), namespace)
    for pod in there:
        meta = pod["metadata"]
        age = (session.world.clock.now() - parse_time(meta["creationTimestamp"])).total_seconds()
        if age > CREATION_DELAY_SECONDS:
            which = f"{meta['namespace']}/{meta['name']}"
            raise Fail(f"Metrics not available for pod {which}, age: {duration.go(age)}")
    if there:
        raise Fail(UNAVAILABLE)
    session.complain(f"No resources found in {namespace} namespace." if namespace else "No resources found")


def usage_of(resources: Json) -> Usage:
    return quantity.milli(str(resources.get("cpu", "0"))), quantity.value(str(resources.get("memory", "0")))


def total(containers: Iterable[Json]) -> Usage:
    """Summed before it is rounded."""
    cpu, memory = Fraction(), 0
    for container in containers:
        cpu += quantity.parse(container["usage"]["cpu"])
        memory += quantity.value(container["usage"]["memory"])
    return -(-cpu.numerator * 1000 // cpu.denominator), memory


def ordered(found: Iterable[T], by: str, name: Callable[[T], Any], use: Callable[[T], Usage]) -> list[T]:
    """By name, or the largest first."""
    if not by:
        return sorted(found, key=name)
    index = 0 if by == "cpu" else 1
    return sorted(found, key=lambda each: -use(each)[index])


def _key(pod: Json, spaces: bool) -> tuple[str, ...]:
    meta = pod["metadata"]
    return (meta["namespace"], meta["name"]) if spaces else (meta["name"],)


def _cells(use: Usage) -> list[str]:
    return [f"{use[0]}m", _mebibytes(use[1])]


def _mebibytes(count: int) -> str:
    return f"{count // MIB}Mi"


def _share(used: int, available: int) -> str:
    return f"{used * 100 // available}%" if available else "0%"


def _print(session: Session, rows: list[list[str]]) -> None:
    # Every cell is followed by another, empty one, as upstream's is.
    for line in align([*row, ""] for row in rows[session.flags["no-headers"] :]):
        session.print(line)


_NODE_FLAGS = (*_COMMON, boolean("show-capacity", "Shares of the capacity, not of what is allocatable"))
TOP = Command(
    "top",
    "top SUBCOMMAND",
    "Display resource (CPU/memory) usage.",
    children=(
        Command(
            "node", "node [NAME | -l label]", "Display resource (CPU/memory) usage of nodes.",
            run=nodes, flags=_NODE_FLAGS, aliases=("nodes", "no"),
        ),
        Command(
            "pod", "pod [NAME | -l label]", "Display resource (CPU/memory) usage of pods.",
            run=pods, flags=_POD_FLAGS, aliases=("pods", "po"),
        ),
    ),
)  # fmt: skip
