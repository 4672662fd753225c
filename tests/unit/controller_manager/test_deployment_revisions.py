from __future__ import annotations

from msgspec.structs import replace

from services.controller_manager.deployment import revisions
from services.controller_manager.deployment.revisions import HASH_LABEL, REVISION, REVISION_HISTORY
from tests.unit.controller_manager.objects import deployment, replicaset


def test_the_new_replicaset_carries_the_template_and_its_hash() -> None:
    subject = deployment(3)
    made = revisions.new_replicaset(subject, 3, 1, 4)
    digest = made.metadata.labels[HASH_LABEL]
    assert made.metadata.name == f"w-{digest}"
    assert made.spec.selector.match_labels == {"app": "w", HASH_LABEL: digest}
    assert made.metadata.annotations == {
        "deployment.kubernetes.io/revision": "1",
        "deployment.kubernetes.io/desired-replicas": "3",
        "deployment.kubernetes.io/max-replicas": "4",
    }
    assert revisions.find_new(subject, [made]) is made
    assert revisions.find_new(deployment(image="app:2"), [made]) is None
    taken = replace(subject, status=replace(subject.status, collision_count=1))
    assert revisions.new_replicaset(taken, 3, 1, 4).metadata.name != made.metadata.name


def test_a_rollback_moves_the_old_replicaset_to_the_newest_revision() -> None:
    again = replicaset("a", 0, annotations={REVISION: "1"})
    assert revisions.annotations_to_write(deployment(), again, 3) == {REVISION: "3", REVISION_HISTORY: "1"}
    assert revisions.annotations_to_write(deployment(), again, 1) == {}


def test_annotations_follow_the_deployment_but_for_its_own() -> None:
    subject = deployment()
    notes = {"x": "y", REVISION: "9", "kubectl.kubernetes.io/last-applied-configuration": "{}"}
    subject = replace(subject, metadata=replace(subject.metadata, annotations=notes))
    have = replicaset("a", 0, annotations={REVISION: "2"})
    assert revisions.annotations_to_write(subject, have, 1) == {"x": "y"}


def test_history_keeps_the_newest_and_spares_the_busy() -> None:
    subject = deployment()
    subject = replace(subject, spec=replace(subject.spec, revision_history_limit=1))
    old = [replicaset(f"r{i}", 0, annotations={REVISION: str(i)}) for i in (3, 1, 2)]
    assert [rs.metadata.name for rs in revisions.beyond_history(subject, old)] == ["r1", "r2"]
    busy = [replicaset("r1", 1, annotations={REVISION: "1"}), *old[2:], old[0]]
    assert [rs.metadata.name for rs in revisions.beyond_history(subject, busy)] == ["r2"]
