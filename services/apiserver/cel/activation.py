"""One evaluation: its variables, and what it has cost so far."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from services.apiserver.cel.faults import CostExceeded
from services.machinery import turns

Run = Callable[["Activation"], Any]


class Activation:
    """The variables of one evaluation, and what it has cost so far.

    Steps that cost 1 just add it; whatever repeats them, or costs more, looks whether `mark` is passed:
    the limit, or the end of this turn.
    """

    __slots__ = ("_counted", "_turn", "cost", "limit", "mark", "variables")

    def __init__(self, variables: dict[str, Any], limit: int) -> None:
        self.variables = variables  # loops write theirs into it
        self.cost, self.limit = 0, limit
        self._counted = 0  # for the turn
        self._turn = turn = turns.current()
        self.mark = limit if turn is None else min(limit, turn.left)

    def spend(self, cost: int) -> None:
        self.cost += cost
        if self.cost > self.mark:
            self.passed()

    def passed(self) -> None:
        """CostExceeded, or TurnOver."""
        if self.cost > self.limit:
            raise CostExceeded
        self.settle()
        assert self._turn is not None
        self.mark = min(self.limit, self.cost + self._turn.left)

    def settle(self) -> None:
        """What it has cost counts for the turn. TurnOver."""
        if self._turn is not None:
            cost, self._counted = self.cost - self._counted, self.cost
            turns.done(cost)
