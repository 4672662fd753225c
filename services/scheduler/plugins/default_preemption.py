"""DefaultPreemption: would the Pod fit if Pods of lower priority went?

So far this part only looks and says what it found, in upstream's words; nobody is evicted yet. It
takes all Pods of lower priority off a copy of each node whose refusal was not final, and runs the
filters again.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.scheduler.framework.fit_error import Diagnosis, FitError
from services.scheduler.framework.interface import (
    SUCCESS,
    CycleState,
    FilterRunner,
    NodeList,
    PostFilter,
    PostFilterResult,
    Status,
)
from services.scheduler.framework.node_info import NodeInfo
from services.scheduler.framework.pod_info import PodInfo
from services.scheduler.framework.status import Code

NOT_ELIGIBLE = "not eligible due to preemptionPolicy=Never."
NOT_HELPFUL = "Preemption is not helpful for scheduling"
NO_VICTIMS = "No preemption victims found for incoming pod"


class DefaultPreemption(PostFilter):
    name = "DefaultPreemption"

    def post_filter(
        self,
        state: CycleState,
        pod: PodInfo,
        nodes: NodeList,
        statuses: Mapping[str, Status],
        filters: FilterRunner,
    ) -> tuple[PostFilterResult | None, Status]:
        if pod.pod.spec.preemption_policy == "Never":
            return None, Status.unschedulable(f"preemption: {NOT_ELIGIBLE}")
        diagnosis = Diagnosis(absent=Status.unresolvable(NOT_HELPFUL))
        for name, status in statuses.items():
            node = nodes.get(name)
            if status.code is not Code.UNSCHEDULABLE or node is None:
                continue
            verdict = without_lower_priority(state, pod, node, filters)
            if verdict.ok:
                return PostFilterResult(), SUCCESS
            diagnosis.refuse(name, verdict)
        message = str(FitError(len(nodes), diagnosis))
        return PostFilterResult(), Status.unschedulable(f"preemption: {message}")


def without_lower_priority(state: CycleState, pod: PodInfo, node: NodeInfo, filters: FilterRunner) -> Status:
    """Whether the Pod fits on the node once every Pod of lower priority is gone."""
    victims = [uid for uid, other in node.pods.items() if other.priority < pod.priority]
    if not victims:
        return Status.unresolvable(NO_VICTIMS)
    emptied = node.clone()
    for uid in victims:
        emptied.remove_pod(uid)
    return filters.run_filters(state, pod, emptied)
