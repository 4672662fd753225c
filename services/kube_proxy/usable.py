"""Which endpoints of a port traffic may use, and which of a node's own. Pure.

Ready ones; where none is, those that still serve while they end, so that a rollout loses nothing. Hints
keep traffic in its zone or on its node as long as every endpoint has them. Upstream: CategorizeEndpoints.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from services.kube_proxy.model import Rule, Target


def categorize(rule: Rule, targets: Iterable[Target], node_name: str, zone: str) -> None:
    """Fills in `cluster`, `local` and `any_anywhere`."""
    every = sorted(targets, key=lambda target: (target.ip, target.port))
    near = _near(every, node_name, zone)
    rule.cluster = tuple(_usable(near))
    rule.local = tuple(_usable([target for target in every if target.is_local]))
    rule.any_anywhere = bool(_usable(every))


def _usable(targets: Sequence[Target]) -> list[Target]:
    ready = [target for target in targets if target.ready]
    return ready or [target for target in targets if target.serving and target.terminating]


def _near(targets: list[Target], node_name: str, zone: str) -> list[Target]:
    """Those that hints assign to this node or zone; all of them where the hints are not complete."""
    ready = [target for target in targets if target.ready]
    if ready and all(target.nodes for target in ready):
        here = [target for target in ready if node_name in target.nodes]
        if here:
            return here
    if zone and ready and all(target.zones for target in ready):
        here = [target for target in ready if zone in target.zones]
        if here:
            return here
    return targets
