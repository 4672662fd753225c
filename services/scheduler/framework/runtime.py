"""Runs the plugins of one profile at each extension point and signs their answers.

What is decided here is only the order, who is skipped, and how many answers make one.
Upstream: `framework/runtime`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import msgspec

from services.scheduler.framework.interface import (
    Bind,
    CycleState,
    Filter,
    FilterRunner,
    NodeList,
    Permit,
    Plugin,
    PostBind,
    PostFilter,
    PostFilterResult,
    PreBind,
    PreEnqueue,
    PreFilter,
    PreFilterResult,
    PreScore,
    QueueSort,
    Reserve,
    Score,
)
from services.scheduler.framework.node_info import NodeInfo
from services.scheduler.framework.pod_info import PodInfo
from services.scheduler.framework.status import SKIP, SUCCESS, Code, Status

P = TypeVar("P", bound=Plugin)


class Enabled(NamedTuple):
    """One line of a profile."""

    plugin: Plugin
    weight: int = 0
    """How much its score counts; 0 for plugins that do not score."""


class Framework(FilterRunner):
    def __init__(self, profile: Sequence[Enabled], scheduler_name: str) -> None:
        self.scheduler_name = scheduler_name
        self.plugins: dict[str, Plugin] = {line.plugin.name: line.plugin for line in profile}
        if len(self.plugins) != len(profile):
            raise ValueError("a profile names every plugin once")
        self.weights = {line.plugin.name: line.weight for line in profile}
        self._pre_enqueue = self._at(PreEnqueue)  # type: ignore[type-abstract]
        self._pre_filter = self._at(PreFilter)  # type: ignore[type-abstract]
        self._filter = self._at(Filter)  # type: ignore[type-abstract]
        self._post_filter = self._at(PostFilter)  # type: ignore[type-abstract]
        self._pre_score = self._at(PreScore)  # type: ignore[type-abstract]
        self._score = self._at(Score)  # type: ignore[type-abstract]
        self._reserve = self._at(Reserve)  # type: ignore[type-abstract]
        self._permit = self._at(Permit)  # type: ignore[type-abstract]
        self._pre_bind = self._at(PreBind)  # type: ignore[type-abstract]
        self._bind = self._at(Bind)  # type: ignore[type-abstract]
        self._post_bind = self._at(PostBind)  # type: ignore[type-abstract]
        sorts = self._at(QueueSort)  # type: ignore[type-abstract]
        if len(sorts) != 1 or not self._bind:
            raise ValueError("a profile needs exactly one QueueSort plugin and at least one Bind plugin")
        self.queue_sort = sorts[0]

    def _at(self, point: type[P]) -> tuple[P, ...]:
        return tuple(plugin for plugin in self.plugins.values() if isinstance(plugin, point))

    def sign(self, pod: PodInfo) -> bytes:
        """Equal for Pods that get the same node-local answers."""
        if pod.signature is None:
            pod.signature = msgspec.msgpack.encode([plugin.sign(pod) for plugin in self.plugins.values()])
        return pod.signature

    # Before the cycle.

    def run_pre_enqueue(self, pod: PodInfo) -> Status:
        return _first_refusal(plugin.pre_enqueue(pod).by(plugin.name) for plugin in self._pre_enqueue)

    # Which nodes can take it?

    def run_pre_filter(
        self, state: CycleState, pod: PodInfo, nodes: NodeList
    ) -> tuple[Status, frozenset[str] | None, set[str]]:
        """The answer, the only nodes worth asking (None: all), and the plugins that said so."""
        names: frozenset[str] | None = None
        narrowed_by: set[str] = set()
        for plugin in self._pre_filter:
            answer = plugin.pre_filter(state, pod, nodes)
            if isinstance(answer, PreFilterResult):
                narrowed_by.add(plugin.name)
                names = answer.node_names if names is None else names & answer.node_names
                if not names:
                    return _no_node_satisfies(narrowed_by), names, narrowed_by
            elif answer.code is Code.SKIP:
                state.skip_filter.add(plugin.name)
            elif not answer.ok:
                return answer.by(plugin.name), names, narrowed_by
        return SUCCESS, names, narrowed_by

    def filter_names(self) -> set[str]:
        return {plugin.name for plugin in self._filter}

    def active_filters(self, state: CycleState) -> list[Filter]:
        return [plugin for plugin in self._filter if plugin.name not in state.skip_filter]

    def run_filters(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status:
        """The first refusal in the order of the profile, else success."""
        for plugin in self._filter:
            if plugin.name not in state.skip_filter:
                status = plugin.filter(state, pod, node)
                if status is not SUCCESS and not status.ok:
                    return status.by(plugin.name)
        return SUCCESS

    def run_post_filter(
        self, state: CycleState, pod: PodInfo, nodes: NodeList, statuses: Mapping[str, Status]
    ) -> tuple[PostFilterResult | None, Status]:
        """The first plugin that helps, else what all of them said."""
        said: list[str] = []
        result: PostFilterResult | None = None
        unresolvable = True
        for plugin in self._post_filter:
            own, status = plugin.post_filter(state, pod, nodes, statuses, self)
            if status.ok or status.code is Code.ERROR:
                return own, status.by(plugin.name)
            result = own or result
            said += status.reasons
            unresolvable &= status.code is Code.UNSCHEDULABLE_AND_UNRESOLVABLE
        code = Code.UNSCHEDULABLE_AND_UNRESOLVABLE if unresolvable else Code.UNSCHEDULABLE
        return result, Status(code, tuple(said))

    # Which of them is best?

    def run_pre_score(
        self, state: CycleState, pod: PodInfo, feasible: Sequence[NodeInfo], nodes: NodeList
    ) -> Status:
        for plugin in self._pre_score:
            status = plugin.pre_score(state, pod, feasible, nodes)
            if status is SKIP:
                state.skip_score.add(plugin.name)
            elif not status.ok:
                return status.by(plugin.name)
        return SUCCESS

    def active_scores(self, state: CycleState) -> list[Score]:
        return [plugin for plugin in self._score if plugin.name not in state.skip_score]

    # The node is chosen.

    def run_reserve(self, state: CycleState, pod: PodInfo, node_name: str) -> Status:
        return _first_refusal(
            plugin.reserve(state, pod, node_name).by(plugin.name) for plugin in self._reserve
        )

    def run_unreserve(self, state: CycleState, pod: PodInfo, node_name: str) -> None:
        """In the reverse order, all of them, whether they had reserved or not."""
        for plugin in reversed(self._reserve):
            plugin.unreserve(state, pod, node_name)

    def run_permit(self, state: CycleState, pod: PodInfo, node_name: str) -> tuple[Status, dict[str, float]]:
        """The answer, and for `WAIT` the plugins to wait for with the seconds each allows."""
        waits: dict[str, float] = {}
        for plugin in self._permit:
            status = plugin.permit(state, pod, node_name)
            if status.code is Code.WAIT:
                waits[plugin.name] = status.wait_seconds
            elif not status.ok:
                return status.by(plugin.name), {}
        return (Status(Code.WAIT) if waits else SUCCESS), waits

    # Writing it down.

    async def run_pre_bind(self, state: CycleState, pod: PodInfo, node_name: str) -> Status:
        for plugin in self._pre_bind:
            status = await plugin.pre_bind(state, pod, node_name)
            if not status.ok and status.code is not Code.SKIP:
                return status.by(plugin.name)
        return SUCCESS

    async def run_bind(self, state: CycleState, pod: PodInfo, node_name: str) -> Status:
        for plugin in self._bind:
            status = await plugin.bind(state, pod, node_name)
            if status.code is not Code.SKIP:
                return status.by(plugin.name)
        return Status.error("no Bind plugin took the Pod")

    async def run_post_bind(self, state: CycleState, pod: PodInfo, node_name: str) -> None:
        for plugin in self._post_bind:
            await plugin.post_bind(state, pod, node_name)


def _first_refusal(answers: Iterable[Status]) -> Status:
    return next((status for status in answers if not status.ok and status.code is not Code.SKIP), SUCCESS)


def _no_node_satisfies(plugins: set[str]) -> Status:
    names = " ".join(sorted(plugins))
    text = f"node(s) didn't satisfy plugin(s) [{names}]"
    if len(plugins) > 1:
        text += " simultaneously"
    return Status.unresolvable(text)
