"""A priority level: so many requests run at once, and what is more waits in queues that are served in turn.

Each flow is dealt a small hand of the level's queues and its requests go to the shortest of them: a flow that
floods fills its own hand, and others, whose hands are others, find a queue that is served as often as its.
This is shuffle sharding, and what is kept does not grow with the number of clients. A queue is bounded, and
so is how long a request waits in it: who finds no place, or waited too long, is told to come again.

How many run at once is for `borrowing` to say, from what each level wanted; a level only counts.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from dataclasses import dataclass
from hashlib import blake2b
from math import ceil
from typing import Any

from services.apiserver.fairness.borrowing import Claim, rounded
from services.apiserver.fairness.demand import Demand
from services.machinery.clock import Clock

Json = dict[str, Any]
WAIT_SECONDS_MAX = 15.0  # a quarter of the time that upstream gives to a request
HANDS_REMEMBERED_MAX = 4096


class Rejected(Exception):
    """There is no place to wait, or it took too long; the text says which, in upstream's words."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How a level is made. No queues: what cannot run at once is refused."""

    name: str
    uid: str
    seats: int
    queues: int = 0
    hand: int = 0
    length: int = 0
    lends: int = 0  # of its seats
    borrows: int = 0  # more than its seats, at most
    exempt: bool = False  # everything runs at once; it only counts what it takes from the others

    def queues_as(self, other: Shape) -> bool:
        """Whether what waits at the one may go on waiting at the other."""
        mine = (self.queues, self.hand, self.length, self.exempt)
        return mine == (other.queues, other.hand, other.length, other.exempt)


class Level:
    """Requests of one level. `enter` before each, and `leave` after it."""

    def __init__(self, shape: Shape, clock: Clock) -> None:
        self.shape, self._clock = shape, clock
        self.limit = shape.seats - shape.lends // 2  # until it is known what is wanted
        self.demand = Demand(clock.monotonic())
        self.running = 0
        self.waiting = 0
        self.rejected = 0
        self._queues: dict[int, deque[asyncio.Future[None]]] = {}
        self._turns: OrderedDict[int, None] = OrderedDict()  # the queues that are not empty, next first
        self._hands: dict[tuple[str, str], tuple[int, ...]] = {}

    async def enter(self, flow: tuple[str, str]) -> None:
        """Returns when the request may run. Rejected where it may not."""
        if self.shape.exempt or (self._has_room() and not self.waiting):
            self.running += 1
            self._note()
            return
        if not self.shape.queues:
            self.rejected += 1
            raise Rejected("concurrency-limit")
        await self._wait(flow)

    def leave(self) -> None:
        self.running -= 1
        self._note()
        self._dispatch()

    def claim(self) -> Claim:
        """What it wanted since this was asked last."""
        shape, demand = self.shape, self.demand
        demand.observe(self._clock.monotonic())
        lower, upper = shape.seats - shape.lends, shape.seats + shape.borrows
        return Claim(shape.seats, lower, upper, demand.most, demand.smoothed, shape.exempt)

    def allow(self, limit: int) -> None:
        """So many may run at once from now on. One always may, else nobody would ever be served."""
        self.limit = limit
        self._dispatch()

    def _has_room(self) -> bool:
        return self.running < self.limit or not self.running

    def _note(self) -> None:
        self.demand.note(self.running + self.waiting, self._clock.monotonic())

    async def _wait(self, flow: tuple[str, str]) -> None:
        number = min(self._hand(flow), key=lambda each: len(self._queues.get(each, ())))
        queue = self._queues.setdefault(number, deque())
        if len(queue) >= self.shape.length:
            self.rejected += 1
            raise Rejected("queue-full")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        self._turns.setdefault(number)
        self.waiting += 1
        self._note()
        try:
            async with self._clock.timeout(WAIT_SECONDS_MAX):
                await turn
        except TimeoutError:
            self._abandon(number, queue, turn)
            self.rejected += 1
            raise Rejected("time-out") from None
        except asyncio.CancelledError:
            self._abandon(number, queue, turn)
            raise

    def _abandon(self, number: int, queue: deque[asyncio.Future[None]], turn: asyncio.Future[None]) -> None:
        """Who does not wait any more leaves no trace; who was called in the same moment gives way."""
        if turn.done() and not turn.cancelled():
            self.leave()
        elif turn in queue:
            queue.remove(turn)
            self.waiting -= 1
            self._note()
            if not queue:
                self._empty(number)

    def _dispatch(self) -> None:
        """Calls the next of each queue in turn, while there are seats."""
        while self._turns and self._has_room():
            number, _ = self._turns.popitem(last=False)
            queue = self._queues[number]
            turn = queue.popleft()
            self.waiting -= 1
            if queue:
                self._turns[number] = None  # to the end: the others come first
            else:
                self._empty(number)
            if not turn.done():  # else its request has just gone
                self.running += 1
                turn.set_result(None)

    def _empty(self, number: int) -> None:
        del self._queues[number]
        self._turns.pop(number, None)

    def _hand(self, flow: tuple[str, str]) -> tuple[int, ...]:
        found = self._hands.get(flow)
        if found is None:
            if len(self._hands) >= HANDS_REMEMBERED_MAX:
                self._hands.clear()
            found = self._hands[flow] = deal(flow, self.shape.queues, self.shape.hand)
        return found


def deal(flow: tuple[str, str], queues: int, hand: int) -> tuple[int, ...]:
    """Different queues for a flow, always the same ones: cards off a deck that its name has shuffled."""
    value = int.from_bytes(blake2b("\x00".join(flow).encode(), digest_size=32).digest())
    deck, dealt = list(range(queues)), []
    for _ in range(min(hand, queues)):
        value, at = divmod(value, len(deck))
        dealt.append(deck.pop(at))
    return tuple(dealt)


def read(objects: list[Json], seats: int) -> dict[str, Shape]:
    """PriorityLevelConfigurations, with `seats` shared out among them as they say."""
    total = sum(_part(obj).get("nominalConcurrencyShares") or 0 for obj in objects) or 1
    return {obj["metadata"]["name"]: _shape(obj, seats, total) for obj in objects}


def _part(obj: Json) -> Json:
    """What the spec says of its seats, whichever type it is of."""
    spec = obj["spec"]
    found: Json = spec.get("exempt" if spec.get("type") == "Exempt" else "limited") or {}
    return found


def _shape(obj: Json, seats: int, total: int) -> Shape:
    part, meta = _part(obj), obj["metadata"]
    own = ceil(seats * (part.get("nominalConcurrencyShares") or 0) / total)
    limit_percent = part.get("borrowingLimitPercent")
    response = part.get("limitResponse") or {}
    queuing = response.get("queuing") or {} if response.get("type") == "Queue" else None
    return Shape(
        meta["name"],
        meta.get("uid", ""),
        own,
        queues=0 if queuing is None else queuing.get("queues", 64),
        hand=0 if queuing is None else queuing.get("handSize", 8),
        length=0 if queuing is None else queuing.get("queueLengthLimit", 50),
        lends=rounded(own * (part.get("lendablePercent") or 0) / 100),
        borrows=seats if limit_percent is None else rounded(own * limit_percent / 100),
        exempt=obj["spec"].get("type") == "Exempt",
    )
