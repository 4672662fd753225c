"""Why a decision came out as it did, in one sentence and a few words; the whole table for who asks.

Nothing here decides. Upstream keeps this at log level 10.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.scheduler.algorithm import Decision

TABLE_NODES_MAX = 50


@dataclass(frozen=True, slots=True)
class Explanation:
    """One decision as the log tells it; `node` is empty when the Pod has to wait."""

    pod: str
    node: str
    sentence: str
    details: dict[str, str | int]


def chosen(pod: str, decision: Decision) -> Explanation:
    """Which node won, against how many, and by what."""
    details: dict[str, str | int] = {
        "node": decision.node_name,
        "fit": f"{len(decision.feasible)}/{decision.node_count}",
    }
    if refusals := reasons_of(decision):
        details["refused"] = refusals
    if not decision.totals:
        return Explanation(
            pod, decision.node_name, f"Chose {decision.node_name}: the only node that fits", details
        )
    names = [node.name for node in decision.feasible]
    winner = names.index(decision.node_name)
    best = decision.totals[winner]
    details["score"] = best
    if decision.ties > 1:
        sentence = f"Chose {decision.node_name}: drawn by lot among {decision.ties} nodes with the best score"
    else:
        sentence = f"Chose {decision.node_name}: the best score of {len(names)} nodes that fit"
    rest = [(total, index) for index, total in enumerate(decision.totals) if total < best]
    if rest:
        total, second = max(rest, key=lambda entry: entry[0])
        details["next"] = f"{names[second]}:{total}"
        details["won_by"] = _advantage(decision, winner, second)
    return Explanation(pod, decision.node_name, sentence, details)


def _advantage(decision: Decision, winner: int, second: int) -> str:
    """The plugins that told the two apart, the weightiest first."""
    leads = {name: scores[winner] - scores[second] for name, scores in decision.scores.items()}
    ordered = sorted((item for item in leads.items() if item[1]), key=lambda item: -abs(item[1]))
    return " ".join(f"{name}{lead:+d}" for name, lead in ordered)


def reasons_of(decision: Decision) -> str:
    counts: dict[str, int] = {}
    for status in decision.diagnosis.statuses.values():
        text = f"{status.message} ({status.plugin})"
        counts[text] = counts.get(text, 0) + 1
    return ", ".join(f"{count} {text}" for text, count in sorted(counts.items()))


def table(decision: Decision) -> str:
    """Every node with what each plugin gave it, the best first, and every refusal."""
    rows: list[str] = []
    order = sorted(range(len(decision.totals)), key=lambda index: -decision.totals[index])
    for index in order[:TABLE_NODES_MAX]:
        parts = " ".join(f"{name}:{scores[index]}" for name, scores in decision.scores.items())
        rows.append(f"{decision.feasible[index].name} = {decision.totals[index]} ({parts})")
    for name, status in [*decision.diagnosis.statuses.items()][:TABLE_NODES_MAX]:
        rows.append(f"{name}: {status.message} ({status.plugin})")
    return "; ".join(rows)
