"""The queue: order, backoff, and which event wakes whom."""

from __future__ import annotations

from services.api.core_v1 import Node, Pod
from services.scheduler.framework.events import ClusterEvent, Happening
from services.scheduler.framework.interface import Plugin, Status
from services.scheduler.framework.pod_info import PodInfo
from services.scheduler.plugins.priority_sort import PrioritySort
from services.scheduler.plugins.scheduling_gates import SchedulingGates
from services.scheduler.queue import (
    IN_FLIGHT_EVENTS_MAX,
    UNSCHEDULABLE_MAX_SECONDS,
    QueuedPod,
    SchedulingQueue,
)

from .objects import make_node, make_pod


class Fit(Plugin):
    name = "Fit"
    wakes_on = (ClusterEvent.NODE_ADDED, ClusterEvent.POD_REMOVED)

    def queueing_hint(self, pod: PodInfo, happening: Happening) -> bool:
        return not (isinstance(happening.new, Node) and happening.new.metadata.name == "useless")


class Affinity(Plugin):
    name = "Affinity"
    wakes_on = (ClusterEvent.NODE_LABELS_CHANGED,)


GATES = SchedulingGates()
NODE_ADDED = Happening(ClusterEvent.NODE_ADDED, new=make_node("n"))
LABELS_CHANGED = Happening(ClusterEvent.NODE_LABELS_CHANGED, make_node("n"), make_node("n"))


def make_queue() -> SchedulingQueue:
    plugins: dict[str, Plugin] = {plugin.name: plugin for plugin in (Fit(), Affinity(), GATES)}
    return SchedulingQueue(
        PrioritySort().sort_key, plugins, lambda pod: GATES.pre_enqueue(pod).by(GATES.name)
    )


def pop(queue: SchedulingQueue) -> QueuedPod:
    pod = queue.pop()
    assert pod is not None
    return pod


def reject(queue: SchedulingQueue, pod: QueuedPod, by: str, now: float) -> None:
    pod.rejected_by = {by}
    queue.put_back(pod, now)


def name_of(pod: QueuedPod | None) -> str:
    return "" if pod is None else pod.info.key.name


def test_priority_then_time() -> None:
    queue = make_queue()
    queue.add(PodInfo(make_pod("first")), 1)
    queue.add(PodInfo(make_pod("second")), 2)
    queue.add(PodInfo(make_pod("urgent", priority=10)), 3)
    assert [name_of(queue.pop()) for _ in range(4)] == ["urgent", "first", "second", ""]


def test_only_registered_events_wake() -> None:
    queue = make_queue()
    queue.add(PodInfo(make_pod()), 0)
    reject(queue, pop(queue), "Fit", 0)
    assert queue.happened(LABELS_CHANGED, 20) == []
    assert queue.happened(Happening(ClusterEvent.NODE_ADDED, new=make_node("useless")), 20) == []
    assert [name_of(pod) for pod in queue.happened(NODE_ADDED, 20)] == ["p"]
    assert name_of(queue.pop()) == "p"


def test_event_in_mid_cycle_is_not_lost() -> None:
    queue = make_queue()
    queue.add(PodInfo(make_pod()), 0)
    pod = pop(queue)
    queue.happened(NODE_ADDED, 1)
    reject(queue, pod, "Fit", 1)
    assert queue.lengths()["unschedulable"] == 0
    assert name_of(queue.pop()) == "p"


def test_event_before_the_cycle_does_not_count() -> None:
    queue = make_queue()
    queue.add(PodInfo(make_pod("other")), 0)
    queue.add(PodInfo(make_pod("p")), 1)
    other = pop(queue)
    queue.happened(NODE_ADDED, 1)
    reject(queue, pop(queue), "Fit", 1)
    assert queue.lengths()["unschedulable"] == 1
    queue.done(other.info.uid)


def test_events_are_kept_only_while_somebody_needs_them() -> None:
    queue = make_queue()
    queue.add(PodInfo(make_pod()), 0)
    pod = pop(queue)
    for _ in range(IN_FLIGHT_EVENTS_MAX + 5):
        queue.happened(LABELS_CHANGED, 1)
    # Some were dropped, so nobody can say that none of them mattered.
    reject(queue, pod, "Fit", 1)
    assert queue.lengths()["unschedulable"] == 0
    queue.done(pop(queue).info.uid)
    assert not queue._events


