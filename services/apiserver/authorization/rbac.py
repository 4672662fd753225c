"""RBAC: a request is allowed where a rule of a role that is bound to its user allows it. No rule denies.

Upstream: `plugin/pkg/auth/authorizer/rbac`.
"""

from __future__ import annotations

from typing import Any

from services.apiserver.authentication.users import User
from services.apiserver.authorization.attributes import Attributes, Decision
from services.apiserver.authorization.index import Binding, RoleIndex
from services.machinery.policy_rules import allows_path, allows_resource

Json = dict[str, Any]


class Rbac:
    def __init__(self, index: RoleIndex) -> None:
        self._index = index

    def decide(self, asked: Attributes) -> Decision:
        self._index.refresh()
        missing: dict[str, None] = {}
        for binding in self._index.bindings(asked.user, asked.namespace):
            if asked.path and binding.namespace:
                continue
            rules = self._rules(binding)
            if rules is None:
                missing[_not_found(binding)] = None
                continue
            if any(_allows(rule, asked) for rule in rules):
                return Decision(True, binding.reason())
        if not missing:
            return Decision(False)
        found = list(missing)
        return Decision(False, f"RBAC: {found[0]}" if len(found) == 1 else f"RBAC: [{', '.join(found)}]")

    def rules_of(self, user: User, namespace: str) -> tuple[list[Json], str]:
        """All that the user may do there, and what could not be found out."""
        self._index.refresh()
        rules: list[Json] = []
        missing: dict[str, None] = {}
        for binding in dict.fromkeys(self._index.bindings(user, namespace)):
            found = self._rules(binding)
            if found is None:
                missing[_not_found(binding)] = None
            else:
                rules += found
        return rules, ", ".join(missing)

    @property
    def generation(self) -> int:
        """Moves when a role or a binding has changed."""
        self._index.refresh()
        return self._index.generation

    def role(self, kind: str, namespace: str, name: str) -> list[Json] | None:
        self._index.refresh()
        return self._index.role(kind, namespace, name)

    def _rules(self, binding: Binding) -> list[Json] | None:
        return self._index.role(binding.role_kind, binding.namespace, binding.role_name)


def _allows(rule: Json, asked: Attributes) -> bool:
    if asked.path:
        return allows_path(rule, asked.verb, asked.path)
    return allows_resource(rule, asked.verb, asked.group, asked.resource, asked.subresource, asked.name)


def _not_found(binding: Binding) -> str:
    kind = binding.role_kind.lower()
    return f'{kind}.rbac.authorization.k8s.io "{binding.role_name}" not found'
