"""What a Pod's fields say: whether it is ready, live, finished, and what it asks for.

Upstream: `pkg/api/v1/pod`, `pkg/apis/core/v1/helper/qos`, `component-helpers/resource`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Literal

from services.api.core_v1 import Container, Pod, PodCondition
from services.machinery import conditions, quantity
from services.machinery.clock import parse_time

Amounts = dict[str, int]  # cpu in milli, everything else in whole units
QosClass = Literal["Guaranteed", "Burstable", "BestEffort"]
_COMPUTE = ("cpu", "memory")


def condition(pod: Pod, kind: str) -> PodCondition | None:
    return conditions.get(pod.status.conditions, kind)


def is_ready(pod: Pod) -> bool:
    """Condition Ready is True."""
    return conditions.is_true(pod.status.conditions, "Ready")


def is_terminated(pod: Pod) -> bool:
    """Will never run again: phase Succeeded or Failed."""
    return pod.status.phase in ("Succeeded", "Failed")


def is_terminating(pod: Pod) -> bool:
    """Somebody asked for its deletion."""
    return pod.metadata.deletion_timestamp is not None


def is_active(pod: Pod) -> bool:
    """Counts as a replica: neither finished nor on its way out."""
    return not is_terminated(pod) and not is_terminating(pod)


def ready_since(pod: Pod) -> datetime | None:
    """When it last became ready; None while it is not."""
    ready = condition(pod, "Ready")
    if ready is None or ready.status != "True" or not ready.last_transition_time:
        return None
    return parse_time(ready.last_transition_time)


def is_available(pod: Pod, min_ready_seconds: int, now: datetime) -> bool:
    """Ready for at least `min_ready_seconds`."""
    if not is_ready(pod):
        return False
    if not min_ready_seconds:
        return True
    since = ready_since(pod)
    return since is not None and since + timedelta(seconds=min_ready_seconds) <= now


def is_restartable_init(container: Container) -> bool:
    """A sidecar: an init container that stays."""
    return container.restart_policy == "Always"


def amount(resource: str, text: str) -> int:
    return quantity.milli(text) if resource == "cpu" else quantity.value(text)


def amounts(quantities: Mapping[str, str]) -> Amounts:
    return {resource: amount(resource, text) for resource, text in quantities.items()}


def requests_of(pod: Pod) -> Amounts:
    """What the scheduler must find room for: cpu in milli, everything else in units.

    The larger of the sum of all that run together and the peak while init containers run one
    after the other (each beside the sidecars started before it), plus overhead. Pod-level
    requests, where set, take the place of the containers'.
    """
    total = _aggregate(pod, "requests")
    if pod.spec.resources:
        total |= amounts(pod.spec.resources.requests)
    return _plus(total, amounts(pod.spec.overhead)) if pod.spec.overhead else total


def limits_of(pod: Pod) -> Amounts:
    """The same over limits; overhead counts only where there is a limit."""
    total = _aggregate(pod, "limits")
    if pod.spec.resources:
        total |= amounts(pod.spec.resources.limits)
    for resource, extra in amounts(pod.spec.overhead).items():
        if total.get(resource):
            total[resource] += extra
    return total


def _aggregate(pod: Pod, which: Literal["requests", "limits"]) -> Amounts:
    together: Amounts = {}
    for container in pod.spec.containers:
        together = _plus(together, _of(container, which))
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in pod.spec.init_containers:
        own = _of(container, which)
        if is_restartable_init(container):
            together = _plus(together, own)
            sidecars = _plus(sidecars, own)
            peak = _max(peak, sidecars)
        else:
            peak = _max(peak, _plus(own, sidecars))
    return _max(together, peak)


def _of(container: Container, which: Literal["requests", "limits"]) -> Amounts:
    if container.resources is None:
        return {}
    return amounts(container.resources.requests if which == "requests" else container.resources.limits)


def _plus(one: Mapping[str, int], other: Mapping[str, int]) -> Amounts:
    return {key: one.get(key, 0) + other.get(key, 0) for key in {**one, **other}}


def _max(one: Mapping[str, int], other: Mapping[str, int]) -> Amounts:
    return {key: max(one.get(key, 0), other.get(key, 0)) for key in {**one, **other}}


def qos_class(pod: Pod) -> QosClass:
    """How badly the node may treat it when memory runs out."""
    if pod.status.qos_class in ("Guaranteed", "Burstable", "BestEffort"):
        return pod.status.qos_class  # type: ignore[return-value]
    return compute_qos_class(pod)


def compute_qos_class(pod: Pod) -> QosClass:
    """The class that the spec gives it, whatever the status says."""
    containers: Iterable[Container] = [*pod.spec.containers, *pod.spec.init_containers]
    if pod.spec.resources and (pod.spec.resources.requests or pod.spec.resources.limits):
        wants = [(pod.spec.resources.requests, pod.spec.resources.limits)]
    else:
        wants = [(c.resources.requests, c.resources.limits) if c.resources else ({}, {}) for c in containers]
    asked = any(_positive(m) for pair in wants for m in pair)
    if not asked:
        return "BestEffort"
    guaranteed = all(
        set(_positive(limits)) == set(_COMPUTE)
        and all(amount(r, requests.get(r, limits[r])) == amount(r, limits[r]) for r in _COMPUTE)
        for requests, limits in wants
    )
    return "Guaranteed" if guaranteed else "Burstable"


def _positive(quantities: Mapping[str, str]) -> Amounts:
    return {r: amount(r, quantities[r]) for r in _COMPUTE if r in quantities and amount(r, quantities[r]) > 0}
