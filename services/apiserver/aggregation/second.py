"""The older OpenAPI document, one for everything: what other API servers have to say in it of their groups.

Asked for when somebody asks this server for it, and again a minute later at the earliest. A server that does
not answer is left with what it said last; what cannot be read is left out, and told in the log.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson

from services.apiserver.aggregation.api_services import ApiServices
from services.machinery.clock import Clock
from services.process.logging import Logger

Json = dict[str, Any]
FRESH_SECONDS = 60.0
# Status, body and entity tag of a server's document, given the tag of the one that is known.
Ask = Callable[[Json, str], Awaitable[tuple[int, bytes, str] | None]]


@dataclass(slots=True)
class _Known:
    asked: float
    etag: str = ""
    part: Json | None = None


class SecondDocuments:
    def __init__(self, services: ApiServices, ask: Ask, clock: Clock, log: Logger) -> None:
        self._services, self._ask, self._clock, self._log = services, ask, clock, log
        self._known: dict[str, _Known] = {}
        self._one = asyncio.Lock()

    async def parts(self) -> list[Json]:
        """Of each server that is available, the paths of its group and what they refer to, best first.

        The hash of each stands beside it, under `hash`.
        """
        async with self._one:
            specs = self._services.available()
            names = {f"{spec['version']}.{spec['group']}": spec for spec in specs}
            self._known = {name: self._known[name] for name in names if name in self._known}
            async with asyncio.TaskGroup() as group:
                for name, spec in names.items():
                    group.create_task(self._refresh(name, spec))
            known = (self._known[name].part for name in names)
            return [part for part in known if part is not None]

    async def _refresh(self, name: str, spec: Json) -> None:
        known = self._known.get(name)
        now = self._clock.monotonic()
        if known is not None and now - known.asked < FRESH_SECONDS:
            return
        if known is None:
            known = self._known[name] = _Known(now)
        known.asked = now
        answer = await self._ask(spec, known.etag)
        if answer is None or answer[0] != 200:
            return
        from services.apiserver.openapi.merging import Unreadable, part_of

        _, body, known.etag = answer
        prefix = f"/apis/{spec['group']}/{spec['version']}/"
        try:
            part = await asyncio.to_thread(part_of, body, prefix)
        except Unreadable as error:
            self._log.warning("Left out what an API server says of its schema", name=name, reason=str(error))
            known.part = None
            return
        known.part = {**part, "hash": hashlib.sha256(orjson.dumps(part)).hexdigest()}
