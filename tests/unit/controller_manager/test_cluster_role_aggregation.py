"""Roles that gather others."""

from __future__ import annotations

from services.api.meta_v1 import LabelSelector, ObjectMeta
from services.api.rbac_v1 import AggregationRule, ClusterRole, PolicyRule
from tests.unit.controller_manager.conftest import Cluster

CONTROLLER = "clusterrole-aggregation-controller"
PODS = PolicyRule(verbs=["get"], api_groups=[""], resources=["pods"])
SECRETS = PolicyRule(verbs=["get"], api_groups=[""], resources=["secrets"])


def role(name: str, *rules: PolicyRule, to: str = "", gathers: str = "") -> ClusterRole:
    labels = {f"to-{to}": "true"} if to else {}
    selector = LabelSelector(match_labels={f"to-{gathers}": "true"})
    aggregation = AggregationRule(cluster_role_selectors=[selector]) if gathers else None
    meta = ObjectMeta(name=name, labels=labels)
    return ClusterRole(metadata=meta, rules=list(rules), aggregation_rule=aggregation)


async def test_rules_are_gathered_through_two_steps_and_follow_changes(cluster: Cluster) -> None:
    cluster.api.put(role("a", PODS, to="view"))
    cluster.api.put(role("b", PODS, SECRETS, to="edit"))
    cluster.api.put(role("view", gathers="view", to="edit"))
    cluster.api.put(role("edit", gathers="edit"))
    async with cluster.running(CONTROLLER):
        assert cluster.api.one(ClusterRole, "view").rules == [PODS]
        assert cluster.api.one(ClusterRole, "edit").rules == [PODS, SECRETS]
        cluster.api.put(role("c", SECRETS, to="view"))
        await cluster.quiet()
        assert cluster.api.one(ClusterRole, "view").rules == [PODS, SECRETS]
        cluster.api.remove(ClusterRole, "a")
        await cluster.quiet()
        assert cluster.api.one(ClusterRole, "view").rules == [SECRETS]
    assert cluster.api.one(ClusterRole, "b").rules == [PODS, SECRETS]
