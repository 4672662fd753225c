from __future__ import annotations

import pytest

from services.api.apps_v1 import ReplicaSet
from services.controller_manager.deployment import sizes
from services.controller_manager.deployment.revisions import DESIRED_REPLICAS, MAX_REPLICAS
from services.controller_manager.deployment.sizes import Resize
from tests.unit.controller_manager.objects import deployment, replicaset


def short(resizes: list[Resize]) -> list[tuple[str | None, int]]:
    return [(resize.replicaset.metadata.name, resize.replicas) for resize in resizes]


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "expected"),
    [
        (3, "25%", "25%", (1, 0)),
        (10, "25%", "25%", (3, 2)),
        (10, 0, 0, (0, 1)),
        (1, 0, 3, (0, 1)),
        (0, "25%", "25%", (0, 0)),
        (4, "100%", "50%", (4, 2)),
    ],
)
def test_bounds(replicas: int, surge: int | str, unavailable: int | str, expected: tuple[int, int]) -> None:
    subject = deployment(replicas, surge, unavailable)
    assert (sizes.max_surge(subject), sizes.max_unavailable(subject)) == expected


def test_the_new_replicaset_grows_into_the_room_that_surge_leaves() -> None:
    subject, old = deployment(3, 1, 0), replicaset("old", 3)
    assert sizes.new_size(subject, None, [old]) == 1
    new = replicaset("new", 1, 0)
    assert sizes.grow_new(subject, new, [old, new]) == []
    assert short(sizes.grow_new(subject, new, [replicaset("old", 2), new])) == [("new", 2)]
    assert short(sizes.grow_new(subject, replicaset("new", 5), [])) == [("new", 3)]


def test_recreate_makes_all_at_once() -> None:
    assert sizes.new_size(deployment(3, strategy="Recreate"), None, [replicaset("old", 3)]) == 3


def test_old_pods_go_only_as_new_ones_become_available() -> None:
    subject = deployment(3, 1, 0)
    old = replicaset("old", 3)
    assert sizes.shrink_old(subject, replicaset("new", 1, 0), [old]) == []
    assert short(sizes.shrink_old(subject, replicaset("new", 1, 1), [old])) == [("old", 2)]


def test_unavailable_old_pods_go_before_available_ones() -> None:
    subject = deployment(10, 0, 2)
    first, second = replicaset("first", 5, 5, age=20), replicaset("second", 5, 4, age=10)
    assert short(sizes.shrink_old(subject, replicaset("new", 0), [first, second])) == [
        ("second", 4),
        ("first", 4),
    ]


def sized(name: str, replicas: int, desired: int, most: int, age: float = 0) -> ReplicaSet:
    notes = {DESIRED_REPLICAS: str(desired), MAX_REPLICAS: str(most)}
    return replicaset(name, replicas, annotations=notes, age=age)


def test_proportional_scaling_as_recorded() -> None:
    subject = deployment(12, 3, 2)
    new, old = sized("new", 5, 6, 9), sized("old", 4, 6, 9, age=10)
    assert sizes.is_scaling_event(subject, [new, old])
    assert short(sizes.scale(subject, new, [old])) == [("new", 8), ("old", 7)]


def test_leftover_goes_to_the_largest() -> None:
    subject = deployment(10, 0, 1)
    three = [sized(name, 2, 6, 6, age) for name, age in (("a", 30), ("b", 20), ("c", 10))]
    assert short(sizes.scale(subject, three[2], three[:2])) == [("c", 4), ("b", 3), ("a", 3)]


def test_scaling_one_active_replicaset_or_the_latest() -> None:
    assert short(sizes.scale(deployment(5), replicaset("new", 3), [replicaset("old", 0)])) == [("new", 5)]
    assert short(sizes.scale(deployment(2), None, [replicaset("a", 0, age=9), replicaset("b", 0)])) == [
        ("b", 2)
    ]
    assert sizes.scale(deployment(3), replicaset("new", 3), []) == []


def test_a_saturated_new_replicaset_needs_no_old_ones() -> None:
    new = sized("new", 3, 3, 4)
    assert short(sizes.scale(deployment(3), new, [replicaset("old", 1)])) == [("old", 0)]


def test_to_nothing() -> None:
    subject = deployment(0)
    new, old = sized("new", 2, 4, 5), sized("old", 3, 4, 5, 10)
    assert {r.replicas for r in sizes.scale(subject, new, [old])} == {0}
