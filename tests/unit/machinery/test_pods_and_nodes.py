"""What Pods ask for and are; which taints they bear; which nodes they may go to."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from services.api.core_v1 import (
    Affinity,
    Container,
    Node,
    NodeAffinity,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    Pod,
    PodCondition,
    PodSpec,
    PodStatus,
    ResourceRequirements,
    Taint,
    Toleration,
)
from services.api.meta_v1 import ObjectMeta
from services.machinery import conditions, node_affinity, pods, taints

NOW = datetime(2026, 1, 1, 0, 1, tzinfo=UTC)


def container(name: str, restart: str | None = None, **requests: str) -> Container:
    return Container(
        name=name, restart_policy=restart, resources=ResourceRequirements(requests=requests, limits=requests)
    )


def test_requests_are_the_larger_of_running_and_starting() -> None:
    spec = PodSpec(
        containers=[container("a", cpu="100m", memory="1Gi"), container("b", cpu="200m")],
        init_containers=[container("i", cpu="1"), container("j", memory="1Mi")],
        overhead={"cpu": "10m"},
    )
    assert pods.requests_of(Pod(spec=spec)) == {"cpu": 1010, "memory": 2**30}


def test_sidecars_run_beside_later_init_containers_and_all_containers() -> None:
    spec = PodSpec(
        containers=[container("a", cpu="100m")],
        init_containers=[container("side", "Always", cpu="500m"), container("i", cpu="400m")],
    )
    assert pods.requests_of(Pod(spec=spec)) == {"cpu": 900}


@pytest.mark.parametrize(
    ("requests", "limits", "expected"),
    [
        ({}, {}, "BestEffort"),
        ({"cpu": "1"}, {}, "Burstable"),
        ({"cpu": "1", "memory": "1Gi"}, {"cpu": "1", "memory": "1024Mi"}, "Guaranteed"),
        ({}, {"cpu": "1", "memory": "1Gi"}, "Guaranteed"),
        ({"cpu": "1"}, {"cpu": "2", "memory": "1Gi"}, "Burstable"),
        ({"cpu": "0"}, {}, "BestEffort"),
    ],
)
def test_qos_class(requests: dict[str, str], limits: dict[str, str], expected: str) -> None:
    spec = PodSpec(
        containers=[Container(name="a", resources=ResourceRequirements(requests=requests, limits=limits))]
    )
    assert pods.qos_class(Pod(spec=spec)) == expected


def test_available_means_ready_for_long_enough() -> None:
    ready = PodCondition(type="Ready", status="True", last_transition_time="2026-01-01T00:00:30Z")
    pod = Pod(status=PodStatus(conditions=[ready]))
    assert pods.is_available(pod, 0, NOW)
    assert pods.is_available(pod, 30, NOW)
    assert not pods.is_available(pod, 31, NOW)
    assert not pods.is_available(Pod(), 0, NOW)


def test_active_is_neither_finished_nor_terminating() -> None:
    assert pods.is_active(Pod())
    assert not pods.is_active(Pod(status=PodStatus(phase="Failed")))
    assert not pods.is_active(Pod(metadata=ObjectMeta(deletion_timestamp="2026-01-01T00:00:00Z")))


def test_a_condition_keeps_its_time_while_its_status_stays() -> None:
    old = [PodCondition(type="Ready", status="True", last_transition_time="t1")]
    same = conditions.set(
        old, PodCondition(type="Ready", status="True", reason="R", last_transition_time="t2")
    )
    assert [(c.reason, c.last_transition_time) for c in same] == [("R", "t1")]
    moved = conditions.set(old, PodCondition(type="Ready", status="False", last_transition_time="t2"))
    assert [c.last_transition_time for c in moved] == ["t2"]
    more = conditions.set(old, PodCondition(type="Other", status="True"))
    assert [c.type for c in more] == ["Ready", "Other"]


@pytest.mark.parametrize(
    ("toleration", "expected"),
    [
        (Toleration(operator="Exists"), True),
        (Toleration(key="k", operator="Exists"), True),
        (Toleration(key="k", value="v", effect="NoSchedule"), True),
        (Toleration(key="k", value="other"), False),
        (Toleration(key="k", operator="Exists", effect="NoExecute"), False),
        (Toleration(key="other", operator="Exists"), False),
    ],
)
def test_tolerations(toleration: Toleration, expected: bool) -> None:
    taint = Taint(key="k", value="v", effect="NoSchedule")
    assert taints.tolerates(toleration, taint) is expected
    assert (taints.untolerated([taint], [toleration]) is None) is expected


def affine(*terms: NodeSelectorTerm, **node_selector: str) -> Pod:
    required = NodeSelector(node_selector_terms=list(terms)) if terms else None
    affinity = NodeAffinity(required_during_scheduling_ignored_during_execution=required)
    return Pod(spec=PodSpec(node_selector=node_selector, affinity=Affinity(node_affinity=affinity)))


def test_terms_are_alternatives_and_their_conditions_hold_together() -> None:
    node = Node(metadata=ObjectMeta(name="n1", labels={"disk": "ssd", "cores": "8"}))
    ssd = NodeSelectorRequirement(key="disk", operator="In", values=["ssd"])
    many = NodeSelectorRequirement(key="cores", operator="Gt", values=["16"])
    named = NodeSelectorRequirement(key="metadata.name", operator="In", values=["n1"])
    assert node_affinity.matches(affine(NodeSelectorTerm(match_expressions=[ssd])), node)
    assert not node_affinity.matches(affine(NodeSelectorTerm(match_expressions=[ssd, many])), node)
    assert node_affinity.matches(
        affine(NodeSelectorTerm(match_expressions=[many]), NodeSelectorTerm(match_fields=[named])), node
    )
    assert not node_affinity.matches(affine(NodeSelectorTerm()), node)
    assert node_affinity.matches(affine(disk="ssd"), node)
    assert not node_affinity.matches(affine(disk="hdd"), node)
    assert node_affinity.required_names(affine(NodeSelectorTerm(match_fields=[named]))) == frozenset({"n1"})
