"""Defaults of claims of devices, and of their templates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Json = dict[str, Any]


def _claim(obj: Json) -> None:
    _claim_spec(obj["spec"])


def _template(obj: Json) -> None:
    _claim_spec(obj["spec"].get("spec", {}))


def _claim_spec(spec: Json) -> None:
    for request in spec.get("devices", {}).get("requests") or ():
        wanted = [request["exactly"]] if request.get("exactly") is not None else []
        for each in (*wanted, *(request.get("firstAvailable") or ())):
            if not each.get("allocationMode"):
                each["allocationMode"] = "ExactCount"
            if each["allocationMode"] == "ExactCount" and not each.get("count"):
                each["count"] = 1
            for toleration in each.get("tolerations") or ():
                toleration["operator"] = toleration.get("operator") or "Equal"


DEFAULTS: dict[str, Callable[[Json], None]] = {"ResourceClaim": _claim, "ResourceClaimTemplate": _template}
