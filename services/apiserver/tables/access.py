"""Columns and cells of role bindings; roles have only a name and their age."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from services.apiserver.tables.columns import AGE, Column, column
from services.apiserver.tables.descriptions import DESCRIPTIONS as COMMON
from services.machinery.duration import since

Json = dict[str, Any]
Cells = list[Any]

ROLE = (
    "RoleRef can only reference a ClusterRole in the global namespace. If the RoleRef cannot be resolved, "
    "the Authorizer must return an error."
)
ROLE_IN_NAMESPACE = (
    "RoleRef can reference a Role in the current namespace or a ClusterRole in the global namespace. If the "
    "RoleRef cannot be resolved, the Authorizer must return an error. This field is immutable."
)


def _columns(kind: str, role: str) -> list[Column]:
    return [
        {**column("Name", COMMON["name"]), "format": "name"},
        column("Role", role),
        AGE,
        *(
            column(name, f"{name} in the {kind}", wide=True)
            for name in ("Users", "Groups", "ServiceAccounts")
        ),
    ]


COLUMNS: dict[str, list[Column]] = {
    "RoleBinding": _columns("roleBinding", ROLE_IN_NAMESPACE),
    "ClusterRoleBinding": _columns("clusterRoleBinding", ROLE),
}


def _binding(obj: Json, now: datetime) -> Cells:
    reference, meta = obj.get("roleRef") or {}, obj["metadata"]
    subjects = obj.get("subjects") or ()
    accounts = [
        f"{subject.get('namespace', '')}/{subject.get('name', '')}"
        for subject in subjects
        if subject.get("kind") == "ServiceAccount"
    ]
    users, groups = (
        [subject.get("name", "") for subject in subjects if subject.get("kind") == kind]
        for kind in ("User", "Group")
    )
    return [
        meta.get("name", ""),
        f"{reference.get('kind', '')}/{reference.get('name', '')}",
        since(meta.get("creationTimestamp"), now),
        *(", ".join(each) for each in (users, groups, accounts)),
    ]


ROWS: dict[str, Callable[[Json, datetime], Cells]] = {"RoleBinding": _binding, "ClusterRoleBinding": _binding}
