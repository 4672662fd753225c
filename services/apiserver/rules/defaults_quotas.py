"""Defaults of LimitRanges: what one bound says of the others that were left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from services.apiserver.rules.defaults_pods import round_up

Json = dict[str, Any]


def limit_range(obj: Json) -> None:
    for limit in obj["spec"].get("limits") or ():
        for field in ("default", "defaultRequest", "max", "maxLimitRequestRatio", "min"):
            round_up(limit.get(field) or {})
        if limit.get("type") == "Container":
            _container(limit)


def _container(limit: Json) -> None:
    """A limit, unless given, is the most there is; a request is the limit, or else the least."""
    most, least = limit.get("max") or {}, limit.get("min") or {}
    default = {**most, **(limit.get("default") or {})}
    asked = {**least, **default, **(limit.get("defaultRequest") or {})}
    for field, amounts in (("default", default), ("defaultRequest", asked)):
        if amounts:
            limit[field] = amounts


def quota(obj: Json) -> None:
    round_up(obj["spec"].get("hard") or {})
    quota_status(obj)


def quota_status(obj: Json) -> None:
    for field in ("hard", "used"):
        round_up(obj["status"].get(field) or {})


DEFAULTS: dict[str, Callable[[Json], None]] = {"LimitRange": limit_range, "ResourceQuota": quota}
