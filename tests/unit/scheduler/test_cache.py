"""Cache and snapshot: sums stay right under any order of events, and a snapshot does not move."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from services.scheduler.cache import ASSUMED_MAX_SECONDS, Cache
from services.scheduler.framework.pod_info import PodInfo
from services.scheduler.snapshot import Snapshot

from .objects import make_node, make_pod

STEPS = ("assume", "bind", "forget", "confirm", "delete", "add node", "remove node", "touch node")


@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 5), st.integers(0, 2)), max_size=60))
def test_sums_equal_what_is_there(steps: list[tuple[str, int, int]]) -> None:
    cache, snapshot = Cache(), Snapshot()
    for step, number, node in steps:
        _apply(cache, step, f"u{number}", f"n{node}")
        snapshot.update(cache)
        _check(cache, snapshot)


def _apply(cache: Cache, step: str, uid: str, node: str) -> None:
    requests = {"cpu": f"{len(uid) + int(uid[1:])}"}
    pod = make_pod(uid, uid=uid, requests=requests, labels={"app": uid}, node=node, host_port=80)
    match step:
        case "assume" if cache.pod(uid) is None:
            cache.assume(PodInfo(pod), node)
        case "bind":
            cache.finish_binding(uid, 0)
        case "forget":
            cache.forget(uid)
        case "confirm":
            cache.add_pod(PodInfo(pod))
        case "delete":
            cache.remove_pod(uid)
        case "add node":
            cache.add_node(make_node(node))
        case "touch node" if (known := cache.node(node)) is not None and known.node is not None:
            cache.update_node(make_node(node, images={"a:1": int(uid[1:])} if uid != "u0" else {}))
        case "remove node":
            cache.remove_node(node)


def _check(cache: Cache, snapshot: Snapshot) -> None:
    live = list(cache.nodes())
    assert sorted(node.name for node in snapshot) == sorted(node.name for node in live)
    images: dict[str, dict[str, int]] = {}
    for node in live:
        cpu = sum(info.requests["cpu"] for info in node.pods.values())
        assert node.requested.get("cpu", 0) == cpu
        assert sum(node.label_counts.values()) == len(node.pods) == sum(node.used_ports.values())
        seen = snapshot.get(node.name)
        assert seen is not None
        assert (seen.generation, seen.requested, seen.pods.keys()) == (
            node.generation,
            node.requested,
            node.pods.keys(),
        )
        for image, size in node.image_sizes.items():
            images.setdefault(image, {})[node.name] = size
    assert cache.images == images


def test_snapshot_stands_still() -> None:
    cache, snapshot = Cache(), Snapshot()
    cache.add_node(make_node("n"))
    snapshot.update(cache)
    cache.assume(PodInfo(make_pod(requests={"cpu": "1"})), "n")
    node = snapshot.get("n")
    assert node is not None
    assert node.free("cpu") == 4000
    snapshot.update(cache)
    node = snapshot.get("n")
    assert node is not None
    assert node.free("cpu") == 3000


def test_snapshot_copies_only_what_changed() -> None:
    cache, snapshot = Cache(), Snapshot()
    for number in range(10):
        cache.add_node(make_node(f"n{number}"))
    snapshot.update(cache)
    before = list(snapshot)
    cache.assume(PodInfo(make_pod()), "n3")
    snapshot.update(cache)
    assert [new.name for old, new in zip(before, snapshot) if old is not new] == ["n3"]


def test_assumption_expires_only_once_the_binding_is_written() -> None:
    cache = Cache()
    cache.add_node(make_node("n"))
    cache.assume(PodInfo(make_pod(uid="u")), "n")
    assert cache.expire(1e9) == []
    deadline = cache.finish_binding("u", 10)
    assert deadline == 10 + ASSUMED_MAX_SECONDS == cache.next_expiry()
    assert cache.expire(deadline - 1) == []
    assert [info.uid for info in cache.expire(deadline)] == ["u"]
    assert cache.pod("u") is None


def test_watch_corrects_a_wrong_assumption() -> None:
    cache = Cache()
    for name in ("a", "b"):
        cache.add_node(make_node(name))
    pod = make_pod(uid="u", requests={"cpu": "1"}, node="b")
    cache.assume(PodInfo(pod), "a")
    cache.add_pod(PodInfo(pod))
    node_a, node_b = cache.node("a"), cache.node("b")
    assert node_a is not None
    assert node_b is not None
    assert (node_a.requested["cpu"], node_b.requested["cpu"]) == (0, 1000)
    cache.forget("u")
    assert cache.pod("u") is not None


def test_pods_of_a_node_that_is_not_there_yet() -> None:
    cache = Cache()
    cache.add_pod(PodInfo(make_pod(uid="u", node="late", requests={"cpu": "1"})))
    assert list(cache.nodes()) == []
    cache.add_node(make_node("late"))
    node = cache.node("late")
    assert node is not None
    assert node.free("cpu") == 3000
    cache.remove_node("late")
    cache.remove_pod("u")
    assert cache.node("late") is None


def test_terminating_pods_hold_room_but_are_not_counted_for_spreading() -> None:
    cache = Cache()
    cache.add_node(make_node("n"))
    cache.add_pod(PodInfo(make_pod(uid="u", node="n", requests={"cpu": "1"}, labels={"a": "b"})))
    going = make_pod(uid="u", node="n", requests={"cpu": "1"}, labels={"a": "b"}, deleted=True)
    cache.update_pod(PodInfo(going))
    node = cache.node("n")
    assert node is not None
    assert node.requested["cpu"] == 1000
    assert node.label_counts == {}


def test_zones_take_turns() -> None:
    cache, snapshot = Cache(), Snapshot()
    names = ["a1", "a2", "a3", "b1", "c1"]
    Random(2).shuffle(names)
    for name in names:
        cache.add_node(make_node(name, labels={"topology.kubernetes.io/zone": name[0]}))
    snapshot.update(cache)
    assert [node.name for node in snapshot] == ["a1", "b1", "c1", "a2", "a3"]
