from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.apiserver.usage.points import Malformed, Points, Use, scrape_of
from services.machinery.clock import rfc3339

Json = dict[str, Any]
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = 10**9


def at(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def container(cpu_seconds: float, memory: int = 5, name: str = "c", started: float = -1000) -> Json:
    return {
        "name": name,
        "cpu": {"usageCoreNanoSeconds": int(cpu_seconds * SECOND), "usageNanoCores": 7},
        "memory": {"workingSetBytes": memory},
        "startTime": rfc3339(at(started)),
    }


def told(seconds: float, *containers: Json, node_cpu: float | None = None) -> Any:
    spent = sum(each["cpu"]["usageCoreNanoSeconds"] for each in containers)
    node = {
        "cpu": {
            "usageCoreNanoSeconds": spent if node_cpu is None else int(node_cpu * SECOND),
            "usageNanoCores": 7,
        },
        "memory": {"workingSetBytes": 9},
    }
    reference = {"namespace": "d", "name": "p"}
    return scrape_of({"node": node, "pods": [{"podRef": reference, "containers": containers}]}, at(seconds))


def test_a_rate_is_known_from_the_second_time_on() -> None:
    points = Points()
    points.put("n", told(0, container(1)))
    assert points.node("n") is None
    assert points.pod("d", "p") is None
    points.put("n", told(15, container(4)))
    expected = Use(at(15), timedelta(seconds=15), SECOND // 5, 5)
    assert points.pod("d", "p") == {"c": expected}
    assert points.node("n") == Use(at(15), timedelta(seconds=15), SECOND // 5, 9)


def test_a_container_that_began_anew_has_no_rate_until_it_ran_for_a_while() -> None:
    points = Points()
    points.put("n", told(0, container(100)))
    points.put("n", told(15, container(1, started=7)))
    assert points.pod("d", "p") is None
    points.put("n", told(30, container(4, started=7)))
    found = points.pod("d", "p")
    assert found is not None
    assert found["c"].cpu_nanocores == SECOND // 5


def test_a_young_container_counts_from_its_start() -> None:
    points = Points()
    points.put("n", told(15, container(2, started=5)))
    assert points.pod("d", "p") == {"c": Use(at(15), timedelta(seconds=10), SECOND // 5, 5)}
    young = Points()
    young.put("n", told(15, container(2, started=6)))
    assert young.pod("d", "p") is None


def test_a_pod_is_told_whole_or_not_at_all() -> None:
    points = Points()
    points.put("n", told(0, container(1)))
    points.put("n", told(15, container(4), container(1, name="late", started=14)))
    assert points.pod("d", "p") is None


def test_a_node_whose_containers_ended_is_told_by_the_kubelet() -> None:
    points = Points()
    points.put("n", told(0, container(100)))
    points.put("n", told(15, node_cpu=3))
    assert points.node("n") == Use(at(15), timedelta(seconds=15), 7, 9)


def test_what_is_gone_is_forgotten() -> None:
    points = Points()
    for seconds in (0, 15):
        points.put("n", told(seconds, container(seconds)))
        points.put("m", told(seconds, container(seconds)))  # the Pod of that name is here now
    points.keep(["n"])
    assert points.node("m") is None
    assert points.pod("d", "p") is None
    points.put("n", told(30, container(30)))
    assert points.pod("d", "p") is not None
    points.put("n", told(45))
    assert points.pod("d", "p") is None or points.pod("d", "p") == {}


NODE: Json = {"cpu": {"usageCoreNanoSeconds": 1, "usageNanoCores": 1}, "memory": {"workingSetBytes": 1}}
REFERENCE = {"namespace": "d", "name": "p"}


@pytest.mark.parametrize(
    "summary",
    [
        {},
        [],
        None,
        {"node": NODE},
        {"node": {**NODE, "cpu": {}}, "pods": []},
        {"node": {**NODE, "memory": {"workingSetBytes": "many"}}, "pods": []},
        {"node": NODE, "pods": [{"podRef": {}}]},
        {"node": NODE, "pods": [{"podRef": {"namespace": [], "name": "p"}, "containers": []}]},
        {"node": NODE, "pods": [{"podRef": REFERENCE, "containers": [{"name": "c"}]}]},
        {"node": NODE, "pods": [{"podRef": REFERENCE, "containers": [{**container(1), "startTime": "now"}]}]},
    ],
)
def test_what_is_no_summary_is_told_from_one(summary: Any) -> None:
    with pytest.raises(Malformed):
        scrape_of(summary, at(0))
