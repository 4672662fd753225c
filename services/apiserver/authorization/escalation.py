"""Nobody grants what he does not have: writes of roles and bindings are looked at once more.

Who may `escalate` a role may give it any rule; who may `bind` a role may bind it. Others change nothing of a
role that grants more than they have, not even its labels: by these it may become part of another role. Only
what the garbage collector changes is left to whoever may write. Upstream: `pkg/registry/rbac/*/policybased`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from services.api import errors
from services.api.kinds import Resource
from services.apiserver.authentication.users import MASTERS, User
from services.apiserver.authorization.attributes import Attributes
from services.apiserver.authorization.authorizer import Authorizer
from services.machinery.field_errors import quoted
from services.machinery.policy_rules import compacted, quoted_list, text, uncovered

Json = dict[str, Any]
# The new object, and the old one of an update. ApiError (403, 404).
Guard = Callable[[Json, Json | None], None]

GROUP = "rbac.authorization.k8s.io"
_BOOKKEEPING = ("ownerReferences", "finalizers", "managedFields", "resourceVersion", "generation")
_EVERYTHING: list[Json] = [
    {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
    {"nonResourceURLs": ["*"], "verbs": ["*"]},
]


def guard(authorizer: Authorizer, user: User, resource: Resource) -> Guard | None:
    """What to hold a write of that resource against; None where nothing can be granted by it."""
    if resource.group != GROUP or MASTERS in user.groups:
        return None
    checks = _Checks(authorizer, user, resource)
    return checks.role if resource.kind in ("Role", "ClusterRole") else checks.binding


class _Checks:
    def __init__(self, authorizer: Authorizer, user: User, resource: Resource) -> None:
        self._authorizer, self._user, self._resource = authorizer, user, resource

    def role(self, new: Json, old: Json | None) -> None:
        if old is not None and _without_owners(new) == _without_owners(old):
            return
        namespace, name = new["metadata"].get("namespace", ""), new["metadata"].get("name", "")
        if self._may("escalate", self._resource.plural, namespace, name if old is not None else ""):
            return
        self._covered(new.get("rules") or [], namespace, name)
        if _aggregates(new) or _aggregates(old or {}):
            held, _ = self._authorizer.rbac.rules_of(self._user, namespace)
            if uncovered(_EVERYTHING, held):
                why = "must have cluster-admin privileges to use the aggregationRule"
                raise errors.forbidden(self._resource, name, why)

    def binding(self, new: Json, old: Json | None) -> None:
        if old is not None and _without_owners(new) == _without_owners(old):
            return
        namespace, name = new["metadata"].get("namespace", ""), new["metadata"].get("name", "")
        reference = new.get("roleRef") or {}
        kind, role = reference.get("kind", ""), reference.get("name", "")
        plural = {"Role": "roles", "ClusterRole": "clusterroles"}.get(kind)
        if plural is None or self._may("bind", plural, namespace, role):
            return  # an unknown kind is invalid, and refused as that
        rules = self._authorizer.rbac.role(kind, namespace, role)
        if rules is None:
            message = f'{plural}.{GROUP} "{role}" not found'
            details = {"name": role, "group": GROUP, "kind": plural}
            raise errors.failure(404, "NotFound", message, details)
        self._covered(rules, namespace, name)

    def _may(self, verb: str, resource: str, namespace: str, name: str) -> bool:
        asked = Attributes(self._user, verb, namespace, GROUP, "v1", resource, "", name)
        return self._authorizer.decide(asked).allowed

    def _covered(self, rules: list[Json], namespace: str, name: str) -> None:
        held, problem = self._authorizer.rbac.rules_of(self._user, namespace)
        missing = compacted(uncovered(rules, held))
        if not missing:
            return
        lines = "\n".join(text(rule) for rule in missing)
        why = (
            f"user {quoted(self._user.name)} (groups={quoted_list(self._user.groups)}) is attempting to grant"
            f" RBAC permissions not currently held:\n{lines}"
        )
        if problem:
            why += f"; resolution errors: [{problem}]"
        raise errors.forbidden(self._resource, name, why)


def _without_owners(obj: Json) -> Json:
    """All that only a person changes: not what the garbage collector does, nor what the server notes down."""
    return {**obj, "metadata": {name: v for name, v in obj["metadata"].items() if name not in _BOOKKEEPING}}


def _aggregates(role: Json) -> bool:
    return bool((role.get("aggregationRule") or {}).get("clusterRoleSelectors"))
