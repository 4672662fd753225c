"""What a front asks before it does anything: a seat for the request, at the level that its flow has.

    async with fairness.seat(asked) as place: …

`configure` takes the FlowSchemas and PriorityLevelConfigurations that the cluster stores; without any,
upstream's defaults count. Which schema matches is remembered for each kind of request of each user, so that
most requests cost a look into a table and a few additions. A level whose queues are configured anew begins
empty: what waits at the old one is served there. While `run` runs, levels lend each other seats.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple
from uuid import NAMESPACE_URL, uuid5

from services.api import errors
from services.apiserver.authorization.attributes import Attributes
from services.apiserver.fairness import borrowing, levels, schemas
from services.apiserver.fairness.levels import Level, Rejected, Shape
from services.apiserver.fairness.schemas import Schema
from services.apiserver.rules.flow_control import MANDATORY_LEVELS, MANDATORY_SCHEMAS, bootstrap_objects
from services.machinery.clock import Clock

Json = dict[str, Any]

SEATS = 600  # upstream's --max-requests-inflight and --max-mutating-requests-inflight together
KNOWN_MAX = 8192
LENT_SECONDS = 10.0  # how often it is decided anew who lends to whom
TOO_MANY = "Too many requests, please try again later."
RETRY_AFTER_SECONDS = 1
SCHEMA_HEADER = "X-Kubernetes-PF-FlowSchema-UID"
LEVEL_HEADER = "X-Kubernetes-PF-PriorityLevel-UID"


class Place(NamedTuple):
    """Where a request belongs."""

    schema: Schema
    level: Level


class Seat:
    """Entering it may raise ApiError 429."""

    __slots__ = ("_asked", "place")

    def __init__(self, place: Place, asked: Attributes) -> None:
        self.place, self._asked = place, asked

    async def __aenter__(self) -> Place:
        try:
            await self.place.level.enter(self.place.schema.flow(self._asked))
        except Rejected:
            raise errors.too_many_requests(TOO_MANY, RETRY_AFTER_SECONDS) from None
        return self.place

    async def __aexit__(self, *_: object) -> None:
        self.place.level.leave()


class Fairness:
    def __init__(self, clock: Clock, seats: int = SEATS) -> None:
        self._clock, self._seats = clock, seats
        self._known: dict[tuple[object, ...], Place] = {}
        self.levels: dict[str, Level] = {}
        self.configure([], [])

    def seat(self, asked: Attributes) -> Seat:
        """Waits for a seat, and holds it while the block runs."""
        return Seat(self.place(asked), asked)

    def place(self, asked: Attributes) -> Place:
        user = asked.user
        key = (
            user.name, user.groups, asked.verb, asked.group, asked.resource, asked.subresource,
            asked.namespace, asked.path,
        )  # fmt: skip
        found = self._known.get(key)
        if found is None:
            schema = schemas.first(self._schemas, asked) or self._last
            found = Place(schema, self.levels[schema.level])
            if asked.memorable:
                if len(self._known) >= KNOWN_MAX:
                    self._known.clear()
                self._known[key] = found
        return found

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._clock.sleep(LENT_SECONDS)
            self._lend()

    def _lend(self) -> None:
        """Gives each level the seats that it is to have after what was wanted lately."""
        every = list(self.levels.values())
        for level, limit in zip(every, borrowing.limits([each.claim() for each in every]), strict=True):
            level.allow(limit)

    def configure(self, flow_schemas: list[Json], priority_levels: list[Json]) -> None:
        """From now on these count, as they are stored."""
        found = _with_mandatory(priority_levels, "PriorityLevelConfiguration", MANDATORY_LEVELS)
        shapes = levels.read(found, self._seats)
        self.levels = {name: self._level(shape) for name, shape in shapes.items()}
        every = schemas.read(_with_mandatory(flow_schemas, "FlowSchema", MANDATORY_SCHEMAS))
        # One that names no level there is leaves its requests to the next that matches.
        self._schemas = [each for each in every if each.level in self.levels]
        self._last = next(each for each in self._schemas if each.name == "catch-all")
        self._known.clear()
        self._lend()

    def _level(self, shape: Shape) -> Level:
        known = self.levels.get(shape.name)
        if known is None or not known.shape.queues_as(shape):
            return Level(shape, self._clock)
        known.shape = shape
        return known


def _with_mandatory(given: list[Json], kind: str, mandatory: Iterable[str]) -> list[Json]:
    """The defaults where nothing is configured; the mandatory ones of them whatever is."""
    names = {each["metadata"]["name"] for each in given}
    wanted = {*mandatory} - names
    defaults = [each for each in bootstrap_objects() if each["kind"] == kind]
    more = [each for each in defaults if not given or each["metadata"]["name"] in wanted]
    return [*given, *(_with_uid(each) for each in more)]


def _with_uid(obj: Json) -> Json:
    """Until it is stored, every server of a cluster makes up the same uid for it."""
    meta = obj["metadata"]
    uid = str(uuid5(NAMESPACE_URL, f"{obj['apiVersion']}/{obj['kind']}/{meta['name']}"))
    return {**obj, "metadata": {**meta, "uid": uid}}
