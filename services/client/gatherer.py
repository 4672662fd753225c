"""Sends together what is asked for at nearly the same time.

A message costs far more than a request inside it. What is asked for within one turn of the event loop
goes out together, at once; while as many messages are on their way as may be, what comes meanwhile
gathers for the next one. So a single request never waits, and the more there are, the larger the messages
become: what Nagle's algorithm does for small packets, and group commit for transactions.

Nothing is added to what one request means: each gets an answer or an error of its own, and one whose
caller was cancelled is sent all the same if it was on its way. How many may wait is bounded by
the number of callers, each of which waits for its own answer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")
Q_contra = TypeVar("Q_contra", contravariant=True)

# An answer or an error for each request, in their order. What it raises is everybody's.
Send = Callable[[list[Q]], Awaitable[Sequence[A | Exception]]]


class Message(Protocol[Q_contra]):
    """One message in the making: takes requests until it is full."""

    def takes(self, request: Q_contra) -> bool: ...


class Gatherer(Generic[Q, A]):
    """Gathers while `run` runs; before and after that each request is sent alone."""

    def __init__(self, send: Send[Q, A], message: Callable[[], Message[Q]], *, on_their_way_max: int) -> None:
        self._send, self._message = send, message
        self._waiting: deque[tuple[Q, asyncio.Future[A]]] = deque()
        self._on_their_way, self._on_their_way_max = 0, on_their_way_max
        self._awake = False
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Until cancelled; who still waits then is cancelled too."""
        try:
            async with asyncio.TaskGroup() as self._group:
                await asyncio.Event().wait()
        finally:
            self._group = None
            while self._waiting:
                self._waiting.popleft()[1].cancel()

    async def ask(self, request: Q) -> A:
        if self._group is None:
            (answer,) = await self._send([request])
            if isinstance(answer, Exception):
                raise answer
            return answer
        loop = asyncio.get_running_loop()
        future: asyncio.Future[A] = loop.create_future()
        self._waiting.append((request, future))
        if not self._awake and self._on_their_way < self._on_their_way_max:
            self._awake = True
            loop.call_soon(self._depart)
        return await future

    def _depart(self) -> None:
        """Sends what waits, as far as more messages may be on their way."""
        self._awake = False
        while self._waiting and self._group is not None and self._on_their_way < self._on_their_way_max:
            message = self._message()
            room = message.takes(self._waiting[0][0])  # what fits into none goes alone
            together = [self._waiting.popleft()]
            while room and self._waiting and message.takes(self._waiting[0][0]):
                together.append(self._waiting.popleft())
            self._on_their_way += 1
            self._group.create_task(self._carry(together))

    async def _carry(self, together: list[tuple[Q, asyncio.Future[A]]]) -> None:
        answers: Sequence[A | Exception]
        try:
            answers = await self._send([request for request, _ in together])
        except asyncio.CancelledError:
            for _, future in together:
                future.cancel()
            raise
        except Exception as error:  # not handled here: it rises where the requests came from
            answers = [error] * len(together)
        self._on_their_way -= 1
        for (_, future), answer in zip(together, answers, strict=True):
            if future.done():
                continue  # its caller was cancelled
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
        self._depart()
