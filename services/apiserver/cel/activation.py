"""One evaluation: its variables, and what it has cost so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from services.apiserver.cel.faults import CostExceeded

Run = Callable[["Activation"], Any]


class Activation:
    """The variables of one evaluation, and what it has cost so far."""

    __slots__ = ("cost", "limit", "variables")

    def __init__(self, variables: Mapping[str, Any], limit: int) -> None:
        self.variables = dict(variables)
        self.cost, self.limit = 0, limit

    def spend(self, cost: int) -> None:
        self.cost += cost
        if self.cost > self.limit:
            raise CostExceeded
