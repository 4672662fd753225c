"""What the checks read of a Pod, and how they word what they find."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from services.machinery.field_errors import quoted

Json = dict[str, Any]


class Finding(NamedTuple):
    """Why a Pod is not of a level: the short reason, and what exactly in it."""

    reason: str
    detail: str


# A Pod's metadata and spec in; None where it is as the check wants it.
Check = Callable[[Json, Json], Finding | None]


def containers(spec: Json) -> Iterator[Json]:
    for field in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(field) or ()


def security(holder: Json) -> Json:
    """The securityContext of a Pod's spec or of a container; empty where there is none."""
    found: Json = holder.get("securityContext") or {}
    return found


def failing(spec: Json, fails: Callable[[Json], object]) -> list[str]:
    """The names of the containers for which `fails` says yes."""
    return [each.get("name", "") for each in containers(spec) if fails(each)]


def plural(count: int, one: str, many: str = "") -> str:
    return one if count == 1 else many or f"{one}s"


def listed(texts: Iterable[str]) -> str:
    return ", ".join(quoted(text) for text in texts)


def named(containers: list[str]) -> str:
    """`container "a"`, or `containers "a", "b"`."""
    return f"{plural(len(containers), 'container')} {listed(containers)}"


def setters(pod: object, containers: list[str]) -> str:
    """Who set it: `pod`, `container "a"`, or both."""
    return " and ".join([*(["pod"] if pod else []), *([named(containers)] if containers else [])])


def has_own_users(spec: Json) -> bool:
    """In a user namespace of its own its root is nobody outside."""
    return spec.get("hostUsers") is False


def is_windows(spec: Json) -> bool:
    return (spec.get("os") or {}).get("name") == "windows"
