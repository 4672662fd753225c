"""Everybody who may say yes, in turn: system:masters, the Node rule, RBAC. What nobody allows is refused.

Most of what components ask they may do everywhere, whatever the name: that is remembered until a role or a
binding changes, so that a request costs a look-up. Everything else is decided each time.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from services.apiserver.authentication.users import MASTERS
from services.apiserver.authorization.attributes import Attributes, Decision, refusal
from services.apiserver.authorization.index import CacheOf, RoleIndex
from services.apiserver.authorization.node import NodeRule
from services.apiserver.authorization.rbac import Rbac

REMEMBERED_MAX = 10_000


class Decides(Protocol):
    def decide(self, asked: Attributes) -> Decision: ...


class Authorizer:
    def __init__(self, cache_of: CacheOf) -> None:
        self.rbac = Rbac(RoleIndex(cache_of))
        self._others: tuple[Decides, ...] = (NodeRule(cache_of), self.rbac)
        self._everywhere: dict[tuple[object, ...], bool] = {}
        self._generation = -1

    def decide(self, asked: Attributes) -> Decision:
        if MASTERS in asked.user.groups:
            return Decision(True)
        reasons = []
        for other in self._others:
            decision = other.decide(asked)
            if decision.allowed:
                return decision
            reasons.append(decision.reason)
        return Decision(False, "\n".join(reason for reason in reasons if reason))

    def require(self, asked: Attributes) -> None:
        """ApiError (403)."""
        if asked.memorable and self._may_everywhere(asked):
            return
        decision = self.decide(asked)
        if not decision.allowed:
            raise refusal(asked, decision.reason)

    def _may_everywhere(self, asked: Attributes) -> bool:
        """Whether he may do that to any object of the resource, in all namespaces."""
        if (generation := self.rbac.generation) != self._generation or (
            len(self._everywhere) > REMEMBERED_MAX
        ):
            self._everywhere.clear()
            self._generation = generation
        user = asked.user
        key = (user.name, user.groups, asked.verb, asked.group, asked.resource, asked.subresource, asked.path)
        found = self._everywhere.get(key)
        if found is None:
            anything = replace(asked, namespace="", name="", fields="")
            found = self._everywhere[key] = self.decide(anything).allowed
        return found
