"""One decision: which node for this Pod, given the snapshot? Pure but for the dice that break a tie.

PreFilter → Filter → (none left: FitError) → PreScore → Score → NormalizeScore → the best total.

Two things keep it cheap, both upstream's: in a large cluster the search stops once enough feasible
nodes are found, and starts where the last one stopped, so that all nodes get their turn; and what
node-local plugins said about a node is remembered for Pods with the same signature until that node
changes. (Upstream: `schedule_one.go`, "opportunistic batching".)
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from random import Random
from typing import cast

from services.scheduler.framework.fit_error import Diagnosis, FitError
from services.scheduler.framework.interface import CycleState, Filter, Score
from services.scheduler.framework.node_info import NodeInfo
from services.scheduler.framework.pod_info import PodInfo
from services.scheduler.framework.runtime import Framework
from services.scheduler.framework.status import SUCCESS, Code, Status
from services.scheduler.snapshot import Snapshot

FEASIBLE_NODES_MIN = 100
FEASIBLE_PERCENT_MIN = 5
SIGNATURES_MAX = 16  # Kinds of Pods whose answers are remembered: a few Deployments at a time.


class PluginError(Exception):
    """A plugin failed, as opposed to refused. The Pod is retried."""


@dataclass(slots=True)
class Decision:
    """The node chosen, and all it takes to explain it."""

    node_name: str
    node_count: int
    feasible: list[NodeInfo]
    totals: list[int] = field(default_factory=list)
    """One per feasible node; empty when there was only one and nothing had to be compared."""
    scores: dict[str, list[int]] = field(default_factory=dict)
    """By plugin, weighted, one per feasible node."""
    diagnosis: Diagnosis = field(default_factory=Diagnosis)
    ties: int = 1
    """How many nodes had the best total."""


@dataclass(slots=True)
class _Memo:
    """What node-local plugins said about each node, in the snapshot's order, to Pods of one signature."""

    version: int
    generations: list[int]
    statuses: list[Status]
    scores: dict[str, list[int | None]] = field(default_factory=dict)


