"""What a deletion makes of an object."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from services.api import core_v1
from services.api.errors import ApiError
from services.api.kinds import resource_of
from services.apiserver.registry import deletion
from services.apiserver.registry.deletion import Options

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PODS = resource_of(core_v1.Pod)


def pod(**metadata: Any) -> dict[str, Any]:
    return {"kind": "Pod", "metadata": {"name": "p", "uid": "u", "generation": 1, **metadata}, "spec": {}}


def test_grace_marks_and_waits() -> None:
    new, gone = deletion.before_delete(pod(), Options(), 30, NOW)
    assert not gone
    assert new["metadata"]["deletionTimestamp"] == "2026-01-01T00:00:30Z"
    assert new["metadata"]["deletionGracePeriodSeconds"] == 30
    assert new["metadata"]["generation"] == 2


def test_the_old_object_stays_as_it_was() -> None:
    old = pod()
    deletion.before_delete(old, Options(propagation="Foreground"), 30, NOW)
    assert old == pod()


def test_a_second_deletion_may_only_shorten() -> None:
    marked, _ = deletion.before_delete(pod(), Options(), 30, NOW)
    longer, gone = deletion.before_delete(marked, Options(), 60, NOW)
    assert (longer["metadata"], gone) == (marked["metadata"], False)
    shorter, gone = deletion.before_delete(marked, Options(), 5, NOW)
    assert not gone
    assert shorter["metadata"]["deletionTimestamp"] == "2026-01-01T00:00:05Z"
    _, gone = deletion.before_delete(marked, Options(), 0, NOW)
    assert gone


def test_finalizers_hold_what_has_no_grace() -> None:
    new, gone = deletion.before_delete(pod(finalizers=["a/b"]), Options(), None, NOW)
    assert not gone
    assert new["metadata"]["deletionGracePeriodSeconds"] == 0
    done = {**new, "metadata": {**new["metadata"], "finalizers": []}}
    assert deletion.is_finished(done, new)
    assert not deletion.is_finished(new, new)


@pytest.mark.parametrize(
    ("propagation", "before", "after"),
    [
        ("", ["orphan"], ["orphan"]),
        ("Foreground", ["x/y"], ["x/y", "foregroundDeletion"]),
        ("Orphan", ["foregroundDeletion"], ["orphan"]),
        ("Background", ["orphan", "x/y"], ["x/y"]),
    ],
)
def test_the_policy_sets_the_collectors_finalizers(
    propagation: Any, before: list[str], after: list[str]
) -> None:
    new, _ = deletion.before_delete(pod(finalizers=before), Options(propagation=propagation), None, NOW)
    assert new["metadata"]["finalizers"] == after


def test_a_namespace_waits_for_what_is_in_it() -> None:
    namespace = {"kind": "Namespace", "metadata": {"name": "n"}, "spec": {"finalizers": ["kubernetes"]}}
    marked, gone = deletion.before_delete_namespace(namespace, Options(), NOW)
    assert not gone
    assert marked["status"]["phase"] == "Terminating"
    assert "deletionGracePeriodSeconds" not in marked["metadata"]
    assert not deletion.before_delete_namespace(marked, Options(), NOW)[1]
    empty = {**marked, "spec": {}}
    assert deletion.is_finished(empty, marked)
    assert deletion.before_delete_namespace(empty, Options(), NOW)[1]


def test_preconditions_name_what_is_wrong() -> None:
    with pytest.raises(ApiError, match="the UID in the precondition"):
        deletion.check_preconditions(PODS, pod(), 7, Options(uid="other"))
    with pytest.raises(ApiError, match="the ResourceVersion in the precondition"):
        deletion.check_preconditions(PODS, pod(), 7, Options(resource_version="6"))
    deletion.check_preconditions(PODS, pod(), 7, Options(uid="u", resource_version="7"))


def test_replication_controllers_orphan_unless_told() -> None:
    controllers = resource_of(core_v1.ReplicationController)
    assert deletion.orphans_by_default(controllers, pod())
    assert not deletion.orphans_by_default(controllers, pod(finalizers=["foregroundDeletion"]))
    assert not deletion.orphans_by_default(PODS, pod())


@pytest.mark.parametrize(
    "raw",
    [b"{", b"[]", b"\xff", b'"x"', b'{"kind":"Pod"}', b'{"gracePeriodSeconds":"x"}', b'{"dryRun":["No"]}'],
)
def test_bad_options_get_a_status(raw: bytes) -> None:
    with pytest.raises(ApiError) as refusal:
        deletion.parse_options(raw)
    assert refusal.value.code in (400, 422)


def test_options_are_read() -> None:
    given = {
        "gracePeriodSeconds": -1,
        "orphanDependents": True,
        "preconditions": {"uid": "u"},
        "dryRun": ["All"],
    }
    options = deletion.parse_options(orjson.dumps(given))
    assert options == Options(1, "u", "", "Orphan", True)