def test_backoff_doubles_up_to_ten_seconds() -> None:
    queue = make_queue()
    queue.add(PodInfo(make_pod()), 0)
    now, waits = 0.0, []
    for _ in range(6):
        pod = pop(queue)
        reject(queue, pod, "Fit", now)
        queue.happened(NODE_ADDED, now)
        deadline = queue.next_deadline()
        assert deadline is not None
        waits.append(deadline - now)
        now = deadline
        queue.flush(now)
        assert queue.lengths()["active"] == 1
    assert waits == [1, 2, 4, 8, 10, 10]


def test_idle_scheduler_does_not_wait_for_the_backoff_of_a_rejected_pod() -> None:
    queue = make_queue()
    queue.add(PodInfo(make_pod()), 0)
    reject(queue, pop(queue), "Fit", 0)
    queue.happened(NODE_ADDED, 0.1)
    assert queue.lengths()["backoff"] == 1
    assert queue.has_ready()
    assert name_of(queue.pop()) == "p"


def test_error_waits_for_its_backoff_even_when_idle() -> None:
    queue = make_queue()
    queue.add(PodInfo(make_pod()), 0)
    queue.retry(pop(queue), 0)
    assert not queue.has_ready()
    assert queue.pop() is None
    queue.flush(1)
    assert name_of(queue.pop()) == "p"


def test_five_minutes_are_enough_whatever_happened() -> None:
    queue = make_queue()
    queue.add(PodInfo(make_pod()), 0)
    reject(queue, pop(queue), "Fit", 5)
    assert queue.next_deadline() == 5 + UNSCHEDULABLE_MAX_SECONDS
    assert queue.flush(4 + UNSCHEDULABLE_MAX_SECONDS) == []
    assert len(queue.flush(5 + UNSCHEDULABLE_MAX_SECONDS)) == 1
    assert name_of(queue.pop()) == "p"


def test_gated_pod_waits_for_its_gates_alone() -> None:
    queue = make_queue()
    pod = make_pod(gates=["a.b/c"], uid="u")
    assert queue.add(PodInfo(pod), 0).gated
    assert queue.happened(NODE_ADDED, 400) == []
    assert queue.flush(400) == []
    assert queue.pop() is None
    free: Pod = make_pod(uid="u")
    queue.update(PodInfo(free), [Happening(ClusterEvent.TARGET_POD_GATES_REMOVED, pod, free)], 401)
    assert name_of(queue.pop()) == "p"


def test_deleted_wherever_it_waits() -> None:
    queue = make_queue()
    for name in ("active", "backoff", "unschedulable", "gated"):
        queue.add(PodInfo(make_pod(name, uid=name, gates=["g"] if name == "gated" else ())), 0)
    taken = {name_of(pod): pod for pod in (pop(queue), pop(queue), pop(queue))}
    queue.retry(taken["backoff"], 0)
    reject(queue, taken["unschedulable"], "Fit", 0)
    queue.done("active")
    queue.add(taken["active"].info, 0)
    assert queue.lengths() == {"active": 1, "backoff": 1, "unschedulable": 1, "gated": 1}
    for uid in taken.keys() | {"gated"}:
        queue.delete(uid)
    assert len(queue) == 0
    assert queue.next_deadline() is None
    assert queue.pop() is None


def test_editing_the_pod_can_wake_it() -> None:
    class Tolerations(Plugin):
        name = "Tolerations"
        wakes_on = (ClusterEvent.TARGET_POD_CHANGED,)

    queue = SchedulingQueue(PrioritySort().sort_key, {"Tolerations": Tolerations(), "Fit": Fit()})
    queue.add(PodInfo(make_pod(uid="u")), 0)
    reject(queue, pop(queue), "Tolerations", 0)
    changed = Happening(ClusterEvent.TARGET_POD_CHANGED)
    queue.update(PodInfo(make_pod(uid="u")), [], 5)
    assert not queue.has_ready()
    queue.update(PodInfo(make_pod(uid="u")), [changed], 5)
    assert name_of(queue.pop()) == "p"


def test_gate_text_names_all_gates() -> None:
    status = GATES.pre_enqueue(PodInfo(make_pod(gates=["a", "b"])))
    assert status == Status.unresolvable("waiting for scheduling gates: [a b]")
