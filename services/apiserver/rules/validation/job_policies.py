"""When a Job's Pods count as failed for good, when the Job has succeeded early, and lists of indexes."""

from __future__ import annotations

import re
from typing import Any

from services.apiserver.rules.validation import names
from services.apiserver.rules.validation.meta import not_negative
from services.machinery.field_errors import (
    Causes,
    duplicate,
    invalid,
    invalid_as_a_whole,
    not_supported,
    quoted,
    required,
    too_long,
    too_many,
)

Json = dict[str, Any]

_RULES_MAX = 20
_PATTERNS_MAX = 20
_EXIT_CODES_MAX = 255
_INDEXES_BYTES_MAX = 64 * 1024
_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
_OPERATORS = ("In", "NotIn")
_STATUSES = ("False", "True", "Unknown")


def _one_of(value: str, allowed: tuple[str, ...], path: str, out: Causes) -> None:
    if not value:
        listed = "[" + " ".join(quoted(each) for each in allowed) + "]"
        out.append(required(path, f"valid values: {listed}"))
    elif value not in allowed:
        out.append(not_supported(path, value, allowed))


def failure_policy(spec: Json, path: str, out: Causes) -> None:
    rules = spec["podFailurePolicy"].get("rules") or []
    if len(rules) > _RULES_MAX:
        out.append(too_many(f"{path}.rules", len(rules), _RULES_MAX))
    found = spec["template"].get("spec", {})
    known = {
        container.get("name")
        for field in ("containers", "initContainers")
        for container in found.get(field) or ()
    }
    for index, rule in enumerate(rules):
        _rule(rule, known, "backoffLimitPerIndex" in spec, f"{path}.rules[{index}]", out)


def _rule(rule: Json, known: set[str], by_index: bool, path: str, out: Causes) -> None:
    action = rule.get("action", "")
    if action == "FailIndex":
        if not by_index:
            out.append(invalid(f"{path}.action", action, "requires the backoffLimitPerIndex to be set"))
    else:
        _one_of(action, _ACTIONS, f"{path}.action", out)
    codes, patterns = rule.get("onExitCodes"), rule.get("onPodConditions") or []
    if codes is not None:
        _exit_codes(codes, known, f"{path}.onExitCodes", out)
    if patterns:
        _conditions(patterns, f"{path}.onPodConditions", out)
    if codes is not None and patterns:
        why = "specifying both OnExitCodes and OnPodConditions is not supported"
        out.append(invalid_as_a_whole(path, why))
    if codes is None and not patterns:
        why = "specifying one of OnExitCodes and OnPodConditions is required"
        out.append(invalid_as_a_whole(path, why))


def _conditions(patterns: list[Json], path: str, out: Causes) -> None:
    if len(patterns) > _PATTERNS_MAX:
        out.append(too_many(path, len(patterns), _PATTERNS_MAX))
    for index, pattern in enumerate(patterns):
        kind = pattern.get("type", "")
        names.check(names.qualified_name(kind), f"{path}[{index}].type", kind, out)
        _one_of(pattern.get("status", ""), _STATUSES, f"{path}[{index}].status", out)


def _exit_codes(codes: Json, known: set[str], path: str, out: Causes) -> None:
    _one_of(codes.get("operator", ""), _OPERATORS, f"{path}.operator", out)
    name, values = codes.get("containerName"), codes.get("values") or []
    if name is not None and name not in known:
        why = "must be one of the container or initContainer names in the pod template"
        out.append(invalid(f"{path}.containerName", name, why))
    here = f"{path}.values"
    if not values:
        out.append(invalid(here, codes.get("values"), "at least one value is required"))
    elif len(values) > _EXIT_CODES_MAX:
        out.append(too_many(here, len(values), _EXIT_CODES_MAX))
    seen: set[int] = set()
    for index, value in enumerate(values):
        if codes.get("operator") == "In" and value == 0:
            out.append(invalid(f"{here}[{index}]", value, "must not be 0 for the In operator"))
        if value in seen:
            out.append(duplicate(f"{here}[{index}]", value))
        seen.add(value)
    if values != sorted(values):
        out.append(invalid(here, values, "must be ordered"))


def success_policy(spec: Json, path: str, out: Causes) -> None:
    rules = spec["successPolicy"].get("rules") or []
    if not rules:
        why = "at least one rules must be specified when the successPolicy is specified"
        out.append(required(f"{path}.rules", why))
    if len(rules) > _RULES_MAX:
        out.append(too_many(f"{path}.rules", len(rules), _RULES_MAX))
    for index, rule in enumerate(rules):
        _success_rule(rule, spec.get("completions") or 0, f"{path}.rules[{index}]", out)


def _success_rule(rule: Json, completions: int, path: str, out: Causes) -> None:
    count, indexes = rule.get("succeededCount"), rule.get("succeededIndexes")
    if count is None and indexes is None:
        why = "at least one of succeededCount or succeededIndexes must be specified"
        out.append(required(path, why))
    total = 0
    if indexes is not None:
        here = f"{path}.succeededIndexes"
        if len(indexes) > _INDEXES_BYTES_MAX:
            out.append(too_long(here, _INDEXES_BYTES_MAX))
        try:
            total = sum(last - first + 1 for first, last in intervals(indexes, completions))
        except ValueError as error:
            out.append(invalid(here, indexes, f"error parsing succeededIndexes: {error}"))
    if count is None:
        return
    here = f"{path}.succeededCount"
    not_negative(rule, "succeededCount", path, out)
    if count > completions:
        why = f"must be less than or equal to {completions} (the number of specified completions)"
        out.append(invalid(here, count, why))
    if indexes is not None and count > total:
        why = (
            f"must be less than or equal to {total}"
            " (the number of indexes in the specified succeededIndexes field)"
        )
        out.append(invalid(here, count, why))


def intervals(text: str, completions: int) -> list[tuple[int, int]]:
    """`0,3-5` as pairs of first and last. ValueError, in upstream's words, where it is no rising list."""
    found: list[tuple[int, int]] = []
    for part in text.split(",") if text else ():
        first, last = interval(part, completions)
        if found and found[-1][1] >= first:
            raise ValueError(f"non-increasing order, previous: {found[-1][1]}, current: {first}")
        found.append((first, last))
    return found


def interval(text: str, completions: int) -> tuple[int, int]:
    """One part of such a list."""
    limits = text.split("-")
    if len(limits) > 2:
        raise ValueError(
            f"the fragment {quoted(text)} violates the requirement that an index interval can have at most"
            " two parts separated by '-'"
        )
    numbers = [_index(limit, completions) for limit in limits]
    if len(numbers) > 1 and numbers[0] >= numbers[1]:
        raise ValueError(f"non-increasing order, previous: {numbers[0]}, current: {numbers[1]}")
    return numbers[0], numbers[-1]


def _index(text: str, completions: int) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text, re.A):
        raise ValueError(f"cannot convert string to integer for index: {quoted(text)}")
    if int(text) >= completions:
        raise ValueError(f"too large index: {quoted(text)}")
    return int(text)
