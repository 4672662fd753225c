"""A kubelet's `/metrics/resource`, made from its summary: what scrapers of usage read. Pure.

Upstream: `pkg/kubelet/metrics/collectors/resource_metrics.go`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from services.machinery.clock import parse_time

Json = dict[str, Any]
NANO = 1e-9
_CPU = ("cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed by the {} in core-seconds")
_MEMORY = ("memory_working_set_bytes", "gauge", "Current working set of the {} in bytes")
_START = ("start_time_seconds", "gauge", "Start time of the {} since unix epoch in seconds")


def text(summary: Json) -> str:
    """Prometheus' text form."""
    node, pods = summary["node"], summary["pods"]
    containers = [
        ({"container": each["name"], **_labels(pod)}, each) for pod in pods for each in pod["containers"]
    ]
    whole = [(_labels(pod), _sum(pod["containers"])) for pod in pods]
    lines = [
        *_family("container", _CPU, containers),
        *_family("container", _MEMORY, containers),
        *_family("container", _START, [each for each in containers if "startTime" in each[1]]),
        *_family("node", _CPU, [({}, node)]),
        *_family("node", _MEMORY, [({}, node)]),
        *_family("pod", _CPU, whole),
        *_family("pod", _MEMORY, whole),
        "# HELP resource_scrape_error [STABLE] 1 where containers could not be measured, else 0",
        "# TYPE resource_scrape_error gauge",
        "resource_scrape_error 0",
    ]
    return "\n".join(lines) + "\n"


def _labels(pod: Json) -> dict[str, str]:
    return {"namespace": pod["podRef"]["namespace"], "pod": pod["podRef"]["name"]}


def _sum(containers: list[Json]) -> Json:
    newest = max(each["cpu"]["time"] for each in containers)
    spent = sum(each["cpu"]["usageCoreNanoSeconds"] for each in containers)
    held = sum(each["memory"]["workingSetBytes"] for each in containers)
    return {
        "cpu": {"time": newest, "usageCoreNanoSeconds": spent},
        "memory": {"time": newest, "workingSetBytes": held},
    }


def _family(
    of: str, metric: tuple[str, str, str], samples: list[tuple[dict[str, str], Json]]
) -> Iterator[str]:
    name, kind, help = metric
    if samples:
        yield f"# HELP {of}_{name} [STABLE] {help.format(of)}"
        yield f"# TYPE {of}_{name} {kind}"
    for labels, stats in samples:
        shown = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
        where = f"{{{shown}}}" if shown else ""
        yield f"{of}_{name}{where} {_value(metric, stats)}"


def _value(metric: tuple[str, str, str], stats: Json) -> str:
    """The value and when it was measured, in milliseconds."""
    if metric is _START:
        return f"{parse_time(stats['startTime']).timestamp():.12g}"
    if metric is _CPU:
        value, at = stats["cpu"]["usageCoreNanoSeconds"] * NANO, stats["cpu"]["time"]
    else:
        value, at = stats["memory"]["workingSetBytes"], stats["memory"]["time"]
    return f"{value:.12g} {int(parse_time(at).timestamp() * 1000)}"
