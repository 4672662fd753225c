from __future__ import annotations

from services.api.coordination_v1 import Lease, LeaseSpec
from services.api.core_v1 import Taint
from services.controller_manager.node_lifecycle import health
from services.controller_manager.node_lifecycle.zones import Zones, ZoneState, zone_of, zone_state
from tests.unit.controller_manager.objects import NOW, node


def lease(renewed: str) -> Lease:
    return Lease(spec=LeaseSpec(renew_time=renewed))


def test_a_renewed_lease_or_a_new_status_is_a_sign_of_life() -> None:
    seen = health.look(None, node(), lease("2026-01-01T00:00:00.000000Z"), 100)
    assert health.silence_left_seconds(seen, 40, 120) == 20
    assert health.look(seen, node(), lease("2026-01-01T00:00:00.000000Z"), 120) is seen
    renewed = health.look(seen, node(), lease("2026-01-01T00:00:10.000000Z"), 130)
    assert renewed.seen_seconds == 130
    assert health.look(seen, node(heartbeat=5), None, 135).seen_seconds == 135


def test_a_node_that_never_reported_has_longer() -> None:
    seen = health.look(None, node(ready=None), None, 100)
    assert health.silence_left_seconds(seen, 40, 100) == health.STARTUP_GRACE_SECONDS
    assert health.look(seen, node(), None, 150).seen_seconds == 150


def test_silence_turns_every_condition_unknown() -> None:
    found = {condition.type: condition for condition in health.silent(node(), NOW)}
    assert {condition.status for condition in found.values()} == {"Unknown"}
    assert (found["Ready"].reason, found["Ready"].message) == (
        "NodeStatusUnknown", "Kubelet stopped posting node status.",
    )  # fmt: skip
    assert (found["PIDPressure"].reason, found["PIDPressure"].message) == (
        "NodeStatusNeverUpdated", "Kubelet never posted node status.",
    )  # fmt: skip


def test_conditions_become_taints_and_leave_others_alone() -> None:
    own = Taint(key="mine", effect="NoSchedule")
    stale = Taint(key=health.NOT_READY, effect="NoSchedule")
    found = health.schedule_taints(node(ready="Unknown", taints=[own, stale], unschedulable=True), NOW)
    assert [taint.key for taint in found] == ["mine", health.UNREACHABLE, health.UNSCHEDULABLE]
    assert found[1].time_added
    # A node without a Ready condition carries no taint of ours: as upstream.
    assert health.schedule_taints(node(ready=None, taints=[stale]), NOW) == []


def test_zone_states() -> None:
    assert zone_state(0, 1) is ZoneState.FULL_DISRUPTION
    assert zone_state(1, 2) is ZoneState.NORMAL
    assert zone_state(2, 3) is ZoneState.PARTIAL_DISRUPTION


def test_one_node_at_once_the_next_ten_seconds_later() -> None:
    zones = Zones()
    for name in "abcde":
        zones.put(name, "z", name in "abc")
    assert zones.budget("z").take(100) == 0
    assert zones.budget("z").take(103) == 7
    assert zones.budget("z").take(110) == 0


def test_a_small_zone_in_trouble_stops_and_a_dead_cluster_is_noticed() -> None:
    zones = Zones()
    for name in "abcde":
        zones.put(name, zone_of(node()), name in "ab")
    assert zones.budget(zone_of(node())).take(0) > 0
    assert not zones.all_disrupted
    for name in "ab":
        zones.put(name, zone_of(node()), False)
    assert zones.all_disrupted
    for name in "abcde":
        zones.remove(name)
    assert not zones.all_disrupted