class Algorithm:
    def __init__(self, framework: Framework, random: Random) -> None:
        self._framework, self._random = framework, random
        self._start = 0
        self._memos: OrderedDict[bytes, _Memo] = OrderedDict()

    def decide(self, snapshot: Snapshot, pod: PodInfo, state: CycleState) -> Decision:
        """FitError when no node fits, PluginError when a plugin failed."""
        if not snapshot.nodes:
            # Whatever a Filter waits for may come with the first node.
            raise FitError(0, Diagnosis(rejected_by=self._framework.filter_names()))
        diagnosis = Diagnosis()
        memo = self._memo(snapshot, pod)
        places = self._feasible(snapshot, pod, state, diagnosis, memo)
        if not places:
            raise FitError(len(snapshot), diagnosis)
        feasible = [snapshot.nodes[place] for place in places]
        decision = Decision(feasible[0].name, len(snapshot), feasible, diagnosis=diagnosis)
        if len(feasible) > 1:
            self._prioritize(snapshot, pod, state, decision, places, memo)
        return decision

    # Filter.

    def _feasible(
        self, snapshot: Snapshot, pod: PodInfo, state: CycleState, diagnosis: Diagnosis, memo: _Memo
    ) -> list[int]:
        """The places in the snapshot of the nodes that fit; refusals go into the diagnosis."""
        status, names, narrowed_by = self._framework.run_pre_filter(state, pod, snapshot)
        diagnosis.rejected_by |= narrowed_by
        if status.code is Code.ERROR:
            raise PluginError(status.message)
        if not status.ok:
            diagnosis.absent, diagnosis.pre_filter_message = status, status.message
            diagnosis.rejected_by |= {status.plugin} - {""}
            return []
        if names is None:
            candidates = self._in_turn(len(snapshot))
        else:
            candidates = sorted(place for name in names if (place := snapshot.place(name)) is not None)
            listed = " ".join(sorted(narrowed_by))
            diagnosis.absent = Status.unresolvable(f"node(s) didn't satisfy plugin(s) [{listed}]")
        return self._pass_filters(snapshot, pod, state, diagnosis, memo, candidates)

    def _pass_filters(
        self,
        snapshot: Snapshot,
        pod: PodInfo,
        state: CycleState,
        diagnosis: Diagnosis,
        memo: _Memo,
        candidates: list[int],
    ) -> list[int]:
        wanted = feasible_nodes_wanted(len(candidates))
        nodes, run_filters = snapshot.nodes, self._framework.run_filters
        filters: list[Filter] = self._framework.active_filters(state)
        reusable = all(plugin.filter_is_node_local for plugin in filters)
        generations, statuses = memo.generations, memo.statuses
        found: list[int] = []
        asked = 0
        for place in candidates:
            asked += 1
            node = nodes[place]
            if generations[place] != node.generation:
                _forget(memo, place)
                status = run_filters(state, pod, node)
                if reusable:
                    statuses[place], generations[place] = status, node.generation
            else:
                status = statuses[place] if reusable else run_filters(state, pod, node)
            if status is SUCCESS:
                found.append(place)
                if len(found) == wanted:
                    break
            elif status.code is Code.ERROR:
                raise PluginError(status.message)
            else:
                diagnosis.refuse(node.name, status)
        self._start = (self._start + asked) % len(nodes)
        return found

    def _in_turn(self, count: int) -> list[int]:
        start = self._start % count
        return [*range(start, count), *range(start)]

    # Score.

    def _prioritize(
        self,
        snapshot: Snapshot,
        pod: PodInfo,
        state: CycleState,
        decision: Decision,
        places: list[int],
        memo: _Memo,
    ) -> None:
        feasible = decision.feasible
        status = self._framework.run_pre_score(state, pod, feasible, snapshot)
        if not status.ok:
            raise PluginError(status.message)
        totals = [0] * len(feasible)
        for plugin in self._framework.active_scores(state):
            raw = self._raw_scores(plugin, state, pod, feasible, places, memo)
            weight = self._framework.weights[plugin.name]
            weighted = [score * weight for score in plugin.normalize(state, pod, feasible, raw)]
            decision.scores[plugin.name] = weighted
            totals = [total + score for total, score in zip(totals, weighted)]
        best = max(totals)
        winners = [index for index, total in enumerate(totals) if total == best]
        chosen = winners[0] if len(winners) == 1 else self._random.choice(winners)
        decision.totals, decision.ties = totals, len(winners)
        decision.node_name = feasible[chosen].name

    def _raw_scores(
        self,
        plugin: Score,
        state: CycleState,
        pod: PodInfo,
        feasible: list[NodeInfo],
        places: list[int],
        memo: _Memo,
    ) -> list[int]:
        if not plugin.score_is_node_local:
            return [plugin.score(state, pod, node) for node in feasible]
        known = memo.scores.get(plugin.name)
        if known is None:
            known = memo.scores[plugin.name] = [None] * len(memo.generations)
        raw = [known[place] for place in places]
        if None not in raw:
            return cast(list[int], raw)
        for index, (place, node) in enumerate(zip(places, feasible)):
            if raw[index] is None:
                raw[index] = score = plugin.score(state, pod, node)
                # Only what _pass_filters has dated may be kept: it alone notices that a node changed.
                if memo.generations[place] == node.generation:
                    known[place] = score
        return cast(list[int], raw)

    # What is remembered.

    def _memo(self, snapshot: Snapshot, pod: PodInfo) -> _Memo:
        signature = self._framework.sign(pod)
        memo = self._memos.get(signature)
        if memo is None or memo.version != snapshot.version:
            count = len(snapshot)
            memo = self._memos[signature] = _Memo(snapshot.version, [0] * count, [SUCCESS] * count)
            if len(self._memos) > SIGNATURES_MAX:
                self._memos.popitem(last=False)
        self._memos.move_to_end(signature)
        return memo


def _forget(memo: _Memo, place: int) -> None:
    for known in memo.scores.values():
        known[place] = None
    memo.generations[place] = 0


def feasible_nodes_wanted(count: int) -> int:
    """How many feasible nodes are enough among `count`: all up to 100, then a share that shrinks to 5 %."""
    if count < FEASIBLE_NODES_MIN:
        return count
    percent = max(50 - count // 125, FEASIBLE_PERCENT_MIN)
    return max(count * percent // 100, FEASIBLE_NODES_MIN)
