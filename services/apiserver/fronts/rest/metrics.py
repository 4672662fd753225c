"""/metrics: how many requests of which kind there were, how long they took, what the process uses.

In Prometheus' text format and with upstream's names, so that dashboards made for Kubernetes show something.
To note a request costs a look into two tables; nothing is computed before somebody asks. The labels are
bounded by what is served: names that the server does not know are not counted under their own.
"""

from __future__ import annotations

import os
import resource as usage
from bisect import bisect_left
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path

from services.api.kinds import Resource
from services.apiserver.fairness.fairness import Fairness
from services.apiserver.fronts.discovery import VERSION
from services.apiserver.fronts.rest.paths import Path as RequestPath
from services.apiserver.registry.catalog import Catalog

BUCKETS = (
    0.005,
    0.025,
    0.05,
    0.1,
    0.2,
    0.4,
    0.6,
    0.8,
    1.0,
    1.25,
    1.5,
    2,
    3,
    4,
    5,
    6,
    8,
    10,
    15,
    20,
    30,
    45,
    60,
)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_VERBS = {"POST": "POST", "PUT": "PUT", "PATCH": "PATCH", "HEAD": "GET"}
# Group, version, resource, subresource, scope, verb.
_Labels = tuple[str, str, str, str, str, str]
_NAMES = ("group", "version", "resource", "subresource", "scope", "verb")


_FLOW = "apiserver_flowcontrol"
_FLOW_CONTROL = (
    (f"{_FLOW}_current_executing_requests", "gauge", "running", "Requests that hold a seat."),
    (f"{_FLOW}_current_inqueue_requests", "gauge", "waiting", "Requests that wait for a seat."),
    (f"{_FLOW}_rejected_requests_total", "counter", "rejected", "Requests told to come again."),
    (f"{_FLOW}_nominal_limit_seats", "gauge", "shape.seats", "The level's share of all seats."),
    (f"{_FLOW}_current_limit_seats", "gauge", "limit", "Seats that it has, with what is lent and borrowed."),
    (f"{_FLOW}_demand_seats_high_watermark", "gauge", "demand.most", "Seats wanted at once, of late."),
    (f"{_FLOW}_demand_seats_smoothed", "gauge", "demand.smoothed", "Seats that are wanted as a rule."),
)


class Histogram:
    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds


class Metrics:
    """What happened since the process began."""

    def __init__(self, catalog: Catalog | None = None, fairness: Fairness | None = None) -> None:
        self._catalog, self._fairness = catalog or Catalog(), fairness
        self._requests: dict[tuple[_Labels, int], int] = {}
        self._seconds: dict[_Labels, Histogram] = {}
        self.in_flight = 0
        self.long_running = 0  # of those: watches and streams

    def note(
        self, method: str, path: RequestPath | None, code: int, seconds: float, *, watches: bool
    ) -> None:
        """A request that was answered. Watches last as long as they like: their time says nothing."""
        served = path.resource(self._catalog) if path else None
        labels = _labels(method, path, served, watches=watches)
        key = (labels, code)
        self._requests[key] = self._requests.get(key, 0) + 1
        if not watches:
            histogram = self._seconds.get(labels)
            if histogram is None:
                histogram = self._seconds[labels] = Histogram()
            histogram.observe(seconds)

    def text(self) -> str:
        lines = [*self._request_lines(), *self._level_lines(), *_build_lines(), *_process_lines(), ""]
        return "\n".join(lines)

    def _level_lines(self) -> Iterator[str]:
        levels = self._fairness.levels.values() if self._fairness else ()
        for name, kind, attribute, says in _FLOW_CONTROL:
            yield from _head(name, kind, says)
            value_of = attrgetter(attribute)
            for level in levels:
                value = value_of(level)
                shown = f"{value:.9g}" if isinstance(value, float) else value
                yield f'{name}{{priority_level="{level.shape.name}"}} {shown}'

    def _request_lines(self) -> Iterator[str]:
        yield from _head("apiserver_current_inflight_requests", "gauge", "Requests being answered now.")
        yield f"apiserver_current_inflight_requests {self.in_flight}"
        yield from _head("apiserver_longrunning_requests", "gauge", "Watches and streams that are open now.")
        yield f"apiserver_longrunning_requests {self.long_running}"
        yield from _head("apiserver_request_total", "counter", "Requests answered, by kind and code.")
        for (labels, code), count in sorted(self._requests.items()):
            yield f'apiserver_request_total{{code="{code}",{_shown(labels)}}} {count}'
        name = "apiserver_request_duration_seconds"
        yield from _head(name, "histogram", "How long answers took, by kind.")
        for labels, histogram in sorted(self._seconds.items()):
            shown, so_far = _shown(labels), 0
            for bound, count in zip((*BUCKETS, "+Inf"), histogram.counts, strict=True):
                so_far += count
                yield f'{name}_bucket{{{shown},le="{bound}"}} {so_far}'
            yield f"{name}_sum{{{shown}}} {histogram.total:.9g}"
            yield f"{name}_count{{{shown}}} {so_far}"


def _labels(method: str, path: RequestPath | None, served: Resource | None, *, watches: bool) -> _Labels:
    if path is None or served is None:
        return ("", "", "", "", "", _VERBS.get(method, method if method in ("GET", "DELETE") else "OTHER"))
    known = {part.name for part in served.subresources}
    subresource = path.subresource if path.subresource in known else ""
    scope = "resource" if path.name else "namespace" if path.namespace else "cluster"
    match method:
        case "GET":
            verb = "WATCH" if watches else "GET" if path.name else "LIST"
        case "DELETE":
            verb = "DELETE" if path.name else "DELETECOLLECTION"
        case _:
            verb = _VERBS.get(method, "OTHER")
    return (served.group, served.version, served.plural, subresource, scope, verb)


def _shown(labels: _Labels) -> str:
    return ",".join(f'{name}="{value}"' for name, value in zip(_NAMES, labels, strict=True))


def _head(name: str, kind: str, says: str) -> tuple[str, str]:
    return f"# HELP {name} {says}", f"# TYPE {name} {kind}"


def _build_lines() -> Iterator[str]:
    yield from _head("kubernetes_build_info", "gauge", "1, and the version among the labels.")
    names = {"git_version": "gitVersion", "git_commit": "gitCommit", "major": "major", "minor": "minor"}
    shown = ",".join(f'{label}="{VERSION[name]}"' for label, name in names.items())
    yield f"kubernetes_build_info{{{shown}}} 1"


def _process_lines() -> Iterator[str]:
    """From /proc; left out where there is none."""
    used = usage.getrusage(usage.RUSAGE_SELF)
    yield from _head("process_cpu_seconds_total", "counter", "CPU time used, in seconds.")
    yield f"process_cpu_seconds_total {used.ru_utime + used.ru_stime:.6f}"
    proc = Path("/proc/self")
    try:
        size, resident = (int(word) for word in (proc / "statm").read_text().split()[:2])
        open_files = sum(1 for _ in proc.joinpath("fd").iterdir())
    except OSError:
        return
    page = os.sysconf("SC_PAGE_SIZE")
    for name, value, says in (
        ("process_resident_memory_bytes", resident * page, "Memory held, in bytes."),
        ("process_virtual_memory_bytes", size * page, "Memory addressed, in bytes."),
        ("process_open_fds", open_files, "Open file descriptors."),
    ):
        yield from _head(name, "gauge", says)
        yield f"{name} {value}"
