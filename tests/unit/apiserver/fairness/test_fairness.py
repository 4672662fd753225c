"""Which flow a request is of, and who waits for whom."""

from __future__ import annotations

import asyncio

import pytest

from services.api.errors import ApiError
from services.apiserver.authentication.users import User
from services.apiserver.authorization.attributes import Attributes
from services.apiserver.fairness.fairness import SEATS, Fairness
from services.apiserver.fairness.levels import WAIT_SECONDS_MAX, Level, Rejected, Shape, deal
from tests.support.clock import ManualClock, settle

KNOWN = ("system:authenticated",)


def asked(name: str, *groups: str, verb: str = "get", resource: str = "pods", **more: str) -> Attributes:
    more = {"namespace": "default", **more}
    return Attributes(
        User(name, (*groups, *KNOWN)), verb, resource="" if "path" in more else resource, **more
    )


@pytest.mark.parametrize(
    ("request_", "schema", "level"),
    [
        (asked("admin", "system:masters"), "exempt", "exempt"),
        (asked("nobody", path="/healthz"), "probes", "exempt"),
        (asked("nobody", path="/version"), "global-default", "global-default"),
        (
            asked(
                "system:kube-scheduler",
                verb="update",
                group="coordination.k8s.io",
                resource="leases",
                namespace="kube-system",
            ),
            "system-leader-election",
            "leader-election",
        ),
        (
            asked("system:kube-controller-manager", resource="endpoints"),
            "endpoint-controller",
            "workload-high",
        ),
        (asked("system:kube-controller-manager"), "kube-controller-manager", "workload-high"),
        (
            asked("system:kube-controller-manager", resource="*", namespace=""),
            "kube-controller-manager",
            None,
        ),
        (
            asked("system:node:a", "system:nodes", resource="nodes", namespace=""),
            "system-node-high",
            "node-high",
        ),
        (asked("system:node:a", "system:nodes"), "system-nodes", "system"),
        (
            asked("system:serviceaccount:kube-system:x", "system:serviceaccounts"),
            "kube-system-service-accounts",
            "workload-high",
        ),
        (
            asked("system:serviceaccount:default:x", "system:serviceaccounts"),
            "service-accounts",
            "workload-low",
        ),
        (asked("bob"), "global-default", "global-default"),
    ],
)
def test_where_requests_belong(request_: Attributes, schema: str, level: str | None) -> None:
    found = Fairness(ManualClock()).place(request_)
    assert found.schema.name == schema
    assert level in (None, found.level.shape.name)


def test_seats_are_shared_out_as_upstream_does() -> None:
    levels = Fairness(ManualClock()).levels
    assert {name: level.shape.seats for name, level in levels.items()} == {
        "exempt": 0,
        "leader-election": 25,
        "node-high": 98,
        "system": 74,
        "workload-high": 98,
        "workload-low": 245,
        "global-default": 49,
        "catch-all": 13,
    }
    assert SEATS == 600


def test_a_hand_is_always_the_same_and_holds_no_card_twice() -> None:
    hands = {deal(("schema", f"user{number}"), 64, 6) for number in range(200)}
    assert all(len({*hand}) == 6 and max(hand) < 64 for hand in hands)
    assert len(hands) == 200
    assert deal(("schema", "user1"), 64, 6) in hands


def test_what_the_cluster_configures_counts_beside_what_must_be() -> None:
    fairness = Fairness(ManualClock())
    rule = {
        "subjects": [{"kind": "User", "user": {"name": "bob"}}],
        "resourceRules": [
            {"verbs": ["*"], "apiGroups": ["*"], "resources": ["pods"], "namespaces": ["default"]}
        ],
    }
    schema = {
        "metadata": {"name": "mine", "uid": "u1"},
        "spec": {
            "matchingPrecedence": 5,
            "priorityLevelConfiguration": {"name": "slow"},
            "distinguisherMethod": {"type": "ByNamespace"},
            "rules": [rule],
        },
    }
    level = {
        "metadata": {"name": "slow", "uid": "u2"},
        "spec": {
            "type": "Limited",
            "limited": {"nominalConcurrencyShares": 5, "limitResponse": {"type": "Reject"}},
        },
    }
    fairness.configure([schema], [level])
    place = fairness.place(asked("bob"))
    assert (place.schema.uid, place.level.shape.uid) == ("u1", "u2")
    assert place.schema.flow(asked("bob")) == ("mine", "default")
    assert fairness.place(asked("bob", resource="secrets")).schema.name == "catch-all"
    assert fairness.place(asked("admin", "system:masters")).level.shape.exempt


