"""When a node is short of something, and which Pod has to go for it. Pure.

A signal such as `memory.available` is observed; a threshold on it is met, for long enough if it is a soft
one; a condition of the node follows and outlasts it by the transition period. Of the Pods, those go
first that use more than they asked for, then those of low priority, then those furthest above their request.
Upstream: `pkg/kubelet/eviction`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec import Struct

from services.api.core_v1 import Container, Pod
from services.machinery import quantity
from services.machinery.pods import requests_of

MEMORY, DISK, PID = "MemoryPressure", "DiskPressure", "PIDPressure"
STORAGE = "ephemeral-storage"
SYSTEM_CRITICAL_PRIORITY = 2_000_000_000
STATIC_ANNOTATION, MIRROR_ANNOTATION = "kubernetes.io/config.source", "kubernetes.io/config.mirror"

# By signal: the node's condition, and the resource as messages call it.
SIGNALS = {
    "memory.available": (MEMORY, "memory"),
    "nodefs.available": (DISK, STORAGE),
    "nodefs.inodesFree": (DISK, "inodes"),
    "imagefs.available": (DISK, STORAGE),
    "imagefs.inodesFree": (DISK, "inodes"),
    "pid.available": (PID, "pids"),
}


class Threshold(Struct, frozen=True, kw_only=True):
    """`signal<quantity`, or a percentage of the capacity; soft with a grace period."""

    signal: str
    quantity_bytes: int = 0
    percent: float = 0.0
    grace_seconds: float = 0.0
    min_reclaim_bytes: int = 0
    soft: bool = False

    def amount(self, capacity: int) -> int:
        return int(capacity * self.percent / 100) if self.percent else self.quantity_bytes


class Observation(Struct, frozen=True):
    available: int
    capacity: int


Observations = Mapping[str, Observation]
_FORM = re.compile(r"([a-zA-Z.]+)<(\S+)")


def parse(
    text: str, *, grace: Mapping[str, float] | None = None, reclaim: Mapping[str, str] | None = None
) -> tuple[Threshold, ...]:
    """`memory.available<100Mi,nodefs.available<10%`. ValueError for what makes no sense."""
    found = []
    for expression in filter(None, text.split(",")):
        match = _FORM.fullmatch(expression.strip())
        if match is None:
            raise ValueError(f"invalid eviction threshold syntax {expression}, expected <signal><<value>")
        signal, value = match.groups()
        if signal not in SIGNALS:
            raise ValueError(f'unsupported eviction signal "{signal}"')
        seconds = (grace or {}).get(signal)
        if grace is not None and seconds is None:
            raise ValueError(f"grace period must be specified for the soft eviction threshold {signal}")
        found.append(
            Threshold(
                signal=signal,
                quantity_bytes=0 if value.endswith("%") else quantity.value(value),
                percent=_percent(expression, value) if value.endswith("%") else 0.0,
                grace_seconds=seconds or 0.0,
                min_reclaim_bytes=quantity.value((reclaim or {}).get(signal, "0")),
                soft=grace is not None,
            )
        )
    return tuple(found)


def _percent(expression: str, value: str) -> float:
    number = float(value[:-1])
    if not 0 <= number <= 100:
        raise ValueError(f"eviction percentage threshold {expression} must be between 0% and 100%")
    return number


# Upstream has none for process numbers; without one the condition could never be seen.
DEFAULT_HARD_TEXT = (
    "memory.available<100Mi,nodefs.available<10%,imagefs.available<15%,nodefs.inodesFree<5%,"
    "imagefs.inodesFree<5%,pid.available<10%"
)
DEFAULT_HARD = parse(DEFAULT_HARD_TEXT)


# ---- Whether something is short --------------------------------------------------------------


@dataclass(slots=True)
class Pressure:
    """What is remembered between two looks at a node."""

    met: tuple[Threshold, ...] = ()
    first_met: dict[Threshold, float] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)  # when a condition was last observed
    conditions: frozenset[str] = frozenset()

    def look(
        self, thresholds: Iterable[Threshold], observed: Observations, now: float, transition_seconds: float
    ) -> list[Threshold]:
        """Takes the observations in; the thresholds to act on now, the most urgent first."""
        met = [t for t in thresholds if _is_met(t, observed, reclaimed=False)]
        # What was met stays so until a little more than it asks for is free again.
        met += [t for t in self.met if t not in met and _is_met(t, observed, reclaimed=True)]
        self.met = tuple(met)
        self.first_met = {t: self.first_met.get(t, now) for t in met}
        for threshold in met:
            self.seen[SIGNALS[threshold.signal][0]] = now
        self.conditions = frozenset(
            c for c, at in self.seen.items() if now - at < transition_seconds or at == now
        )
        due = [t for t in met if now - self.first_met[t] >= t.grace_seconds]
        return sorted(due, key=lambda t: (not t.signal.startswith("memory"), t.soft))

    @property
    def calm(self) -> bool:
        return not self.met and not self.conditions


def _is_met(threshold: Threshold, observed: Observations, *, reclaimed: bool) -> bool:
    observation = observed.get(threshold.signal)
    if observation is None:
        return False
    limit = threshold.amount(observation.capacity)
    return observation.available < limit + (threshold.min_reclaim_bytes if reclaimed else 0)


# ---- Which Pod has to go ---------------------------------------------------------------------


class PodUsage(Struct, frozen=True, kw_only=True):
    """Bytes (or, of `pids`, numbers) by container, and what the Pod's volumes and logs hold."""

    memory: dict[str, int] = {}
    disk: dict[str, int] = {}
    volumes: dict[str, int] = {}  # emptyDir volumes by name

    def of(self, resource: str) -> int:
        if resource == "memory":
            return sum(self.memory.values())
        return sum(self.disk.values()) + sum(self.volumes.values()) if resource == STORAGE else 0


