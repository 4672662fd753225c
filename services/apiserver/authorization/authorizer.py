"""Everybody who may say yes, in turn: system:masters, the Node rule, RBAC. What nobody allows is refused."""

from __future__ import annotations

from typing import Protocol

from services.apiserver.authentication.users import MASTERS
from services.apiserver.authorization.attributes import Attributes, Decision, refusal
from services.apiserver.authorization.index import CacheOf, RoleIndex
from services.apiserver.authorization.node import NodeRule
from services.apiserver.authorization.rbac import Rbac


class Decides(Protocol):
    def decide(self, asked: Attributes) -> Decision: ...


class Authorizer:
    def __init__(self, cache_of: CacheOf) -> None:
        self.rbac = Rbac(RoleIndex(cache_of))
        self._others: tuple[Decides, ...] = (NodeRule(cache_of), self.rbac)

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
        decision = self.decide(asked)
        if not decision.allowed:
            raise refusal(asked, decision.reason)
