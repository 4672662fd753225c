from __future__ import annotations

from datetime import timedelta

from msgspec.structs import replace

from services.api.apps_v1 import Deployment, DeploymentStatus
from services.controller_manager.deployment import status
from services.controller_manager.deployment.status import View
from services.machinery import conditions
from tests.unit.controller_manager.objects import NOW, deployment, replicaset


def told(found: DeploymentStatus, kind: str) -> tuple[str, str | None, str | None] | None:
    condition = conditions.get(found.conditions, kind)
    return (condition.status, condition.reason, condition.message) if condition else None


def starting(subject: Deployment) -> Deployment:
    return status.with_progressing(subject, "True", "NewReplicaSetCreated", "Created new replica set", NOW)


def test_a_rollout_from_nothing_to_complete() -> None:
    subject = starting(deployment(2))
    fresh = replace(replicaset("w-1", 2, 0), status=replace(replicaset("w-1", 2).status, replicas=0))
    fresh = replace(
        fresh,
        status=replace(fresh.status, available_replicas=None, ready_replicas=None, observed_generation=None),
    )
    first = status.observe_rollout(View(subject, fresh, []), NOW)
    assert (first.unavailable_replicas, first.replicas, first.terminating_replicas) == (2, None, 0)
    assert told(first, "Available") == (
        "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.",
    )  # fmt: skip
    assert told(first, "Progressing") == ("True", "NewReplicaSetCreated", "Created new replica set")

    subject = replace(subject, status=first)
    moving = status.observe_rollout(View(subject, replicaset("w-1", 2, 1), []), NOW)
    assert told(moving, "Progressing") == (
        "True", "ReplicaSetUpdated", 'ReplicaSet "w-1" is progressing.',
    )  # fmt: skip
    done = status.observe_rollout(View(replace(subject, status=moving), replicaset("w-1", 2), []), NOW)
    assert told(done, "Progressing") == (
        "True", "NewReplicaSetAvailable", 'ReplicaSet "w-1" has successfully progressed.',
    )  # fmt: skip
    assert told(done, "Available") == (
        "True", "MinimumReplicasAvailable", "Deployment has minimum availability.",
    )  # fmt: skip
    again = status.observe_rollout(
        View(replace(subject, status=done), replicaset("w-1", 2), []), NOW + timedelta(hours=1)
    )
    assert again == done


def test_the_deadline() -> None:
    subject = starting(deployment(2))
    view = View(subject, replicaset("w-1", 2, 0), [])
    subject = replace(subject, status=status.observe_rollout(view, NOW))
    view = replace_view(view, subject)
    assert status.next_check_seconds(subject, subject.status, NOW) == 601
    late = status.observe_rollout(view, NOW + timedelta(seconds=601))
    assert told(late, "Progressing") == (
        "False", "ProgressDeadlineExceeded", 'ReplicaSet "w-1" has timed out progressing.',
    )  # fmt: skip
    assert status.next_check_seconds(replace(subject, status=late), late, NOW) is None


def replace_view(view: View, subject: Deployment) -> View:
    return View(subject, view.new, view.old)


def test_pause_and_resume() -> None:
    paused = replace(deployment(), spec=replace(deployment().spec, paused=True))
    said = status.paused_or_resumed(paused, NOW)
    assert said is not None
    assert told(said.status, "Progressing") == ("Unknown", "DeploymentPaused", "Deployment is paused")
    assert status.paused_or_resumed(said, NOW) is None
    resumed = status.paused_or_resumed(replace(said, spec=deployment().spec), NOW)
    assert resumed is not None
    assert told(resumed.status, "Progressing") == ("Unknown", "DeploymentResumed", "Deployment is resumed")
    assert status.paused_or_resumed(deployment(), NOW) is None
