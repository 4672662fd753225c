"""The past of a workload: a Deployment's ReplicaSets, or the ControllerRevisions of the others, in order.

Upstream: kubectl's polymorphichelpers history and rollback.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.api import kinds
from services.kubectl.errors import Fail, quote
from services.kubectl.resources import Found
from services.kubectl.session import Session

Json = dict[str, Any]

REVISION = "deployment.kubernetes.io/revision"
CAUSE = "kubernetes.io/change-cause"
HASH = "pod-template-hash"
# These belong to the Deployment as it is now and do not go back with the template.
_KEPT = (
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    "deployment.kubernetes.io/revision-history",
    "deployment.kubernetes.io/desired-replicas",
    "deployment.kubernetes.io/max-replicas",
    "deprecated.deployment.rollback.to",
)


def number(obj: Json) -> int:
    text = (obj["metadata"].get("annotations") or {}).get(REVISION, "0")
    return int(text) if text.isdigit() else 0


async def of(session: Session, deployment: Found, *, numbered: bool = True) -> list[Json]:
    """The Deployment's ReplicaSets, oldest revision first; `numbered` leaves out those without one.

    The ControllerRevisions of a DaemonSet or StatefulSet come in the same form.
    """
    if deployment.resource.kind != "Deployment":
        return await _controller_revisions(session, deployment)
    resource = kinds.resource_of_kind("apps/v1", "ReplicaSet")
    assert resource is not None
    uid = deployment.object["metadata"].get("uid")
    sets = await session.client.list(resource, deployment.namespace)
    owned = [
        rs
        for rs in sets
        if any(o.get("controller") and o["uid"] == uid for o in rs["metadata"].get("ownerReferences") or ())
    ]
    return sorted((rs for rs in owned if number(rs) or not numbered), key=number)


async def _controller_revisions(session: Session, workload: Found) -> list[Json]:
    resource = kinds.resource_of_kind("apps/v1", "ControllerRevision")
    assert resource is not None
    uid = workload.object["metadata"].get("uid")
    found = await session.client.list(resource, workload.namespace)
    owned = [
        each
        for each in found
        if any(o.get("controller") and o["uid"] == uid for o in each["metadata"].get("ownerReferences") or ())
    ]
    return [_as_set(each) for each in sorted(owned, key=lambda each: each.get("revision", 0))]


def _as_set(revision: Json) -> Json:
    """A ControllerRevision as a ReplicaSet would be: its number an annotation, its template in the spec."""
    metadata = revision["metadata"]
    annotations = {**(metadata.get("annotations") or {}), REVISION: str(revision.get("revision", 0))}
    template = ((revision.get("data") or {}).get("spec") or {}).get("template") or {}
    spec = {"template": {key: value for key, value in template.items() if key != "$patch"}}
    return {"metadata": {**metadata, "annotations": annotations}, "spec": spec, "data": revision.get("data")}


def show(past: Sequence[Json], revision: int) -> str:
    """The table of all revisions, or the Pod template of one."""
    if not past:
        return "No rollout history found."
    if revision > 0:
        found = next((rs for rs in past if number(rs) == revision), None)
        if found is None:
            raise Fail("unable to find the specified revision")
        template = found["spec"]["template"]
        cause = (found["metadata"].get("annotations") or {}).get(CAUSE)
        if cause:
            metadata = template.get("metadata") or {}
            annotations = {**(metadata.get("annotations") or {}), CAUSE: cause}
            template = {**template, "metadata": {**metadata, "annotations": annotations}}
        return template_text(template)
    rows = [("REVISION", "CHANGE-CAUSE")]
    for rs in past:
        rows.append((str(number(rs)), (rs["metadata"].get("annotations") or {}).get(CAUSE) or "<none>"))
    width = max(len(first) for first, _ in rows) + 2
    return "".join(f"{first.ljust(width)}{second}\n" for first, second in rows)


def choose(past: Sequence[Json], revision: int, workload: Found) -> Json:
    """The revision to go back to; 0 stands for the last but one."""
    if revision > 0:
        found = next((rs for rs in past if number(rs) == revision), None)
        if found is None:
            raise Fail(f"unable to find specified revision {revision} in history")
        return found
    if revision < 0:
        raise Fail(f"unable to find specified revision {revision} in history")
    if len(past) < 2:
        if workload.resource.kind != "Deployment":
            raise Fail("no last revision to roll back to")
        raise Fail(f"no rollout history found for deployment {quote(workload.name)}")
    return past[-2]


def without_hash(template: Json) -> Json:
    metadata = dict(template.get("metadata") or {})
    labels = {key: value for key, value in (metadata.get("labels") or {}).items() if key != HASH}
    return {**template, "metadata": {**metadata, "labels": labels}}


def same_template(one: Json, other: Json) -> bool:
    return _bare(one) == _bare(other)


def _bare(template: Json) -> Json:
    clean = without_hash(template)
    metadata = {key: value for key, value in clean["metadata"].items() if value}
    metadata.pop("creationTimestamp", None)
    return {**clean, "metadata": metadata}


def annotations_after(deployment: Json, target: Json) -> dict[str, str]:
    """The Deployment's annotations once it is back at `target`."""
    now = deployment["metadata"].get("annotations") or {}
    then = target["metadata"].get("annotations") or {}
    kept = {key: now[key] for key in _KEPT if key in now}
    return {**kept, **{key: value for key, value in then.items() if key not in _KEPT}}


def template_text(template: Json) -> str:
    from services.kubectl.describe.pods import template as describe_template
    from services.kubectl.describe.writer import Writer

    writer = Writer()
    describe_template(template, writer)
    return writer.text(aligned=False)