def is_critical(pod: Pod) -> bool:
    """Never evicted: static Pods, and those of the system's own priorities."""
    source = pod.metadata.annotations.get(STATIC_ANNOTATION, "api")
    if source != "api" or MIRROR_ANNOTATION in pod.metadata.annotations:
        return True
    return (pod.spec.priority or 0) >= SYSTEM_CRITICAL_PRIORITY


def ranked(pods: Sequence[Pod], usage: Mapping[str, PodUsage], resource: str) -> list[Pod]:
    """In the order in which they have to go."""

    def key(pod: Pod) -> tuple[bool, int, int]:
        used = usage.get(pod.metadata.uid or "", PodUsage()).of(resource)
        asked = requests_of(pod).get(resource, 0)
        return not used > asked, pod.spec.priority or 0, asked - used

    return sorted(pods, key=key)


def message(pod: Pod, usage: PodUsage, resource: str, threshold: Threshold, observation: Observation) -> str:
    """Why this Pod had to go, as its status says it."""
    low = quantity.format(threshold.amount(observation.capacity), "binary")
    available = quantity.format(observation.available, "binary")
    text = f"The node was low on resource: {resource}. Threshold quantity: {low}, available: {available}. "
    for name, used in (usage.memory if resource == "memory" else usage.disk).items():
        container = next((c for c in _everyone(pod) if c.name == name), None)
        asked = _request(container, resource) if container else "0"
        if used > quantity.value(asked):
            size = quantity.format(used, "binary")
            text += (
                f"Container {name} was using {size}, request is {quantity.canonical(asked)}, "
                f"has larger consumption of {resource}. "
            )
    return text


def _request(container: Container, resource: str) -> str:
    requests = container.resources.requests if container.resources else {}
    return str(requests.get(resource, "0"))


def _everyone(pod: Pod) -> list[Container]:
    return [*pod.spec.init_containers, *pod.spec.containers]


def has_storage_limits(pod: Pod) -> bool:
    """Whether its local storage has to be measured at all."""
    if any(volume.empty_dir and volume.empty_dir.size_limit for volume in pod.spec.volumes):
        return True
    return any(c.resources and STORAGE in c.resources.limits for c in _everyone(pod))


def storage_excess(pod: Pod, usage: PodUsage) -> str:
    """Which of its own limits on local storage the Pod is over; empty: none."""
    for volume in pod.spec.volumes:
        limit = volume.empty_dir.size_limit if volume.empty_dir else None
        if limit and usage.volumes.get(volume.name or "", 0) > quantity.value(str(limit)):
            return f'Usage of EmptyDir volume "{volume.name}" exceeds the limit "{limit}". '
    limits = {c.name: str(c.resources.limits[STORAGE]) for c in _everyone(pod)
              if c.resources and STORAGE in c.resources.limits}  # fmt: skip
    total = sum(map(quantity.value, limits.values()))
    if limits and usage.of(STORAGE) > total:
        text = quantity.format(total, "binary")
        return f"Pod ephemeral local storage usage exceeds the total limit of containers {text}. "
    for name, text in limits.items():
        if usage.disk.get(name, 0) > quantity.value(text):
            return f'Container {name} exceeded its local ephemeral storage limit "{text}". '
    return ""
