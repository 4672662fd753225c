"""What a Pod asks for in sum, exactly, over plain data: for quotas and limits.

Containers run together, init containers one after the other, sidecars from their start on. The components'
own reckoning over typed Pods is `services.machinery.pods`. Upstream: `component-helpers/resource`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from services.machinery import quantity

Json = dict[str, Any]
Amounts = dict[str, quantity.Exact]
Field = Literal["requests", "limits"]

_BINARY = ("memory", "storage", "ephemeral-storage")


def amounts(given: Mapping[str, str]) -> Amounts:
    return {name: quantity.parse(text) for name, text in given.items()}


def shown(name: str, amount: quantity.Exact) -> str:
    """As upstream prints a sum: bytes in powers of two."""
    binary = name.endswith(_BINARY) or "hugepages-" in name
    return quantity.format(amount, "binary" if binary else "decimal")


def of_containers(spec: Json, field: Field) -> Amounts:
    """Of all containers, init containers and sidecars; without overhead and Pod-level amounts."""
    together: Amounts = {}
    for container in spec.get("containers") or ():
        _add(together, _own(container, field))
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in spec.get("initContainers") or ():
        own = _own(container, field)
        if container.get("restartPolicy") == "Always":
            _add(together, own)
            _add(sidecars, own)
            _raise(peak, sidecars)
        else:
            moment = dict(sidecars)
            _add(moment, own)
            _raise(peak, moment)
    _raise(together, peak)
    return together


def of_pod(spec: Json, field: Field) -> Amounts:
    """All that a Pod takes: Pod-level amounts stand for its containers', and overhead comes on top."""
    total = of_containers(spec, field) | amounts((spec.get("resources") or {}).get(field) or {})
    for name, extra in amounts(spec.get("overhead") or {}).items():
        if field == "requests" or total.get(name):
            total[name] = total.get(name, 0) + extra
    return total


def _own(container: Json, field: Field) -> Amounts:
    return amounts((container.get("resources") or {}).get(field) or {})


def _add(total: Amounts, more: Amounts) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, 0) + amount


def _raise(total: Amounts, other: Amounts) -> None:
    for name, amount in other.items():
        total[name] = max(total.get(name, 0), amount)
