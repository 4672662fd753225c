"""SchedulingGates: a Pod with gates in its spec stays out of the queue until all of them are taken away.

The condition that says so (`SchedulingGated`) is the API server's to set, when the Pod is made.
"""

from __future__ import annotations

from services.scheduler.framework.events import ClusterEvent
from services.scheduler.framework.interface import SUCCESS, PreEnqueue, Status
from services.scheduler.framework.pod_info import PodInfo


class SchedulingGates(PreEnqueue):
    name = "SchedulingGates"
    wakes_on = (ClusterEvent.TARGET_POD_GATES_REMOVED,)

    def pre_enqueue(self, pod: PodInfo) -> Status:
        gates = [gate.name for gate in pod.pod.spec.scheduling_gates]
        if not gates:
            return SUCCESS
        return Status.unresolvable(f"waiting for scheduling gates: [{' '.join(gates)}]")
