"""A Pod's usage as metrics by cAdvisor's names: what a kubelet offers to Prometheus. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from services.pb.runtime.v1 import api_pb2 as pb

LABELS = ("id", "container", "image", "name", "namespace", "pod")
INTERFACE = "interface"
NANO = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Described:
    name: str
    help: str
    kind: int
    value: Callable[[Any], int]


CONTAINER_METRICS = (
    Described(
        "container_cpu_usage_seconds_total", "Cumulative cpu time consumed in seconds.", pb.COUNTER,
        lambda stats: stats.cpu.usage_core_nano_seconds.value // NANO,
    ),
    Described(
        "container_memory_usage_bytes", "Current memory usage in bytes.", pb.GAUGE,
        lambda stats: stats.memory.usage_bytes.value,
    ),
    Described(
        "container_memory_working_set_bytes", "Current working set in bytes.", pb.GAUGE,
        lambda stats: stats.memory.working_set_bytes.value,
    ),
    Described(
        "container_memory_rss", "Size of RSS in bytes.", pb.GAUGE, lambda stats: stats.memory.rss_bytes.value
    ),
    Described(
        "container_fs_usage_bytes", "Bytes that are consumed by the container on this filesystem.", pb.GAUGE,
        lambda stats: stats.writable_layer.used_bytes.value,
    ),
)  # fmt: skip
POD_METRICS = (
    Described(
        "container_network_receive_bytes_total", "Cumulative count of bytes received", pb.COUNTER,
        lambda stats: stats.linux.network.default_interface.rx_bytes.value,
    ),
    Described(
        "container_network_transmit_bytes_total", "Cumulative count of bytes transmitted", pb.COUNTER,
        lambda stats: stats.linux.network.default_interface.tx_bytes.value,
    ),
    Described(
        "container_processes", "Number of processes running inside the container.", pb.GAUGE,
        lambda stats: stats.linux.process.process_count.value,
    ),
)  # fmt: skip


def descriptors() -> list[pb.MetricDescriptor]:
    return [
        pb.MetricDescriptor(name=one.name, help=one.help, label_keys=_keys(one))
        for one in (*CONTAINER_METRICS, *POD_METRICS)
    ]


def of_sandbox(stats: pb.PodSandboxStats) -> pb.PodSandboxMetrics:
    pod = stats.attributes.metadata
    return pb.PodSandboxMetrics(
        pod_sandbox_id=stats.attributes.id,
        metrics=_measure(POD_METRICS, stats, (stats.attributes.id, "POD", "", "", pod.namespace, pod.name)),
        container_metrics=[
            pb.ContainerMetrics(
                container_id=one.attributes.id,
                metrics=_measure(
                    CONTAINER_METRICS,
                    one,
                    (
                        one.attributes.id,
                        one.attributes.metadata.name,
                        "",
                        one.attributes.id,
                        pod.namespace,
                        pod.name,
                    ),
                ),
            )
            for one in stats.linux.containers
        ],
    )


def _keys(described: Described) -> tuple[str, ...]:
    return (*LABELS, INTERFACE) if "network" in described.name else LABELS


def _measure(metrics: Iterable[Described], stats: Any, labels: tuple[str, ...]) -> list[pb.Metric]:
    timestamp = stats.linux.cpu.timestamp if isinstance(stats, pb.PodSandboxStats) else stats.cpu.timestamp
    return [
        pb.Metric(
            name=one.name,
            timestamp=timestamp,
            metric_type=one.kind,  # type: ignore[arg-type]
            label_values=(*labels, "eth0") if "network" in one.name else labels,
            value=pb.UInt64Value(value=one.value(stats)),
        )
        for one in metrics
    ]
