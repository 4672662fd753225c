"""Requests and limits of containers."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from typing import Any

from services.kubectl.errors import Fail
from services.kubectl.flags import Flag, text
from services.kubectl.session import Session
from services.machinery import quantity

Json = dict[str, Any]

FLAGS: tuple[Flag, ...] = (
    text("containers", "Names of the containers, with wildcards", short="c", default="*"),
    text("limits", "cpu=100m,memory=256Mi"),
    text("requests", "cpu=100m,memory=256Mi"),
)


def _amounts(spec: str) -> dict[str, str]:
    amounts = {}
    for pair in spec.split(",") if spec else ():
        name, equals, amount = pair.partition("=")
        if not equals or not name:
            raise Fail(f"Invalid argument syntax {pair}, expected <resource>=<value>")
        try:
            amounts[name] = quantity.canonical(amount)
        except ValueError as error:
            raise Fail(str(error)) from error
    return amounts


def editor(session: Session) -> Callable[[Json], None]:
    flags = session.flags
    if not flags["limits"] and not flags["requests"]:
        raise Fail("you must specify an update to requests or limits (in the form of --requests/--limits)")
    changes = {"limits": _amounts(flags["limits"]), "requests": _amounts(flags["requests"])}

    def edit(spec: Json) -> None:
        everything = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
        hits = [each for each in everything if fnmatch.fnmatchcase(each["name"], flags["containers"])]
        if not hits:
            raise Fail(f"unable to find container named {flags['containers']}")
        for container in hits:
            entry = container.setdefault("resources", {})
            for key, amounts in changes.items():
                if amounts:
                    entry[key] = {**(entry.get(key) or {}), **amounts}

    return edit
