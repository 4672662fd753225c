"""DynamicResources: resource claims are not modelled; only upstream's PostFilter answer is here.

It is part of the message that every unschedulable Pod gets from a 1.36 scheduler.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.scheduler.framework.interface import (
    CycleState,
    FilterRunner,
    NodeList,
    PostFilter,
    PostFilterResult,
    Status,
)
from services.scheduler.framework.pod_info import PodInfo


class DynamicResources(PostFilter):
    name = "DynamicResources"

    def post_filter(
        self,
        state: CycleState,
        pod: PodInfo,
        nodes: NodeList,
        statuses: Mapping[str, Status],
        filters: FilterRunner,
    ) -> tuple[PostFilterResult | None, Status]:
        return None, Status.unschedulable("no new claims to deallocate")
