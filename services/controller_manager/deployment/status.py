"""Status: what a Deployment reports, and whether its rollout gets on.

Available says whether enough Pods can serve; Progressing tells the rollout's story and turns False
when nothing moved for progressDeadlineSeconds. Pure: the present moment is a parameter.
Upstream: pkg/controller/deployment/{progress,sync}.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from services.api.apps_v1 import Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet
from services.controller_manager.deployment.sizes import max_unavailable, total, wanted
from services.machinery import conditions
from services.machinery.clock import parse_time, rfc3339

AVAILABLE, PROGRESSING, REPLICA_FAILURE = "Available", "Progressing", "ReplicaFailure"
COMPLETE = "NewReplicaSetAvailable"
TIMED_OUT = "ProgressDeadlineExceeded"
PAUSED, RESUMED = "DeploymentPaused", "DeploymentResumed"
_NO_DEADLINE = 2**31 - 1
_EPOCH = "1970-01-01T00:00:00Z"

Conditions = list[DeploymentCondition]


@dataclass(frozen=True, slots=True)
class View:
    """One moment of a Deployment: it, the ReplicaSet of its template, and the others."""

    deployment: Deployment
    new: ReplicaSet | None
    old: Sequence[ReplicaSet]

    @property
    def everything(self) -> list[ReplicaSet]:
        return [*self.old, self.new] if self.new else list(self.old)


def has_deadline(deployment: Deployment) -> bool:
    return deployment.spec.progress_deadline_seconds not in (None, _NO_DEADLINE)


def condition(kind: str, status: str, reason: str, message: str, now: datetime) -> DeploymentCondition:
    moment = rfc3339(now)
    return DeploymentCondition(
        type=kind,
        status=status,
        reason=reason,
        message=message,
        last_update_time=moment,
        last_transition_time=moment,
    )


def with_condition(existing: Conditions, new: DeploymentCondition) -> Conditions:
    """Sets a condition; the same status and reason again change nothing, not even the message."""
    old = conditions.get(existing, new.type)
    if old is None:
        return [*existing, new]
    if (old.status, old.reason) == (new.status, new.reason):
        return existing
    if old.status == new.status:
        new = replace(new, last_transition_time=old.last_transition_time)
    return [*conditions.remove(existing, new.type), new]


def progressing(deployment: Deployment) -> DeploymentCondition | None:
    return conditions.get(deployment.status.conditions, PROGRESSING)


def with_progressing(
    deployment: Deployment, status: str, reason: str, message: str, now: datetime
) -> Deployment:
    new = condition(PROGRESSING, status, reason, message, now)
    found = with_condition(deployment.status.conditions, new)
    return replace(deployment, status=replace(deployment.status, conditions=found))


def observe(view: View, now: datetime) -> DeploymentStatus:
    """The counts, and whether enough of them are available."""
    deployment, everything = view.deployment, view.everything
    available = sum(rs.status.available_replicas or 0 for rs in everything)
    enough = available >= wanted(deployment) - max_unavailable(deployment)
    verdict = (
        ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
        if enough
        else ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    )
    found = with_condition(deployment.status.conditions, condition(AVAILABLE, *verdict, now))
    return DeploymentStatus(
        observed_generation=deployment.metadata.generation,
        replicas=sum(rs.status.replicas for rs in everything) or None,
        updated_replicas=(view.new.status.replicas if view.new else 0) or None,
        ready_replicas=sum(rs.status.ready_replicas or 0 for rs in everything) or None,
        available_replicas=available or None,
        unavailable_replicas=max(total(everything) - available, 0) or None,
        terminating_replicas=_terminating(everything),
        collision_count=deployment.status.collision_count,
        conditions=found,
    )


def _terminating(everything: Sequence[ReplicaSet]) -> int | None:
    """None as soon as one ReplicaSet has been looked at and did not say."""
    counts = [rs.status.terminating_replicas for rs in everything if rs.status.observed_generation]
    return None if None in counts else sum(count or 0 for count in counts)


def observe_rollout(view: View, now: datetime) -> DeploymentStatus:
    """`observe`, and how far the rollout has come."""
    deployment, status = view.deployment, observe(view, now)
    found = status.conditions
    if not has_deadline(deployment):
        found = conditions.remove(found, PROGRESSING)
    current = progressing(deployment)
    settled = status.replicas == status.updated_replicas and current and current.reason == COMPLETE
    if has_deadline(deployment) and not settled:
        found = _progress(view, replace(status, conditions=found), now)
    failure = _replica_failure(view)
    if failure is None:
        found = conditions.remove(found, REPLICA_FAILURE)
    else:
        found = with_condition(found, condition(REPLICA_FAILURE, *failure, now))
    return replace(status, conditions=found)


def _progress(view: View, status: DeploymentStatus, now: datetime) -> Conditions:
    deployment, found = view.deployment, status.conditions
    current = progressing(deployment)
    who = f'ReplicaSet "{view.new.metadata.name}"' if view.new else f'Deployment "{deployment.metadata.name}"'
    if is_complete(deployment, status):
        message = f"{who} has successfully progressed."
        return with_condition(found, condition(PROGRESSING, "True", COMPLETE, message, now))
    if _has_moved(deployment.status, status):
        new = condition(PROGRESSING, "True", "ReplicaSetUpdated", f"{who} is progressing.", now)
        if current is not None and current.status == "True":
            new = replace(new, last_transition_time=current.last_transition_time)
        # Replaced even when it says the same: lastUpdateTime is what the deadline counts from.
        return [*conditions.remove(found, PROGRESSING), new]
    if timed_out(deployment, now):
        message = f"{who} has timed out progressing."
        return with_condition(found, condition(PROGRESSING, "False", TIMED_OUT, message, now))
    return found


def is_complete(deployment: Deployment, status: DeploymentStatus) -> bool:
    replicas = wanted(deployment)
    counts = (status.updated_replicas or 0, status.replicas or 0, status.available_replicas or 0)
    observed = (status.observed_generation or 0) >= (deployment.metadata.generation or 0)
    return observed and all(count == replicas for count in counts)


def _has_moved(before: DeploymentStatus, after: DeploymentStatus) -> bool:
    def outdated(status: DeploymentStatus) -> int:
        return (status.replicas or 0) - (status.updated_replicas or 0)

    return (
        (after.updated_replicas or 0) > (before.updated_replicas or 0)
        or outdated(after) < outdated(before)
        or (after.ready_replicas or 0) > (before.ready_replicas or 0)
        or (after.available_replicas or 0) > (before.available_replicas or 0)
    )


def timed_out(deployment: Deployment, now: datetime) -> bool:
    current = progressing(deployment)
    if current is None or current.reason == COMPLETE:
        return False
    return current.reason == TIMED_OUT or _deadline(deployment, current) < now


def _deadline(deployment: Deployment, current: DeploymentCondition) -> datetime:
    seconds = deployment.spec.progress_deadline_seconds or 0
    since = current.last_update_time or deployment.metadata.creation_timestamp or _EPOCH
    return parse_time(since) + timedelta(seconds=seconds)


def next_check_seconds(deployment: Deployment, status: DeploymentStatus, now: datetime) -> float | None:
    """When the rollout has to be looked at again if nothing happens; None when it need not be."""
    current = progressing(deployment)
    if not has_deadline(deployment) or current is None:
        return None
    if is_complete(deployment, status) or current.reason in (TIMED_OUT, COMPLETE):
        return None
    # One second more: the condition's time is in whole seconds.
    return max((_deadline(deployment, current) - now).total_seconds(), 0) + 1


def _replica_failure(view: View) -> tuple[str, str, str] | None:
    """The new ReplicaSet's failure to make Pods, or else the first of the others'."""
    newest_first = [view.new, *view.old] if view.new else view.old
    for replicaset in newest_first:
        for found in replicaset.status.conditions:
            if found.type == REPLICA_FAILURE:
                return found.status, found.reason or "", found.message or ""
    return None


def paused_or_resumed(deployment: Deployment, now: datetime) -> Deployment | None:
    """The Deployment with its pause, or the end of it, in the Progressing condition; None: nothing to say.

    A pause keeps the deadline from running. A timeout that was already reported stays.
    """
    current = progressing(deployment)
    if not has_deadline(deployment) or (current and current.reason == TIMED_OUT):
        return None
    said = current is not None and current.reason == PAUSED
    if deployment.spec.paused and not said:
        return with_progressing(deployment, "Unknown", PAUSED, "Deployment is paused", now)
    if said and not deployment.spec.paused:
        return with_progressing(deployment, "Unknown", RESUMED, "Deployment is resumed", now)
    return None
