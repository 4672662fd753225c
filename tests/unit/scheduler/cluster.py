"""A scheduler's pure half on a small cluster: cache, snapshot, framework and algorithm, without a wire."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from services.api.core_v1 import Node, Pod
from services.api.object import Object
from services.client.client import Client
from services.client.informer import InformerFactory
from services.machinery.labels import Selector
from services.scheduler.algorithm import Algorithm, Decision
from services.scheduler.cache import Cache
from services.scheduler.framework.fit_error import FitError
from services.scheduler.framework.interface import CycleState
from services.scheduler.framework.pod_info import PodInfo
from services.scheduler.framework.runtime import Framework
from services.scheduler.profile import SCHEDULER_NAME, default_profile
from services.scheduler.snapshot import Snapshot
from services.scheduler.volumes import Volumes
from tests.support.clock import ManualClock
from tests.support.fake_api import FakeApi


async def no_binding(pod: Pod, node_name: str) -> None:
    raise AssertionError("a decision binds nothing")


class Cluster:
    def __init__(
        self, *nodes: Node, owners: Callable[[Pod], Selector] = lambda pod: Selector(), seed: int = 1
    ) -> None:
        self.cache = Cache()
        self.snapshot = Snapshot()
        clock = ManualClock()
        client = Client(FakeApi(clock))
        self.informers = InformerFactory(client, clock)
        self.volumes = Volumes(client, self.informers, clock)
        self.framework = Framework(default_profile(no_binding, owners, self.volumes), SCHEDULER_NAME)
        self.algorithm = Algorithm(self.framework, Random(seed))
        for node in nodes:
            self.cache.add_node(node)

    def know(self, *objects: Object) -> None:
        """Claims, volumes and classes, as the informers would show them."""
        for obj in objects:
            self.informers.informer(type(obj)).store.put(obj, "")

    def run(self, *pods: Pod) -> None:
        """These Pods are on their nodes already."""
        for pod in pods:
            self.cache.add_pod(PodInfo(pod))

    def decide(self, pod: Pod) -> Decision:
        self.snapshot.update(self.cache)
        return self.algorithm.decide(self.snapshot, PodInfo(pod), CycleState())

    def place(self, pod: Pod) -> str:
        """Decides and assumes; the node's name."""
        decision = self.decide(pod)
        self.cache.assume(PodInfo(pod), decision.node_name)
        return decision.node_name

    def refusal(self, pod: Pod) -> str:
        """The message that the user would read."""
        state, info = CycleState(), PodInfo(pod)
        self.snapshot.update(self.cache)
        try:
            decision = self.algorithm.decide(self.snapshot, info, state)
        except FitError as error:
            if error.node_count:
                statuses = error.diagnosis.statuses
                _, status = self.framework.run_post_filter(state, info, self.snapshot, statuses)
                error.diagnosis.post_filter_message = status.message
            return str(error)
        raise AssertionError(f"it fits on {decision.node_name}")
