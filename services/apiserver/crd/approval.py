"""Groups under k8s.io and kubernetes.io are Kubernetes' own: who defines a kind there says who approved it.

Upstream: `apihelpers.GetAPIApprovalState`, `validateAPIApproval`.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from services.machinery.field_errors import Causes, invalid, required, shown

Json = dict[str, Any]
State = Literal["Approved", "Bypassed", "Missing", "Invalid"]

ANNOTATION = "api-approved.kubernetes.io"
_SEE = "see https://github.com/kubernetes/enhancements/pull/1111"
_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^/?#\s]+[^\s]*")


def is_protected(group: str) -> bool:
    return group in ("k8s.io", "kubernetes.io") or group.endswith((".k8s.io", ".kubernetes.io"))


def state(definition: Json) -> tuple[State, str]:
    """Whether its kind is approved, and what is to be said of it."""
    given = (definition["metadata"].get("annotations") or {}).get(ANNOTATION, "")
    if not given:
        return "Missing", f"protected groups must have approval annotation {shown(ANNOTATION)}, {_SEE}"
    if given.startswith("unapproved"):
        return "Bypassed", f"not approved: {shown(given)}"
    if _URL.fullmatch(given):
        return "Approved", f"approved in {given}"
    words = (
        f"protected groups must have approval annotation {shown(ANNOTATION)} with either a URL or a reason"
    )
    return "Invalid", f'{words} starting with "unapproved", {_SEE}'


def check(new: Json, old: Json | None, out: Causes) -> None:
    if not is_protected(new["spec"].get("group", "")):
        return
    found, reason = state(new)
    if old is not None and state(old)[0] == found:
        return
    path = f"metadata.annotations[{ANNOTATION}]"
    if found == "Missing":
        out.append(required(path, reason))
    elif found == "Invalid":
        out.append(invalid(path, new["metadata"]["annotations"][ANNOTATION], reason))
