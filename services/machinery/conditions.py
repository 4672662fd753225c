"""Conditions: the list of `{type, status, reason, message, …}` in a status.

Works on the typed condition of any kind (PodCondition, NodeCondition, DeploymentCondition, …).
`lastTransitionTime` moves only when `status` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TypeVar

from msgspec.structs import replace


class Condition(Protocol):
    @property
    def type(self) -> str: ...
    @property
    def status(self) -> str: ...


C = TypeVar("C", bound=Condition)


def get(conditions: Iterable[C], kind: str) -> C | None:
    """The condition of that type."""
    return next((condition for condition in conditions if condition.type == kind), None)


def is_true(conditions: Iterable[Condition], kind: str) -> bool:
    found = get(conditions, kind)
    return found is not None and found.status == "True"


def set(conditions: Sequence[C], new: C) -> list[C]:
    """The list with `new` in the place of its type, or at the end.

    While the status stays the same, the old lastTransitionTime stays too.
    """
    out, found = [], False
    for old in conditions:
        if old.type != new.type:
            out.append(old)
            continue
        found = True
        unchanged: Any = new
        if old.status == new.status:
            unchanged = replace(unchanged, last_transition_time=getattr(old, "last_transition_time", None))
        out.append(unchanged)
    return out if found else [*out, new]


def remove(conditions: Sequence[C], kind: str) -> list[C]:
    return [condition for condition in conditions if condition.type != kind]
