from __future__ import annotations

import pytest

from services.api.core_v1 import Pod
from services.controller_manager import replication
from services.controller_manager.replication import Counts, Plan, count, plan
from tests.unit.controller_manager.objects import NOW, pod, terminating


def test_makes_what_is_missing_up_to_the_burst() -> None:
    assert plan(3, [pod("a")], list, NOW) == Plan(create=2)
    assert plan(10_000, [], list, NOW) == Plan(create=replication.BURST_PODS_MAX)
    assert plan(1, [pod("a")], list, NOW) == Plan()


def test_deletes_everything_without_ranking() -> None:
    live = [pod("a"), pod("b")]
    assert plan(0, live, lambda: pytest.fail("nobody needs the siblings"), NOW) == Plan(delete=tuple(live))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (pod("z", node="", phase="Pending"), pod("a", ready=False)),
        (pod("z", phase="Pending", ready=False), pod("a", ready=False)),
        (pod("z", ready=False), pod("a")),
        (pod("z", annotations={replication.DELETION_COST: "-1"}), pod("a")),
        (pod("z", ready_seconds=10, age=3600), pod("a", ready_seconds=1000, age=3600)),
        (pod("z", restarts=3), pod("a", restarts=1)),
        (pod("z", age=10), pod("a", age=1000)),
    ],
    ids=["unassigned", "pending", "unready", "cheap", "just ready", "restarted", "young"],
)
def test_the_cheapest_goes_first(first: Pod, second: Pod) -> None:
    assert plan(1, [second, first], list, NOW).delete == (first,)


def test_a_crowded_node_loses_first() -> None:
    alone, crowded = pod("a", node="n1"), pod("z", node="n2")
    sibling = pod("s", node="n2")
    assert plan(1, [alone, crowded], lambda: [alone, crowded, sibling], NOW).delete == (crowded,)


def test_ages_are_compared_in_powers_of_two() -> None:
    older, younger = pod("a", ready_seconds=1000, age=3600), pod("b", ready_seconds=990, age=3600)
    # 1000 s and 990 s count as equal: the uid decides, which is chance.
    assert plan(1, [younger, older], list, NOW).delete == (older,)


def test_counts() -> None:
    other = pod("b", ready_seconds=5)
    owned = [pod("a"), other, pod("c", ready=False), terminating(pod("d")), pod("e", phase="Failed")]
    assert count(owned, {"app": "w", "x": "y"}, 0, NOW) == Counts(3, 0, 2, 2, 1)
    assert count(owned, {"app": "w"}, 10, NOW) == Counts(3, 3, 2, 1, 1)
    assert replication.next_available_seconds([owned[0], other], 10, NOW) == 5
    assert replication.next_available_seconds([owned[0]], 10, NOW) is None
