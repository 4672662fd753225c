"""The moment a change of endpoints goes back to, which tells how long it took to reach the nodes.

Written as an annotation, as upstream does: the first of the moments, since the last look, at which a Pod
turned ready or unready or the Service was made. Only creations and readiness count; nothing is written
for a change without a moment. Upstream: `TriggerTimeTracker`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from services.api.core_v1 import Pod, Service
from services.api.object import ObjectKey
from services.machinery import conditions

ANNOTATION = "endpoints.kubernetes.io/last-change-trigger-time"


@dataclass(slots=True)
class _Seen:
    service: str = ""
    pods: dict[str, str] = field(default_factory=dict)


class Triggers:
    """Moments are RFC 3339 in UTC and seconds, so that they compare as text."""

    def __init__(self) -> None:
        self._seen: dict[ObjectKey, _Seen] = {}

    def moment(self, service: Service, pods: Iterable[Pod]) -> str:
        """Empty where nothing new set this change off."""
        before = self._seen.get(service.key)
        now = _Seen(service.metadata.creation_timestamp or "")
        changed: list[str] = []
        for pod in pods:
            ready = conditions.get(pod.status.conditions, "Ready")
            moment = ready.last_transition_time if ready is not None else None
            if moment:
                name = pod.metadata.name or ""
                now.pods[name] = moment
                if moment > (before.pods.get(name, "") if before else ""):
                    changed.append(moment)
        if now.service > (before.service if before else ""):
            changed.append(now.service)
        self._seen[service.key] = now
        return min(changed, default="")

    def forget(self, key: ObjectKey) -> None:
        self._seen.pop(key, None)


def annotated(annotations: dict[str, str], moment: str) -> dict[str, str]:
    kept = {key: value for key, value in annotations.items() if key != ANNOTATION}
    return {**kept, ANNOTATION: moment} if moment else kept
