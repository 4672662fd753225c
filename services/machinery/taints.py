"""Taints and tolerations: which Pods a node keeps away. Upstream: `component-helpers/scheduling/corev1`."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

from services.api.core_v1 import Taint, Toleration

NO_SCHEDULE = "NoSchedule"
PREFER_NO_SCHEDULE = "PreferNoSchedule"
NO_EXECUTE = "NoExecute"


def tolerates(toleration: Toleration, taint: Taint) -> bool:
    """An empty effect means every effect, an empty key with Exists every key."""
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    match toleration.operator or "Equal":
        case "Equal":
            return (toleration.value or "") == (taint.value or "") and bool(toleration.key)
        case "Exists":
            return True
        case "Gt" | "Lt" as operator:
            try:
                wanted, have = int(toleration.value or ""), int(taint.value or "")
            except ValueError:
                return False
            return have > wanted if operator == "Gt" else have < wanted
    return False


def tolerated(taint: Taint, tolerations: Iterable[Toleration]) -> bool:
    return any(tolerates(toleration, taint) for toleration in tolerations)


def untolerated(
    taints: Sequence[Taint],
    tolerations: Sequence[Toleration],
    effects: Container[str] = (NO_SCHEDULE, NO_EXECUTE),
) -> Taint | None:
    """The first taint of one of those effects that no toleration covers."""
    for taint in taints:
        if taint.effect in effects and not tolerated(taint, tolerations):
            return taint
    return None


def same_taint(one: Taint, other: Taint) -> bool:
    """A taint's identity is its key and effect (upstream: MatchTaint)."""
    return one.key == other.key and one.effect == other.effect
