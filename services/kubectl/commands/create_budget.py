"""A PodDisruptionBudget from what is typed: `create pdb NAME --selector=app=web --min-available=50%`."""

from __future__ import annotations

import re
from typing import Any

from services.kubectl.errors import Fail
from services.kubectl.flags import Flag, text
from services.kubectl.session import Session
from services.machinery import labels

Json = dict[str, Any]

USE = "poddisruptionbudget NAME --selector=SELECTOR --min-available=N"
SENTENCE = (
    "Create a pod disruption budget with the specified name, selector, and desired minimum available pods."
)
FLAGS: tuple[Flag, ...] = (
    text("max-unavailable", "How many of the Pods, or what part of them, may be away"),
    text("min-available", "How many of the Pods, or what part of them, must be there"),
    text("selector", "The labels of the Pods"),
)
_AMOUNT = re.compile(r"[0-9]+%?")
_OPERATORS = {"in": "In", "!=": "NotIn", "notin": "NotIn", "exists": "Exists", "!": "DoesNotExist"}


def budget(session: Session, name: str) -> Json:
    flags = session.flags
    least, most = flags["min-available"], flags["max-unavailable"]
    if not flags["selector"]:
        raise Fail("a selector must be specified")
    if not least and not most:
        raise Fail("one of min-available or max-unavailable must be specified")
    if least and most:
        raise Fail("min-available and max-unavailable cannot be both specified")
    spec: Json = {"selector": _selector(flags["selector"])}
    for flag, field, amount in (
        ("min-available", "minAvailable", least),
        ("max-unavailable", "maxUnavailable", most),
    ):
        if amount and not _AMOUNT.fullmatch(amount):
            raise Fail(f"invalid format specified for {flag}")
        if amount:
            spec[field] = amount if amount.endswith("%") else int(amount)
    status = dict.fromkeys(("currentHealthy", "desiredHealthy", "disruptionsAllowed", "expectedPods"), 0)
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name},
        "spec": spec,
        "status": status,
    }


def _selector(text: str) -> Json:
    try:
        wanted = labels.parse(text).requirements
    except labels.SelectorError as error:
        raise Fail(str(error)) from None
    equal: dict[str, str] = {}
    others: list[Json] = []
    for each in wanted:
        if each.operator in ("=", "=="):
            equal[each.key] = each.values[0]
        elif each.operator not in _OPERATORS:
            raise Fail(f'"{each.operator}" isn\'t supported in label selectors')
        else:
            values = {"values": list(each.values)} if each.values else {}
            others.append({"key": each.key, "operator": _OPERATORS[each.operator], **values})
    found: Json = {"matchLabels": equal} if equal else {}
    return {**found, "matchExpressions": others} if others else found
