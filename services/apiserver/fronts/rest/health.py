"""/healthz, /livez and /readyz, in the texts that probes and people read. Pure.

Upstream: staging/src/k8s.io/apiserver/pkg/server/healthz. What a check found is never for the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

NAMES = ("healthz", "livez", "readyz")


@dataclass(frozen=True, slots=True)
class Check:
    """`passes` says whether all is well; `of` are the paths that ask it."""

    name: str
    passes: Callable[[], bool]
    of: tuple[str, ...] = NAMES


@dataclass(frozen=True, slots=True)
class Verdict:
    status: int
    text: str


def checks(is_ready: Callable[[], bool]) -> tuple[Check, ...]:
    """Those of this server, in the order in which they are told."""
    return (
        Check("ping", lambda: True),
        Check("log", lambda: True),
        Check("etcd", is_ready, ("healthz", "readyz")),
        Check("informer-sync", is_ready, ("readyz",)),
        Check("poststarthook/start-system-namespaces-controller", is_ready, ("healthz", "readyz")),
    )


def judge(every: Iterable[Check], asked: str, *, verbose: bool, excluded: set[str]) -> Verdict:
    """What `asked` ("livez") answers, without the checks that are to be left out."""
    lines, failed, unmatched = [], False, set(excluded)
    for check in every:
        if asked not in check.of:
            continue
        if check.name in excluded:
            unmatched.discard(check.name)
            lines.append(f"[+]{check.name} excluded: ok")
        elif check.passes():
            lines.append(f"[+]{check.name} ok")
        else:
            failed = True
            lines.append(f"[-]{check.name} failed: reason withheld")
    if unmatched:
        shown = ", ".join(f'"{name}"' for name in sorted(unmatched))
        lines.append(f"warn: some health checks cannot be excluded: no matches for {shown}")
    if failed:
        return Verdict(500, "\n".join([*lines, f"{asked} check failed", ""]))
    return Verdict(200, "\n".join([*lines, f"{asked} check passed", ""]) if verbose else "ok")


def judge_one(every: Iterable[Check], asked: str, name: str) -> Verdict | None:
    """One check by its path. None when there is no such check."""
    for check in every:
        if check.name == name and asked in check.of:
            if check.passes():
                return Verdict(200, "ok")
            return Verdict(500, f"internal server error: {name} is not ready\n")
    return None
