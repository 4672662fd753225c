"""Why a cluster does not come up: the components that end again and again, and what they said last.

`orrery up -d` shows nothing else of the logs, so it tells whoever waits. Pure but for reading the log files.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from services.launcher.home import Home
from services.launcher.logs import kept

BAD_FLAGS = 2  # the exit code of a command line that could not be read: it never will be
RESTARTS_LEAST = 2  # once happens to whom starts on a busy machine: a lease that it lost, a port not free yet


def unsteady(components: Iterable[dict[str, Any]], told: set[str]) -> list[str]:
    """The names of those that ended so often, as `status` tells of them; added to `told`, so each once."""
    names = [each["name"] for each in components if _hopeless(each)]
    new = [name for name in names if name not in told]
    told.update(new)
    return new


def _hopeless(component: dict[str, Any]) -> bool:
    return component["restarts"] >= RESTARTS_LEAST or component.get("last_exit") == BAD_FLAGS


def last_words(home: Home, component: str) -> str:
    """Its last line that is its own and not the supervisor's; empty when it said nothing."""
    said = ""
    for _, _, line in kept(home, component, tail=20):
        if line.strip() and line[12:].lstrip()[:7] != "orrery ":
            said = line.strip()
    return said


def complaint(home: Home, component: str) -> str:
    said = last_words(home, component) or "nothing"
    return f"{component} does not keep running; the last it said: {said}"
