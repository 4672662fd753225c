"""Long work that lets others have their turn: it counts what it does, and here stands how much it may do.

An event loop serves everybody; what holds it for seconds holds all of them. Whoever does work whose length
somebody else decides (expressions, rules to be compiled) counts it with `done`, in units of a few
microseconds. Where nobody limits it, nothing happens. Where somebody does, `Turn.over` is called when the
turn is used up: it may wait until there is another one, or raise `TurnOver`. Who waits, and how, is the
limiter's business (`services.apiserver.strands`).

A caller must not count while it holds a lock, nor where others would wait for what it has begun
(`cached_property` has a lock in Python 3.11).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class TurnOver(Exception):
    """There is more to do than one turn is long. What was done is to be begun anew."""


class Turn:
    """`left` is how much may still be done."""

    __slots__ = ("left",)

    def __init__(self, units: int) -> None:
        self.left = units

    def over(self) -> None:
        """Nothing is left: raises, or gives more."""
        raise TurnOver


_current: ContextVar[Turn | None] = ContextVar("turn", default=None)
current = _current.get  # the turn that is being had; None where nobody limits it


def done(units: int) -> None:
    """Counts work. TurnOver."""
    turn = _current.get()
    if turn is not None:
        turn.left -= units
        if turn.left <= 0:
            turn.over()


@contextmanager
def limited(turn: Turn) -> Iterator[None]:
    token = _current.set(turn)
    try:
        yield
    finally:
        _current.reset(token)
