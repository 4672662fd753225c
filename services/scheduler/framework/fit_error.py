"""Why no node was left, in upstream's words: `0/3 nodes are available: 3 Insufficient cpu. …`.

Upstream: `framework.FitError` and `Diagnosis`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from services.scheduler.framework.status import Code, Status

NO_NODES = "no nodes available to schedule pods"
_ABSENT = Status(Code.UNSCHEDULABLE_AND_UNRESOLVABLE)


@dataclass(slots=True)
class Diagnosis:
    statuses: dict[str, Status] = field(default_factory=dict)
    """Each refusal, by node name."""
    absent: Status = _ABSENT
    """What holds for all nodes that were never asked."""
    rejected_by: set[str] = field(default_factory=set)
    """The plugins that turned the Pod down: their events wake it."""
    pre_filter_message: str = ""
    post_filter_message: str = ""

    def refuse(self, node_name: str, status: Status) -> None:
        self.statuses[node_name] = status
        if status.plugin:
            self.rejected_by.add(status.plugin)


@dataclass(slots=True)
class FitError(Exception):
    """No node fits. Its text is what the user reads."""

    node_count: int
    diagnosis: Diagnosis

    def reasons(self) -> Counter[str]:
        """For how many nodes each reason holds; a node can have several."""
        reasons: Counter[str] = Counter()
        for status in self.diagnosis.statuses.values():
            reasons.update(status.reasons)
        never_asked = self.node_count - len(self.diagnosis.statuses)
        if never_asked > 0:
            for reason in self.diagnosis.absent.reasons:
                reasons[reason] += never_asked
        return reasons

    def __str__(self) -> str:
        if self.node_count == 0:
            return NO_NODES
        text = f"0/{self.node_count} nodes are available:"
        if self.diagnosis.pre_filter_message:
            text += f" {self.diagnosis.pre_filter_message}."
        elif reasons := self.reasons():
            text += f" {', '.join(sorted(f'{n} {reason}' for reason, n in reasons.items()))}."
        if self.diagnosis.post_filter_message:
            text += f" {self.diagnosis.post_filter_message}"
        return text
