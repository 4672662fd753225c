"""DynamicResources: resource claims are not modelled; only upstream's PostFilter answers are here.

One of them is part of the message that every unschedulable Pod gets from a 1.36 scheduler: what it finds
when it was asked in this cycle, and that it finds nothing when a plugin before it turned the Pod down.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.scheduler.framework.interface import (
    CycleState,
    FilterRunner,
    NodeList,
    PostFilter,
    PostFilterResult,
    PreFilter,
    Status,
)
from services.scheduler.framework.pod_info import PodInfo
from services.scheduler.framework.status import SKIP


class DynamicResources(PreFilter, PostFilter):
    name = "DynamicResources"

    def pre_filter(self, state: CycleState, pod: PodInfo, nodes: NodeList) -> Status:
        state[self.name] = ()
        return SKIP

    def post_filter(
        self,
        state: CycleState,
        pod: PodInfo,
        nodes: NodeList,
        statuses: Mapping[str, Status],
        filters: FilterRunner,
    ) -> tuple[PostFilterResult | None, Status]:
        if self.name not in state:
            return None, Status.error("not found")
        return None, Status.unschedulable("no new claims to deallocate")
