from __future__ import annotations

from datetime import UTC, datetime

from services.api.core_v1 import Container, Pod, PodSpec
from services.api.meta_v1 import ObjectMeta
from services.kubelet.cri import FilesystemUsage, SandboxUsage, Usage
from services.kubelet.stats import Measured, PodDisk, summary

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GIB = 1024**3


def pod(name: str, *, host_network: bool = False) -> Pod:
    spec = PodSpec(containers=[Container(name="main")], host_network=host_network or None)
    return Pod(metadata=ObjectMeta(name=name, namespace="default", uid=f"uid-{name}"), spec=spec)


def usage(name: str, number: int) -> Usage:
    return Usage(
        container_id=f"c-{name}", name="main", pod_uid=f"uid-{name}", cpu_nano_cores=number,
        cpu_core_nano_seconds=10 * number, memory_bytes=100 * number, memory_usage_bytes=200 * number,
        memory_rss_bytes=50 * number, memory_available_bytes=7, written_bytes=number, written_inodes=2,
    )  # fmt: skip


def measured() -> Measured:
    return Measured(
        node="node-1",
        capacity={"memory": "8Gi", "ephemeral-storage": "100Gi"},
        usage=[usage("a", 1), usage("b", 2)],
        sandboxes=[
            SandboxUsage(pod_uid="uid-a", received_bytes=5, sent_bytes=6, processes=3),
            SandboxUsage(pod_uid="uid-b", received_bytes=50, sent_bytes=60, processes=1),
        ],
        images=FilesystemUsage(used_bytes=1000, inodes_used=10),
        started_at={"c-a": 1_767_225_600_000_000_000},
        disks={"uid-a": PodDisk(logs={"main": 30}, volumes={"cache": 400})},
        now=NOW,
    )


def test_a_node_is_the_sum_of_its_pods() -> None:
    node = summary(measured(), [])["node"]
    assert node["nodeName"] == "node-1"
    assert (node["cpu"]["usageNanoCores"], node["cpu"]["usageCoreNanoSeconds"]) == (3, 30)
    assert node["memory"]["workingSetBytes"] == 300
    assert node["memory"]["availableBytes"] == 8 * GIB - 300
    assert (node["network"]["rxBytes"], node["network"]["txBytes"]) == (55, 66)
    assert node["fs"]["capacityBytes"] == 100 * GIB
    assert node["fs"]["usedBytes"] == 1000 + 3 + 430
    assert node["runtime"]["imageFs"]["usedBytes"] == 1000
    assert node["rlimit"]["curproc"] == 4


def test_a_pod() -> None:
    one, other, none = summary(measured(), [pod("a"), pod("b", host_network=True), pod("c")])["pods"]
    assert one["podRef"] == {"name": "a", "namespace": "default", "uid": "uid-a"}
    container = one["containers"][0]
    assert container["name"] == "main"
    assert container["startTime"] == "2026-01-01T00:00:00Z"
    assert container["memory"]["availableBytes"] == 7
    assert (container["rootfs"]["usedBytes"], container["logs"]["usedBytes"]) == (1, 30)
    assert one["network"]["interfaces"][0]["name"] == "eth0"
    assert one["process_stats"] == {"process_count": 3}
    assert one["volume"][0]["name"] == "cache"
    assert one["ephemeral-storage"]["usedBytes"] == 1 + 30 + 400
    assert "network" not in other  # it is the machine's
    assert none["containers"] == []
