"""Changing what a running Pod may use, without making it anew.

The spec says what somebody wants. What the node has *granted* follows it when there is room; what
is *in force* follows that, container by container. In between the Pod says so in a condition.
Pure: `pod_sync` acts. Upstream: `pkg/kubelet/allocation` and `computePodResizeAction`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec.structs import replace

from services.api.core_v1 import Container, ContainerStatus, Pod, ResourceRequirements
from services.machinery import quantity
from services.machinery.pods import amounts, requests_of

Grants = dict[str, ResourceRequirements]  # by container name

NOTHING = ResourceRequirements()
PENDING, IN_PROGRESS = "PodResizePending", "PodResizeInProgress"


@dataclass(slots=True)
class ResizeState:
    """Of one Pod. `in_force` has only the containers that do not have what was granted yet."""

    granted: Grants
    in_force: Grants = field(default_factory=dict)
    refused: tuple[str, str] | None = None  # Deferred or Infeasible, and why
    error: str = ""
    generation: int = 0  # of the spec that is being put into force; 0: none


def wanted(pod: Pod) -> Grants:
    everyone = (*pod.spec.containers, *pod.spec.init_containers)
    return {container.name: container.resources or NOTHING for container in everyone}


def initial(pod: Pod) -> ResizeState:
    """A Pod that ran before this kubelet has been granted what its status says."""
    granted = wanted(pod)
    for status in (*pod.status.container_statuses, *pod.status.init_container_statuses):
        if status.allocated_resources and status.container_id and status.name in granted:
            granted[status.name] = _granted_before(status, granted[status.name])
    return ResizeState(granted)


def _granted_before(status: ContainerStatus, spec: ResourceRequirements) -> ResourceRequirements:
    limits = status.resources.limits if status.resources else {}
    before = ResourceRequirements(requests=status.allocated_resources, limits=limits)
    return spec if _same(before, spec) else before


def _same(one: ResourceRequirements, other: ResourceRequirements) -> bool:
    return amounts(one.requests) == amounts(other.requests) and amounts(one.limits) == amounts(other.limits)


def as_granted(pod: Pod, granted: Grants) -> Pod:
    """The Pod with what the node has granted in place of what the spec asks for."""
    if wanted(pod) == granted:
        return pod

    def one(container: Container) -> Container:
        return replace(container, resources=granted.get(container.name, container.resources))

    spec = replace(
        pod.spec,
        containers=[one(container) for container in pod.spec.containers],
        init_containers=[one(container) for container in pod.spec.init_containers],
    )
    return replace(pod, spec=spec)


def refusal(pod: Pod, others: Iterable[Pod], allocatable: Mapping[str, str]) -> tuple[str, str] | None:
    """Why the node cannot grant it: for ever, or for now. None: it can."""
    want, have = requests_of(pod), amounts(allocatable)
    for resource in ("cpu", "memory"):
        asked, capacity = want.get(resource, 0), have.get(resource, 0)
        if asked > capacity:
            return (
                "Infeasible",
                f"Node didn't have enough capacity: {resource}, requested: {asked}, capacity: {capacity}",
            )
    used: dict[str, int] = {}
    for other in others:
        for resource, amount in requests_of(other).items():
            used[resource] = used.get(resource, 0) + amount
    for resource in ("cpu", "memory"):
        asked, taken, capacity = want.get(resource, 0), used.get(resource, 0), have.get(resource, 0)
        if asked + taken > capacity:
            return (
                "Deferred",
                f"Node didn't have enough resource: {resource}, requested: {asked}, used: {taken}, "
                f"capacity: {capacity}",
            )
    return None


def needs_restart(container: Container, before: ResourceRequirements) -> bool:
    """Whether what changes in it may only change with a new start."""
    now = container.resources or NOTHING
    for policy in container.resize_policy:
        name = policy.resource_name
        changed = any(
            _amount(group, name) != _amount(old, name)
            for group, old in ((now.limits, before.limits), (now.requests, before.requests))
        )
        if changed and policy.restart_policy == "RestartContainer":
            return True
    return False


def _amount(quantities: Mapping[str, str], name: str) -> int:
    return amounts({name: quantities[name]}).get(name, 0) if name in quantities else 0


def shrinks_memory(container: Container, before: ResourceRequirements) -> int:
    """The new limit in bytes where it is lower than the old one; else 0."""
    new = _amount((container.resources or NOTHING).limits, "memory")
    old = _amount(before.limits, "memory")
    return new if new and (not old or new < old) else 0


# ---- What is said of it ----------------------------------------------------------------------


def conditions(state: ResizeState, generation: int) -> list[dict[str, Any]]:
    found = []
    if state.refused:
        reason, message = state.refused
        condition = {"type": PENDING, "status": "True", "reason": reason, "message": message}
        found.append({**condition, "observedGeneration": generation})
    if state.generation:
        condition = {"type": IN_PROGRESS, "status": "True"}
        if state.error:
            condition |= {"reason": "Error", "message": state.error}
        found.append({**condition, "observedGeneration": state.generation})
    return found


def event_text(what: str, pod: Pod, generation: int, error: str = "") -> str:
    """`Pod resize started: {"containers":[…],"generation":2}`, as upstream's events have it."""
    containers = [
        {"name": container.name, "resources": _canonical(container.resources)}
        for container in (*pod.spec.init_containers, *pod.spec.containers)
        if container in pod.spec.containers or container.restart_policy == "Always"
    ]
    details: dict[str, Any] = {"containers": containers, "generation": generation}
    if error:
        details["error"] = error
    return f"Pod resize {what}: {msgspec.json.encode(details).decode()}"


def _canonical(resources: ResourceRequirements | None) -> dict[str, dict[str, str]]:
    found = {}
    for name in ("limits", "requests"):
        group = getattr(resources or NOTHING, name)
        if group:
            found[name] = {key: quantity.canonical(str(group[key])) for key in sorted(group)}
    return found
