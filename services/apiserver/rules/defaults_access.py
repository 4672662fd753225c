"""Defaults of role bindings: the API group of the role and of each subject that can only have one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from services.apiserver.rules.validation.rbac import GROUP

Json = dict[str, Any]


def binding(obj: Json) -> None:
    reference = obj.setdefault("roleRef", {})
    if not reference.get("apiGroup"):
        reference["apiGroup"] = GROUP
    for subject in obj.get("subjects") or ():
        if subject.get("kind") in ("User", "Group") and not subject.get("apiGroup"):
            subject["apiGroup"] = GROUP


DEFAULTS: dict[str, Callable[[Json], None]] = {"RoleBinding": binding, "ClusterRoleBinding": binding}