def test_a_schema_that_names_no_level_leaves_its_requests_to_the_next() -> None:
    fairness = Fairness(ManualClock())
    schema = {
        "metadata": {"name": "mine"},
        "spec": {
            "matchingPrecedence": 5,
            "priorityLevelConfiguration": {"name": "none-such"},
            "rules": [{"subjects": [{"kind": "User", "user": {"name": "*"}}],
                       "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"],
                                          "namespaces": ["*"]}]}],
        },
    }  # fmt: skip
    fairness.configure([schema], [])
    assert fairness.place(asked("bob")).schema.name == "catch-all"
    assert fairness.place(asked("admin", "system:masters")).schema.name == "exempt"


# -- waiting -------------------------------------------------------------------------------------


class Flood:
    """Requests that take a seat and keep it until they are let go."""

    def __init__(self, level: Level) -> None:
        self.level = level
        self.order: list[str] = []
        self.go = asyncio.Event()

    async def ask(self, user: str) -> None:
        await self.level.enter(("s", user))
        self.order.append(user)
        try:
            await self.go.wait()
        finally:
            self.level.leave()


def level(clock: ManualClock, seats: int = 2, queues: int = 16, hand: int = 1, length: int = 4) -> Level:
    return Level(Shape("l", "u", seats, queues, hand, length), clock)


async def test_a_flood_fills_its_own_queue_and_others_are_served_in_turn() -> None:
    made = level(ManualClock())
    flood = Flood(made)
    tasks = [asyncio.ensure_future(flood.ask("bad")) for _ in range(10)]
    await settle()
    assert (made.running, made.waiting, made.rejected) == (2, 4, 4)
    other = next(f"good{n}" for n in range(99) if deal(("s", f"good{n}"), 16, 1) != deal(("s", "bad"), 16, 1))
    tasks.append(asyncio.ensure_future(flood.ask(other)))
    await settle()
    flood.go.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(each, Rejected) for each in results) == 4
    assert flood.order.index(other) <= 3  # two were running; of the rest every second turn is its
    assert (made.running, made.waiting) == (0, 0)


async def test_nobody_waits_for_ever_and_who_leaves_leaves_nothing() -> None:
    clock = ManualClock()
    made = level(clock, seats=1)
    flood = Flood(made)
    first = asyncio.ensure_future(flood.ask("a"))
    await settle()
    late, gone = asyncio.ensure_future(flood.ask("b")), asyncio.ensure_future(flood.ask("b"))
    await settle()
    gone.cancel()
    await settle()
    assert made.waiting == 1
    await clock.advance(WAIT_SECONDS_MAX + 1)
    await settle()
    with pytest.raises(Rejected, match="time-out"):
        await late
    flood.go.set()
    await first
    assert (made.running, made.waiting) == (0, 0)
    await asyncio.gather(gone, return_exceptions=True)


async def test_who_is_called_and_has_gone_in_the_same_moment_gives_way() -> None:
    made = level(ManualClock(), seats=1)
    flood = Flood(made)
    first = asyncio.ensure_future(flood.ask("a"))
    await settle()
    second, third = asyncio.ensure_future(flood.ask("b")), asyncio.ensure_future(flood.ask("c"))
    await settle()
    flood.go.set()
    await first
    second.cancel()
    await asyncio.gather(second, third, return_exceptions=True)
    assert "c" in flood.order
    assert (made.running, made.waiting) == (0, 0)


async def test_a_level_without_queues_refuses_at_once() -> None:
    place = Level(Shape("l", "u", 1), ManualClock())
    await place.enter(("s", "a"))
    with pytest.raises(Rejected, match="concurrency-limit"):
        await place.enter(("s", "b"))
    place.leave()


async def test_the_refusal_says_when_to_come_again() -> None:
    fairness = Fairness(ManualClock(), seats=1)
    bob, done = asked("bob"), asyncio.Event()
    level = fairness.place(bob).level
    shape = level.shape

    async def request() -> None:
        async with fairness.seat(bob):
            await done.wait()

    room = max(level.limit, 1) + shape.hand * shape.length
    tasks = [asyncio.ensure_future(request()) for _ in range(room)]
    await settle()
    with pytest.raises(ApiError) as refused:
        await request()
    assert (refused.value.code, refused.value.retry_after_seconds) == (429, 1)
    assert refused.value.message == "Too many requests, please try again later."
    done.set()
    await asyncio.gather(*tasks)
