"""ClusterRole aggregation: a role with an aggregationRule has the rules of all that its selectors match.

In order of their names, each rule once. Any change of a ClusterRole wakes all that gather, which are few;
what does not change is not written. Upstream: pkg/controller/clusterroleaggregation.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from services.api.object import ObjectKey
from services.api.rbac_v1 import ClusterRole, PolicyRule
from services.client.controller import Controller, For, Stores, Watches
from services.machinery import labels


def _gathering(changed: ClusterRole, stores: Stores) -> Iterable[ObjectKey]:
    return [role.key for role in stores[ClusterRole].list() if role.aggregation_rule is not None]


def gathered(role: ClusterRole, roles: Iterable[ClusterRole]) -> list[PolicyRule]:
    """The rules that the role should have. Pure."""
    assert role.aggregation_rule is not None
    rules: list[PolicyRule] = []
    others = sorted((each for each in roles if each.key != role.key), key=lambda each: each.key.name)
    for selector in map(labels.from_label_selector, role.aggregation_rule.cluster_role_selectors):
        for other in others:
            if selector.matches(other.metadata.labels):
                rules += [rule for rule in other.rules if rule not in rules]
    return rules


class ClusterRoleAggregation(Controller[ClusterRole]):
    name = "clusterrole-aggregation"
    watches = (
        For(ClusterRole, when=lambda old, new: new is not None and new.aggregation_rule is not None),
        Watches(ClusterRole, map=_gathering),
    )

    async def reconcile(self, role: ClusterRole) -> None:
        if role.aggregation_rule is None:
            return
        wanted = gathered(role, self.store(ClusterRole).list())
        if wanted == role.rules:
            return
        rules: list[dict[str, Any]] = msgspec.to_builtins(wanted)
        await self.client.patch(ClusterRole, role.key.name, "", {"rules": rules})
