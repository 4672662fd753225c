"""What happens in the cluster that can turn a rejection into a fit.

A plugin names in `wakes_on` those that can change its own answer; the queue wakes a Pod only for
the events of the plugins that rejected it. Upstream: `framework.ClusterEvent` and queueing hints.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from services.api.object import Object


class ClusterEvent(Enum):
    NODE_ADDED = "NodeAdd"
    NODE_REMOVED = "NodeDelete"
    NODE_ALLOCATABLE_CHANGED = "NodeAllocatableUpdate"
    NODE_LABELS_CHANGED = "NodeLabelUpdate"
    NODE_TAINTS_CHANGED = "NodeTaintUpdate"
    """Also `spec.unschedulable`, which is a taint in another form."""
    POD_ADDED = "AssignedPodAdd"
    POD_REMOVED = "AssignedPodDelete"
    """A Pod left its node: deleted, finished, or its assumption was taken back."""
    POD_LABELS_CHANGED = "AssignedPodLabelUpdate"
    POD_SCALED_DOWN = "AssignedPodScaleDown"
    TARGET_POD_CHANGED = "UnscheduledPodUpdate"
    """The waiting Pod itself was edited: its labels, tolerations or requests."""
    TARGET_POD_GATES_REMOVED = "PodSchedulingGatesEliminated"
    CLAIM_CHANGED = "PersistentVolumeClaimAdd/Update"
    VOLUME_CHANGED = "PersistentVolumeAdd/Update"
    STORAGE_CLASS_ADDED = "StorageClassAdd"
    UNSCHEDULABLE_TIMEOUT = "UnschedulableTimeout"
    """The Pod waited so long that a lost wake-up has to be assumed."""


class Happening(NamedTuple):
    """One event with the object it is about, for a plugin's queueing hint.

    `old` and `new` are the object before and after; `old` is None when it came, `new` when it went.
    """

    event: ClusterEvent
    old: Object | None = None
    new: Object | None = None
