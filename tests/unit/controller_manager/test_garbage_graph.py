from __future__ import annotations

from services.api.meta_v1 import ObjectMeta, OwnerReference
from services.controller_manager.garbage_collector.graph import (
    FOREGROUND,
    ORPHAN,
    Action,
    Delete,
    Disown,
    Graph,
    Identity,
    Orphan,
    Release,
    Unblock,
    Visit,
)


def put(graph: Graph, uid: str, *owners: str, finalizer: str = "", block: bool = True) -> list[str]:
    references = [OwnerReference(uid=owner, name=owner, block_owner_deletion=block) for owner in owners]
    metadata = ObjectMeta(
        uid=uid,
        owner_references=references,
        finalizers=[finalizer] if finalizer else [],
        deletion_timestamp="2026-01-01T00:00:00Z" if finalizer else None,
    )
    return graph.put(Identity("v1", "Pod", "default", uid), metadata)


def decide(graph: Graph, uid: str, *absent: str) -> Action:
    item = graph.get(uid)
    assert item is not None
    return graph.decide(item, absent)


def test_background() -> None:
    graph = Graph()
    assert put(graph, "rs") == []
    assert put(graph, "pod", "rs") == []
    assert decide(graph, "pod") is None
    assert graph.remove("rs") == ["pod"]
    item = graph.get("pod")
    assert item is not None
    assert [owner.uid for owner in graph.unseen_owners(item)] == ["rs"]
    assert decide(graph, "pod") is None  # an unseen owner may be alive
    assert decide(graph, "pod", "rs") == Delete(item, "Background")


def test_a_dependent_may_be_seen_before_its_owner() -> None:
    graph = Graph()
    assert put(graph, "pod", "rs") == ["pod"]
    put(graph, "rs")
    item = graph.get("pod")
    assert item is not None
    assert graph.unseen_owners(item) == []
    assert decide(graph, "pod") is None
    assert graph.remove("rs") == ["pod"]


def test_foreground_goes_from_the_leaves_up() -> None:
    graph = Graph()
    put(graph, "deploy")
    put(graph, "rs", "deploy")
    put(graph, "pod", "rs")
    assert put(graph, "deploy", finalizer=FOREGROUND) == ["rs", "deploy"]
    assert decide(graph, "deploy") == Visit(("rs",))
    assert isinstance(found := decide(graph, "rs"), Delete)
    assert found.policy == "Foreground"
    assert put(graph, "rs", "deploy", finalizer=FOREGROUND) == ["pod", "rs"]
    assert decide(graph, "deploy") is None
    assert isinstance(found := decide(graph, "pod"), Delete)
    assert found.policy == "Background"
    assert graph.remove("pod") == ["rs"]
    assert isinstance(decide(graph, "rs"), Release)
    assert graph.remove("rs") == ["deploy"]
    assert isinstance(decide(graph, "deploy"), Release)


def test_a_dependent_that_does_not_block_is_not_waited_for() -> None:
    graph = Graph()
    put(graph, "rs")
    put(graph, "pod", "rs", block=False)
    put(graph, "rs", finalizer=FOREGROUND)
    assert isinstance(decide(graph, "rs"), Release)


def test_orphan() -> None:
    graph = Graph()
    put(graph, "deploy")
    put(graph, "rs", "deploy")
    assert put(graph, "deploy", finalizer=ORPHAN) == ["deploy"]
    found = decide(graph, "deploy")
    assert isinstance(found, Orphan)
    assert [item.uid for item in found.dependents] == ["rs"]
    put(graph, "rs")
    assert graph.remove("deploy") == []


def test_one_owner_of_two_remains() -> None:
    graph = Graph()
    put(graph, "a")
    put(graph, "b")
    put(graph, "pod", "a", "b")
    graph.remove("a")
    found = decide(graph, "pod", "a")
    assert isinstance(found, Disown)
    assert found.owner_uids == {"a"}


def test_a_circle_of_waiting_is_broken() -> None:
    graph = Graph()
    put(graph, "a", "b")
    put(graph, "b", "a")
    put(graph, "a", "b", finalizer=FOREGROUND)
    assert isinstance(decide(graph, "b"), Unblock)


def test_an_owner_blocked_no_longer_is_visited() -> None:
    graph = Graph()
    put(graph, "rs")
    put(graph, "pod", "rs")
    put(graph, "rs", finalizer=FOREGROUND)
    assert put(graph, "pod") == ["rs"]
    assert isinstance(decide(graph, "rs"), Release)
