"""Report: the conditions of a namespace that is being deleted. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from services.api.core_v1 import NamespaceCondition
from services.api.kinds import Resource
from services.machinery import conditions

DISCOVERY_FAILURE = "NamespaceDeletionDiscoveryFailure"
PARSING_FAILURE = "NamespaceDeletionGroupVersionParsingFailure"
CONTENT_FAILURE = "NamespaceDeletionContentFailure"
CONTENT_REMAINING = "NamespaceContentRemaining"
FINALIZERS_REMAINING = "NamespaceFinalizersRemaining"

# In the order in which they stand in the status; what they say while all is well.
_WELL = {
    DISCOVERY_FAILURE: ("ResourcesDiscovered", "All resources successfully discovered"),
    PARSING_FAILURE: ("ParsedGroupVersions", "All legacy kube types successfully parsed"),
    CONTENT_FAILURE: ("ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
    CONTENT_REMAINING: ("ContentRemoved", "All content successfully removed"),
    FINALIZERS_REMAINING: ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
}
FINALIZER_ESTIMATE_SECONDS = 15


@dataclass(slots=True)
class Remains:
    """What one pass left behind."""

    errors: list[str] = field(default_factory=list)
    objects: dict[str, int] = field(default_factory=dict)  # "pods." → how many
    finalizers: dict[str, int] = field(default_factory=dict)
    estimate_seconds: int = 0

    @property
    def nothing(self) -> bool:
        return not self.errors and not self.objects

    def found(self, resource: Resource, finalizers: Sequence[Sequence[str]], grace_seconds: int) -> None:
        """Objects of one kind that are still there: the finalizers of each, and how long they may take."""
        self.objects[f"{resource.plural}.{resource.group}"] = len(finalizers)
        for names in finalizers:
            for name in names:
                self.finalizers[name] = self.finalizers.get(name, 0) + 1
                self.estimate_seconds = max(self.estimate_seconds, FINALIZER_ESTIMATE_SECONDS)
        self.estimate_seconds = max(self.estimate_seconds, grace_seconds)


def conditions_of(
    existing: Sequence[NamespaceCondition], remains: Remains, moment: str
) -> list[NamespaceCondition]:
    bad: dict[str, tuple[str, str]] = {}
    if remains.errors:
        count, texts = len(remains.errors), ", ".join(sorted(remains.errors))
        text = texts if count == 1 else f"[{texts}]"
        message = f"Failed to delete all resource types, {count} remaining: {text}"
        bad[CONTENT_FAILURE] = ("ContentDeletionFailed", message)
    if remains.objects:
        message = "Some resources are remaining: " + _list(remains.objects, "has {} resource instances")
        bad[CONTENT_REMAINING] = ("SomeResourcesRemain", message)
    if remains.finalizers:
        message = "Some content in the namespace has finalizers remaining: "
        message += _list(remains.finalizers, "in {} resource instances")
        bad[FINALIZERS_REMAINING] = ("SomeFinalizersRemain", message)
    found = list(existing)
    for kind, well in _WELL.items():
        reason, message = bad.get(kind, well)
        old = conditions.get(found, kind)
        status = "True" if kind in bad else "False"
        if old is not None and (old.status, old.reason, old.message) == (status, reason, message):
            continue
        new = NamespaceCondition(
            type=kind, status=status, reason=reason, message=message, last_transition_time=moment
        )
        found = conditions.set(found, new)
    return found


def _list(counts: Mapping[str, int], form: str) -> str:
    return ", ".join(f"{name} {form.format(count)}" for name, count in sorted(counts.items()))
