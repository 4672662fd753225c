"""When a node is short, who has to go, and what is said of it."""

from __future__ import annotations

import pytest

from services.kubelet import eviction
from services.kubelet.eviction import Observation, PodUsage, Pressure, parse
from tests.unit.kubelet.pods import pod

MIB = 1024 * 1024
HARD = parse("memory.available<100Mi,nodefs.available<10%")


def observed(memory_mib: int, disk_percent: int = 50) -> dict[str, Observation]:
    return {
        "memory.available": Observation(memory_mib * MIB, 8192 * MIB),
        "nodefs.available": Observation(disk_percent * 1000, 100_000),
    }


def test_thresholds_are_read_as_upstream_reads_them() -> None:
    memory, disk = HARD
    assert (memory.amount(8192 * MIB), disk.amount(1000)) == (100 * MIB, 100)
    (soft,) = parse("memory.available<1Gi", grace={"memory.available": 90.0})
    assert soft.soft
    assert soft.grace_seconds == 90


@pytest.mark.parametrize(
    "text",
    [
        "memory.available",
        "memory.available>1Gi",
        "nosuch.available<1Gi",
        "nodefs.available<120%",
        "pid.available<x",
    ],
)
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(text)
    with pytest.raises(ValueError, match=r"."):
        parse("memory.available<1Gi", grace={})


def test_a_condition_outlasts_its_cause_by_the_transition_period() -> None:
    pressure = Pressure()
    assert [t.signal for t in pressure.look(HARD, observed(80), 0, 300)] == ["memory.available"]
    assert pressure.conditions == {"MemoryPressure"}
    assert pressure.look(HARD, observed(500), 10, 300) == []
    assert pressure.conditions == {"MemoryPressure"}
    pressure.look(HARD, observed(500), 301, 300)
    assert pressure.calm


def test_a_soft_threshold_waits_for_its_grace_period_but_shows_at_once() -> None:
    soft = parse("memory.available<1Gi", grace={"memory.available": 60.0})
    pressure = Pressure()
    assert pressure.look(soft, observed(500), 0, 300) == []
    assert pressure.conditions == {"MemoryPressure"}
    assert pressure.look(soft, observed(500), 59, 300) == []
    assert len(pressure.look(soft, observed(500), 60, 300)) == 1
    assert pressure.look(soft, observed(2000), 61, 300) == []
    assert pressure.look(soft, observed(500), 70, 300) == []  # It begins anew.


def test_what_was_met_asks_for_a_little_more_back() -> None:
    thresholds = parse("memory.available<100Mi", reclaim={"memory.available": "50Mi"})
    pressure = Pressure()
    assert pressure.look(thresholds, observed(120), 0, 0) == []
    assert pressure.look(thresholds, observed(90), 1, 0)
    assert pressure.look(thresholds, observed(120), 2, 0)
    assert pressure.look(thresholds, observed(160), 3, 0) == []


def test_memory_comes_before_disk() -> None:
    due = Pressure().look(HARD, observed(10, disk_percent=1), 0, 300)
    assert [t.signal for t in due] == ["memory.available", "nodefs.available"]


def test_who_uses_more_than_asked_goes_first_then_the_unimportant_then_the_largest() -> None:
    within = pod({"resources": {"requests": {"memory": "500Mi"}}}, name="within", uid="within")
    precious = pod(name="precious", uid="precious", priority=1000)
    small, large = pod(name="small", uid="small"), pod(name="large", uid="large")
    usage = {
        "within": PodUsage(memory={"main": 400 * MIB}),
        "precious": PodUsage(memory={"main": 300 * MIB}),
        "small": PodUsage(memory={"main": 10 * MIB}),
        "large": PodUsage(memory={"main": 20 * MIB}),
    }
    order = eviction.ranked([within, precious, small, large], usage, "memory")
    assert [p.metadata.name for p in order] == ["large", "small", "precious", "within"]


def test_the_message_is_upstreams() -> None:
    text = eviction.message(
        pod(), PodUsage(memory={"main": 200 * MIB}), "memory", HARD[0], Observation(80 * MIB, 8192 * MIB)
    )
    assert text == (
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 80Mi. "
        "Container main was using 200Mi, request is 0, has larger consumption of memory. "
    )


def test_own_limits_on_local_storage() -> None:
    limited = pod({"resources": {"limits": {"ephemeral-storage": "1Mi"}}})
    assert eviction.has_storage_limits(limited)
    assert not eviction.has_storage_limits(pod())
    excess = eviction.storage_excess(limited, PodUsage(disk={"main": 2 * MIB}))
    assert excess == "Pod ephemeral local storage usage exceeds the total limit of containers 1Mi. "
    assert eviction.storage_excess(limited, PodUsage(disk={"main": MIB})) == ""
    scratch = pod(volumes=[{"name": "scratch", "emptyDir": {"sizeLimit": "1Mi"}}])
    excess = eviction.storage_excess(scratch, PodUsage(volumes={"scratch": 2 * MIB}))
    assert excess == 'Usage of EmptyDir volume "scratch" exceeds the limit "1Mi". '


def test_critical_pods_are_spared() -> None:
    assert eviction.is_critical(pod(priority=2_000_000_000))
    assert not eviction.is_critical(pod(priority=1_000_000_000))
