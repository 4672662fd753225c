"""Revisions: which ReplicaSet carries a Deployment's present template, and the history of the others.

A ReplicaSet belongs to the template that it was made from, compared without the hash label; its
number in the history is an annotation. Upstream: pkg/controller/deployment/util.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from services.api.apps_v1 import Deployment, ReplicaSet, ReplicaSetSpec
from services.api.core_v1 import PodTemplateSpec
from services.api.meta_v1 import LabelSelector, ObjectMeta
from services.machinery.hashing import template_hash
from services.machinery.owners import new_controller_ref

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED_REPLICAS = "deployment.kubernetes.io/desired-replicas"
MAX_REPLICAS = "deployment.kubernetes.io/max-replicas"
REVISION_HISTORY_LENGTH_MAX = 2000

# What stays with the Deployment, or is written to the ReplicaSet by other rules.
_NOT_COPIED = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        "deprecated.deployment.rollback.to",
        REVISION,
        REVISION_HISTORY,
        DESIRED_REPLICAS,
        MAX_REPLICAS,
    }
)


def by_age(replicasets: Sequence[ReplicaSet]) -> list[ReplicaSet]:
    """Oldest first."""
    return sorted(replicasets, key=lambda rs: (rs.metadata.creation_timestamp or "", rs.metadata.name or ""))


def active(replicasets: Sequence[ReplicaSet]) -> list[ReplicaSet]:
    return [rs for rs in replicasets if rs.spec.replicas is None or rs.spec.replicas > 0]


def annotated(replicaset: ReplicaSet, annotation: str) -> int | None:
    """The number in one of our annotations; None where it is missing or not a number."""
    try:
        return int(replicaset.metadata.annotations[annotation])
    except (KeyError, ValueError):
        return None


def find_new(deployment: Deployment, replicasets: Sequence[ReplicaSet]) -> ReplicaSet | None:
    """The oldest ReplicaSet made from the Deployment's present template."""
    template = _without_hash(deployment.spec.template)
    for replicaset in by_age(replicasets):
        if replicaset.spec.template and _without_hash(replicaset.spec.template) == template:
            return replicaset
    return None


def same_template(deployment: Deployment, replicaset: ReplicaSet) -> bool:
    return find_new(deployment, [replicaset]) is not None


def _without_hash(template: PodTemplateSpec) -> PodTemplateSpec:
    labels = {key: value for key, value in template.metadata.labels.items() if key != HASH_LABEL}
    return replace(template, metadata=ObjectMeta(labels=labels, annotations=template.metadata.annotations))


def next_revision(old: Sequence[ReplicaSet]) -> int:
    return max((annotated(replicaset, REVISION) or 0 for replicaset in old), default=0) + 1


def new_replicaset(deployment: Deployment, replicas: int, revision: int, max_replicas: int) -> ReplicaSet:
    """The ReplicaSet for the present template, named after its hash."""
    template = deployment.spec.template
    canonical = msgspec.json.encode(template, order="deterministic")
    digest = template_hash(canonical, deployment.status.collision_count)
    labels = {**template.metadata.labels, HASH_LABEL: digest}
    selector = deployment.spec.selector
    return ReplicaSet(
        metadata=ObjectMeta(
            name=f"{deployment.metadata.name}-{digest}",
            namespace=deployment.metadata.namespace,
            labels=labels,
            annotations={
                **_copied(deployment),
                REVISION: str(revision),
                **size_annotations(deployment, max_replicas),
            },
            owner_references=[new_controller_ref(deployment)],
        ),
        spec=ReplicaSetSpec(
            replicas=replicas,
            min_ready_seconds=deployment.spec.min_ready_seconds,
            selector=LabelSelector(
                match_labels={**selector.match_labels, HASH_LABEL: digest},
                match_expressions=selector.match_expressions,
            ),
            template=replace(template, metadata=replace(template.metadata, labels=labels)),
        ),
    )


def size_annotations(deployment: Deployment, max_replicas: int) -> dict[str, str]:
    """What a ReplicaSet's size was computed for; proportional scaling starts from it."""
    replicas = 1 if deployment.spec.replicas is None else deployment.spec.replicas
    return {DESIRED_REPLICAS: str(replicas), MAX_REPLICAS: str(max_replicas)}


def annotations_to_write(deployment: Deployment, replicaset: ReplicaSet, revision: int) -> dict[str, str]:
    """The annotations of the present ReplicaSet that are missing or out of date."""
    have = replicaset.metadata.annotations
    wanted = _copied(deployment)
    recorded = annotated(replicaset, REVISION) or 0
    if recorded < revision:
        wanted[REVISION] = str(revision)
        if recorded:
            wanted[REVISION_HISTORY] = _history(have.get(REVISION_HISTORY, ""), str(recorded))
    return {key: value for key, value in wanted.items() if have.get(key) != value}


def _copied(deployment: Deployment) -> dict[str, str]:
    return {key: value for key, value in deployment.metadata.annotations.items() if key not in _NOT_COPIED}


def _history(earlier: str, revision: str) -> str:
    """Appends, and drops the oldest once the annotation would grow too long."""
    revisions = [*earlier.split(","), revision] if earlier else [revision]
    while len(",".join(revisions)) > REVISION_HISTORY_LENGTH_MAX:
        revisions.pop(0)
    return ",".join(revisions)


def beyond_history(deployment: Deployment, old: Sequence[ReplicaSet]) -> list[ReplicaSet]:
    """Old ReplicaSets that revisionHistoryLimit has no room for, lowest revision first; busy ones stay."""
    limit = deployment.spec.revision_history_limit
    if limit is None or limit >= 2**31 - 1:
        return []
    present = [replicaset for replicaset in old if not replicaset.metadata.deletion_timestamp]
    order = sorted(by_age(present), key=lambda rs: annotated(rs, REVISION) or 0)
    return [replicaset for replicaset in order[: max(len(present) - limit, 0)] if _is_idle(replicaset)]


def _is_idle(replicaset: ReplicaSet) -> bool:
    observed = (replicaset.metadata.generation or 0) <= (replicaset.status.observed_generation or 0)
    return replicaset.spec.replicas == 0 and replicaset.status.replicas == 0 and observed
