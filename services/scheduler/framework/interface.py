"""The extension points, under upstream's names. A plugin implements the ones it has something to say at.

    PreEnqueue   may the Pod enter the queue at all?
    QueueSort    which of two waiting Pods comes first?
    PreFilter    sum up the Pod once; may narrow the nodes, or skip this plugin's Filter
    Filter       can the Pod run on this node?
    PostFilter   no node was left: can anything be done about it?
    PreScore     the same as PreFilter, before Score
    Score        how good is this node, 0 to 100? `normalize` then brings raw numbers into that range
    Reserve      the node is chosen: set something aside for it; `unreserve` gives it back
    Permit       allow, reject, or hold the Pod for a while
    PreBind      make ready what the binding needs
    Bind         write the binding; the first plugin that does not skip has done it
    PostBind     it is bound: tidy up

All up to Permit are plain functions of what they are handed: no clock, no randomness, no wire.
PreBind, Bind and PostBind act. Plugins do not know each other; what one wants to remember from
PreFilter to Filter, or from PreScore to Score, it keeps in the cycle's state under its own name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from services.scheduler.framework.events import ClusterEvent, Happening
from services.scheduler.framework.node_info import NodeInfo
from services.scheduler.framework.pod_info import PodInfo
from services.scheduler.framework.status import SUCCESS, Status

if TYPE_CHECKING:
    from services.scheduler.queue import QueuedPod

NODE_SCORE_MAX = 100


class CycleState(dict[str, Any]):
    """What plugins remember within one scheduling cycle, each under its own name."""

    __slots__ = ("skip_filter", "skip_score")

    def __init__(self) -> None:
        self.skip_filter: set[str] = set()
        self.skip_score: set[str] = set()


class NodeList(Sequence[NodeInfo], ABC):
    """All nodes of the cluster as they stood when the cycle began, with what is cheap to know of all."""

    images: Mapping[str, Mapping[str, int]]
    """For each image the nodes that have it, with its size in bytes there."""
    tainted_prefer_no_schedule: int
    """How many nodes carry a PreferNoSchedule taint."""

    @abstractmethod
    def get(self, name: str) -> NodeInfo | None: ...


class PreFilterResult(NamedTuple):
    """Only these nodes can fit at all; what is not in the cluster does no harm."""

    node_names: frozenset[str]


class PostFilterResult(NamedTuple):
    nominated_node_name: str = ""


class Plugin(ABC):
    name: ClassVar[str]
    wakes_on: ClassVar[tuple[ClusterEvent, ...]] = ()
    """What can turn a rejection by this plugin into a fit; nothing else wakes the Pod."""

    def queueing_hint(self, pod: PodInfo, happening: Happening) -> bool:
        """Whether this very event may help this very Pod; called for events in `wakes_on` only."""
        return True

    def sign(self, pod: PodInfo) -> object:
        """The part of the Pod that `Filter` and `Score` answers with `node_local` depend on, as plain data.

        Pods with equal signatures get equal answers from an unchanged node. Upstream: SignPlugin.
        """
        return None


class PreEnqueue(Plugin):
    @abstractmethod
    def pre_enqueue(self, pod: PodInfo) -> Status: ...


class QueueSort(Plugin):
    @abstractmethod
    def sort_key(self, pod: QueuedPod) -> tuple[Any, ...]:
        """The smaller key leaves the queue first."""
        ...


class PreFilter(Plugin):
    @abstractmethod
    def pre_filter(self, state: CycleState, pod: PodInfo, nodes: NodeList) -> Status | PreFilterResult: ...


class Filter(Plugin):
    filter_is_node_local: ClassVar[bool] = True
    """The answer depends on the signature and this one node alone, so it may be remembered."""

    @abstractmethod
    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status: ...


class PostFilter(Plugin):
    @abstractmethod
    def post_filter(
        self,
        state: CycleState,
        pod: PodInfo,
        nodes: NodeList,
        statuses: Mapping[str, Status],
        filters: FilterRunner,
    ) -> tuple[PostFilterResult | None, Status]:
        """`statuses` holds each node's refusal by name."""
        ...


class FilterRunner(ABC):
    """Lets a PostFilter plugin ask: would the Pod fit on this node as I have changed it?"""

    @abstractmethod
    def run_filters(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status: ...


class PreScore(Plugin):
    @abstractmethod
    def pre_score(
        self, state: CycleState, pod: PodInfo, feasible: Sequence[NodeInfo], nodes: NodeList
    ) -> Status: ...


class Score(Plugin):
    score_is_node_local: ClassVar[bool] = True
    """The raw score depends on the signature and this one node alone, so it may be remembered."""

    @abstractmethod
    def score(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> int: ...

    def normalize(
        self, state: CycleState, pod: PodInfo, nodes: Sequence[NodeInfo], scores: list[int]
    ) -> list[int]:
        """Upstream's NormalizeScore: all raw scores into 0 … NODE_SCORE_MAX, in the same order."""
        return scores


class Reserve(Plugin):
    @abstractmethod
    def reserve(self, state: CycleState, pod: PodInfo, node_name: str) -> Status: ...

    @abstractmethod
    def unreserve(self, state: CycleState, pod: PodInfo, node_name: str) -> None:
        """Must cope with a Pod that was never reserved."""
        ...


class Permit(Plugin):
    @abstractmethod
    def permit(self, state: CycleState, pod: PodInfo, node_name: str) -> Status: ...


class PreBind(Plugin):
    @abstractmethod
    async def pre_bind(self, state: CycleState, pod: PodInfo, node_name: str) -> Status: ...


class Bind(Plugin):
    @abstractmethod
    async def bind(self, state: CycleState, pod: PodInfo, node_name: str) -> Status:
        """Raises ApiError when the API server refuses or cannot be reached."""
        ...


class PostBind(Plugin):
    @abstractmethod
    async def post_bind(self, state: CycleState, pod: PodInfo, node_name: str) -> None: ...


def normalize_by_max(scores: list[int], *, reverse: bool = False) -> list[int]:
    """Scales so that the largest becomes 100; `reverse` turns the order round (upstream's default)."""
    largest = max(scores, default=0)
    if largest == 0:
        return [NODE_SCORE_MAX] * len(scores) if reverse else scores
    scaled = [score * NODE_SCORE_MAX // largest for score in scores]
    return [NODE_SCORE_MAX - score for score in scaled] if reverse else scaled


__all__ = [
    "NODE_SCORE_MAX", "SUCCESS", "Bind", "CycleState", "Filter", "FilterRunner", "NodeList", "Permit",
    "Plugin", "PostBind", "PostFilter", "PostFilterResult", "PreBind", "PreEnqueue", "PreFilter",
    "PreFilterResult", "PreScore", "QueueSort", "Reserve", "Score", "Status", "normalize_by_max",
]  # fmt: skip
