"""Messages of a watch are bounded, and never part what has one revision."""

from __future__ import annotations

from services.api.kinds import resource_named
from services.apiserver.fronts.events import EVENTS_BYTES_MAX, View, messages
from services.apiserver.storage.entries import Attributes, Delivery, Entry, Event
from services.pb.resource.v1 import resource_pb2 as pb
from tests.support.clock import ManualClock


def delivery(name: str, revision: int, size: int) -> Delivery:
    entry = Entry(f"/{name}", b"x" * size, revision, Attributes("default", name, "u", {}, {}))
    return Delivery("ADDED", Event(entry, None, revision, ""))


def split(deliveries: list[Delivery]) -> list[list[str]]:
    resource = resource_named("", "v1", "configmaps")
    assert resource is not None
    made = messages(deliveries, View(resource, pb.WatchRequest(), ManualClock()))
    return [[event.object.name for event in pb.WatchResponse.FromString(each).events] for each in made]


def test_small_ones_go_together() -> None:
    assert split([delivery("a", 1, 10), delivery("b", 2, 10)]) == [["a", "b"]]


def test_large_ones_go_apart() -> None:
    half = EVENTS_BYTES_MAX // 2
    assert split([delivery("a", 1, half), delivery("b", 2, half), delivery("c", 3, 10)]) == [
        ["a"],
        ["b", "c"],
    ]
    assert split([delivery("a", 1, 2 * EVENTS_BYTES_MAX), delivery("b", 2, 10)]) == [["a"], ["b"]]


def test_those_of_one_revision_stay_together_whatever_their_size() -> None:
    half = EVENTS_BYTES_MAX // 2
    found = split(
        [delivery("a", 1, half), delivery("b", 2, half), delivery("c", 2, half), delivery("d", 3, 1)]
    )
    assert found == [["a"], ["b", "c"], ["d"]]
