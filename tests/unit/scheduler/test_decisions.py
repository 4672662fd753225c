"""Which node wins: what each plugin adds, and that remembering answers changes none of them."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from services.api.core_v1 import (
    Affinity,
    Node,
    NodeAffinity,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    Pod,
    PodSpec,
    PreferredSchedulingTerm,
    ReplicationController,
    ReplicationControllerSpec,
    Service,
    ServiceSpec,
    Taint,
    TopologySpreadConstraint,
)
from services.api.meta_v1 import LabelSelector, ObjectMeta, OwnerReference
from services.client.store import Store
from services.machinery import labels
from services.scheduler import explain
from services.scheduler.algorithm import Algorithm, feasible_nodes_wanted
from services.scheduler.framework.fit_error import FitError
from services.scheduler.framework.interface import CycleState
from services.scheduler.framework.pod_info import PodInfo
from services.scheduler.owner_selector import OwnerSelector

from .cluster import Cluster
from .objects import make_node, make_pod

ZONE = "topology.kubernetes.io/zone"
BY_APP = labels.from_map({"app": "web"})


def test_least_allocated_node_wins() -> None:
    cluster = Cluster(make_node("full"), make_node("empty"))
    cluster.run(make_pod("old", node="full", requests={"cpu": "2", "memory": "4Gi"}))
    assert cluster.place(make_pod(requests={"cpu": "1", "memory": "1Gi"})) == "empty"


def test_pods_without_requests_spread_too() -> None:
    cluster = Cluster(*(make_node(f"n{i}") for i in range(3)))
    placed = Counter(cluster.place(make_pod(f"p{i}")) for i in range(9))
    assert placed == {"n0": 3, "n1": 3, "n2": 3}


def test_balanced_node_wins_between_equally_allocated_ones() -> None:
    cluster = Cluster(
        make_node("cpu-heavy", cpu="10", memory="10Gi"), make_node("even", cpu="10", memory="10Gi")
    )
    cluster.run(
        make_pod("a", node="cpu-heavy", requests={"cpu": "4", "memory": "0"}),
        make_pod("b", node="even", requests={"cpu": "2", "memory": "2Gi"}),
    )
    decision = cluster.decide(make_pod(requests={"cpu": "1", "memory": "1Gi"}))
    assert decision.scores["NodeResourcesFit"][0] == decision.scores["NodeResourcesFit"][1]
    assert decision.scores["NodeResourcesBalancedAllocation"] == [80, 100]
    assert decision.node_name == "even"


def test_default_spreading_beats_emptiness() -> None:
    """Two Pods of one Service part, although the other node is fuller."""
    cluster = Cluster(make_node("a"), make_node("b"), owners=lambda pod: BY_APP)
    cluster.run(
        make_pod("web-0", node="a", labels={"app": "web"}),
        make_pod("other", node="b", requests={"cpu": "1", "memory": "2Gi"}),
    )
    assert cluster.place(make_pod("web-1", labels={"app": "web"})) == "b"


def test_replicas_spread_evenly_over_nodes_and_zones() -> None:
    nodes = [make_node(f"n{i}", labels={ZONE: "east" if i < 2 else "west"}) for i in range(4)]
    cluster = Cluster(*nodes, owners=lambda pod: BY_APP)
    placed = Counter(cluster.place(make_pod(f"p{i}", labels={"app": "web"})) for i in range(8))
    assert set(placed.values()) == {2}


def test_fewer_unwanted_taints_win() -> None:
    taint = Taint(key="slow", effect="PreferNoSchedule")
    cluster = Cluster(make_node("slow", taints=[taint]), make_node("fast", cpu="2"))
    assert cluster.place(make_pod(requests={"cpu": "1"})) == "fast"


def test_preferred_affinity_wins() -> None:
    cluster = Cluster(make_node("hdd"), make_node("ssd", labels={"disk": "ssd"}, cpu="2"))
    term = NodeSelectorTerm(
        match_expressions=[NodeSelectorRequirement(key="disk", operator="In", values=["ssd"])]
    )
    preferred = [PreferredSchedulingTerm(weight=1, preference=term)]
    affinity = Affinity(
        node_affinity=NodeAffinity(preferred_during_scheduling_ignored_during_execution=preferred)
    )
    assert cluster.place(make_pod(spec=PodSpec(affinity=affinity))) == "ssd"


def test_image_that_is_there_wins() -> None:
    big = 2_000_000_000
    cluster = Cluster(make_node("without"), make_node("with", images={"app:1": big, "x": 5}))
    decision = cluster.decide(make_pod(image="app:1"))
    assert decision.node_name == "with"
    # An image of 2 GB that one node of two has counts as 1 GB.
    assert sorted(decision.scores["ImageLocality"]) == [0, 95]


def test_small_images_do_not_count() -> None:
    cluster = Cluster(make_node("without"), make_node("with", images={"app:1": 1_000_000}))
    assert "ImageLocality" not in cluster.decide(make_pod(image="app:1")).scores


def test_hard_spread_counts_and_keeps_to_the_skew() -> None:
    cluster = Cluster(*(make_node(f"n{i}") for i in range(3)))
    constraint = TopologySpreadConstraint(
        max_skew=1,
        topology_key="kubernetes.io/hostname",
        when_unsatisfiable="DoNotSchedule",
        label_selector=LabelSelector(match_labels={"app": "web"}),
    )
    spec = PodSpec(topology_spread_constraints=[constraint])
    placed = [cluster.place(make_pod(f"p{i}", labels={"app": "web"}, spec=spec)) for i in range(6)]
    assert len(set(placed[:3])) == 3
    assert set(Counter(placed).values()) == {2}


def test_soft_spread_of_its_own_ignores_nodes_outside_the_topology() -> None:
    cluster = Cluster(
        make_node("z1", labels={ZONE: "1"}, cpu="2"), make_node("z2", labels={ZONE: "2"}), make_node("none")
    )
    cluster.run(make_pod("old", node="z2", labels={"app": "web"}))
    constraint = TopologySpreadConstraint(
        max_skew=1,
        topology_key=ZONE,
        when_unsatisfiable="ScheduleAnyway",
        label_selector=LabelSelector(match_labels={"app": "web"}),
    )
    spec = PodSpec(topology_spread_constraints=[constraint])
    decision = cluster.decide(make_pod(labels={"app": "web"}, spec=spec))
    by_name = dict(zip((n.name for n in decision.feasible), decision.scores["PodTopologySpread"]))
    assert by_name["none"] == 0
    assert by_name["z1"] > by_name["z2"]


@pytest.mark.parametrize(
    ("count", "wanted"), [(10, 10), (100, 100), (200, 100), (1000, 420), (5000, 500), (10000, 500)]
)
def test_enough_feasible_nodes(count: int, wanted: int) -> None:
    assert feasible_nodes_wanted(count) == wanted


def test_search_goes_on_where_it_stopped() -> None:
    cluster = Cluster(*(make_node(f"n{i:03}") for i in range(250)))
    first = {node.name for node in cluster.decide(make_pod()).feasible}
    second = {node.name for node in cluster.decide(make_pod()).feasible}
    assert len(first) == feasible_nodes_wanted(250) == 120
    assert first.isdisjoint(second)


def test_ties_fall_differently_with_another_seed_only() -> None:
    def run(seed: int) -> list[str]:
        cluster = Cluster(*(make_node(f"n{i}") for i in range(5)), seed=seed)
        return [cluster.decide(make_pod()).node_name for _ in range(10)]

    assert run(1) == run(1)
    assert run(1) != run(2)


@pytest.mark.parametrize("seed", range(5))
def test_remembered_answers_are_the_answers(seed: int) -> None:
    """A long random history: every decision equals that of an algorithm that remembers nothing."""
    random = Random(seed)
    cluster = Cluster(*(_random_node(random, f"n{i}") for i in range(12)), owners=lambda pod: BY_APP)
    placed: list[Pod] = []
    for number in range(120):
        pod = make_pod(
            f"p{number}",
            requests=random.choice([{}, {"cpu": "200m"}, {"cpu": "100m", "memory": "500Mi"}]),
            labels=random.choice([{"app": "web"}, {}]),
            host_port=random.choice([0, 0, 0, 80]),
        )
        outcome = _outcome(cluster, cluster.algorithm, pod)
        assert outcome == _outcome(cluster, Algorithm(cluster.framework, Random(0)), pod)
        if outcome[0]:
            cluster.cache.assume(PodInfo(pod), random.choice(list(outcome[0])))
            placed.append(pod)
        if placed and random.random() < 0.3:
            gone = placed.pop(random.randrange(len(placed)))
            cluster.cache.remove_pod(gone.metadata.uid or "")
        if random.random() < 0.2:
            cluster.cache.update_node(_random_node(random, f"n{random.randrange(12)}"))
        if random.random() < 0.05:
            cluster.cache.remove_node(f"n{random.randrange(12)}")


def _random_node(random: Random, name: str) -> Node:
    return make_node(
        name,
        cpu=random.choice(["1", "2"]),
        memory=random.choice(["1Gi", "4Gi"]),
        unschedulable=random.random() < 0.2,
        taints=[Taint(key="k", effect=random.choice(["NoSchedule", "PreferNoSchedule"]))]
        if random.random() < 0.3
        else [],
        images={"app:1": 500_000_000} if random.random() < 0.5 else {},
    )


def _outcome(cluster: Cluster, algorithm: Algorithm, pod: Pod) -> tuple[dict[str, int], dict[str, str]]:
    """The total of every feasible node, and every refusal."""
    cluster.snapshot.update(cluster.cache)
    try:
        decision = algorithm.decide(cluster.snapshot, PodInfo(pod), CycleState())
    except FitError as error:
        return {}, {name: status.message for name, status in error.diagnosis.statuses.items()}
    names = [node.name for node in decision.feasible]
    totals = dict(zip(names, decision.totals or [0] * len(names)))
    return totals, {name: status.message for name, status in decision.diagnosis.statuses.items()}


def test_owner_selector_joins_services_and_controller() -> None:
    services: Store[Service] = Store()
    controllers: Store[ReplicationController] = Store()
    where = ObjectMeta(name="web", namespace="default")
    services.put(Service(metadata=where, spec=ServiceSpec(selector={"app": "web"})))
    services.put(
        Service(
            metadata=ObjectMeta(name="none", namespace="default"), spec=ServiceSpec(selector={"app": "x"})
        )
    )
    controllers.put(
        ReplicationController(metadata=where, spec=ReplicationControllerSpec(selector={"tier": "front"}))
    )
    owner = OwnerReference(api_version="v1", kind="ReplicationController", name="web", controller=True)
    selector = OwnerSelector(services, controllers, Store())
    owned = make_pod(labels={"app": "web", "tier": "front"}, owner=owner)
    assert str(selector(owned)) == "app=web,tier=front"
    assert str(selector(make_pod(labels={"app": "web"}))) == "app=web"
    assert selector(make_pod()).empty


def test_explanation_names_what_made_the_difference() -> None:
    cluster = Cluster(
        make_node("a"), make_node("b"), make_node("c", unschedulable=True), owners=lambda pod: BY_APP
    )
    cluster.run(make_pod("web-0", node="a", labels={"app": "web"}))
    decision = cluster.decide(make_pod("web-1", labels={"app": "web"}))
    told = explain.chosen("default/web-1", decision)
    assert told.sentence == "Chose b: the best score of 2 nodes that fit"
    assert told.details["fit"] == "2/3"
    assert told.details["refused"] == "1 node(s) were unschedulable (NodeUnschedulable)"
    assert str(told.details["won_by"]).startswith("PodTopologySpread+")
    assert explain.table(decision).startswith("b = ")


def test_explanation_of_the_only_node() -> None:
    decision = Cluster(make_node("a"), make_node("b", unschedulable=True)).decide(make_pod())
    assert explain.chosen("x", decision).sentence == "Chose a: the only node that fits"
