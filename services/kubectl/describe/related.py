"""What belongs to an object that is described, asked of the server: its events, Pods, endpoints, ReplicaSets.

What may be missing or forbidden is left out; a description without it is better than none.
"""

from __future__ import annotations

from typing import Any

from services.api import kinds
from services.api.errors import ApiError
from services.kubectl import containers, revisions
from services.kubectl.describe import storage, traffic
from services.kubectl.resources import Found
from services.kubectl.session import Session

Json = dict[str, Any]

MIRROR = "kubernetes.io/config.mirror"


def resource(api_version: str, kind: str) -> kinds.Resource:
    found = kinds.resource_of_kind(api_version, kind)
    assert found is not None
    return found


async def events(session: Session, item: Found) -> list[Json]:
    """What happened to an object. A node's kubelet names the node by its name in place of a uid."""
    metadata = item.object["metadata"]
    uid = (metadata.get("annotations") or {}).get(MIRROR) or metadata.get("uid", "")
    found = await _search_events(session, item, uid)
    if item.resource.kind == "Node":
        found += await _search_events(session, item, item.name)
    return found


async def _search_events(session: Session, item: Found, uid: str) -> list[Json]:
    fields = [
        f"involvedObject.name={item.name}",
        *([f"involvedObject.namespace={item.namespace}"] if item.namespace else []),
        f"involvedObject.kind={item.resource.kind}",
        f"involvedObject.uid={uid}",
    ]
    try:
        return await session.client.list(resource("v1", "Event"), item.namespace, fields=",".join(fields))
    except ApiError:
        return []  # A description without its events is better than none.


async def users(session: Session, item: Found) -> list[Json]:
    """The Pods that mount a claim."""
    everybody = await session.client.list(resource("v1", "Pod"), item.namespace)
    return [pod for pod in everybody if storage.uses(pod, item.name)]


async def listed(session: Session, kind: str, namespace: str) -> list[Json]:
    try:
        return await session.client.list(resource("v1", kind), namespace)
    except ApiError:
        return []  # who may see a namespace may not see all that is in it


async def lease(session: Session, name: str) -> Json | str:
    try:
        return await session.client.get(resource("coordination.k8s.io/v1", "Lease"), name, "kube-node-lease")
    except ApiError as error:
        return error.message


async def pods_on(session: Session, node: str) -> list[Json]:
    fields = f"spec.nodeName={node},status.phase!=Failed,status.phase!=Succeeded"
    return await session.client.list(resource("v1", "Pod"), fields=fields)


async def owned_pods(session: Session, item: Found) -> list[Json]:
    uid = item.object["metadata"].get("uid")
    selector = containers.selector_of(item.object)
    found = await session.client.list(resource("v1", "Pod"), item.namespace, labels=selector)
    return [
        pod
        for pod in found
        if any(o.get("controller") and o["uid"] == uid for o in pod["metadata"].get("ownerReferences") or ())
    ]


async def replica_sets(session: Session, item: Found) -> tuple[list[Json], Json | None]:
    """The Deployment's ReplicaSets: the old ones, and the one that has its present template."""
    past = await revisions.of(session, item, numbered=False)
    template = item.object["spec"]["template"]
    current = [rs for rs in past if revisions.same_template(rs["spec"]["template"], template)]
    current.sort(key=lambda rs: rs["metadata"].get("creationTimestamp") or "")
    new = current[0] if current else None
    old = sorted((rs for rs in past if rs is not new), key=lambda rs: rs["metadata"]["name"])
    return old, new


async def slices(session: Session, service: str, namespace: str) -> list[Json]:
    try:
        return await session.client.list(
            resource("discovery.k8s.io/v1", "EndpointSlice"),
            namespace,
            labels=f"kubernetes.io/service-name={service}",
        )
    except ApiError:
        return []


async def backends(session: Session, item: Found) -> dict[str, str]:
    """What stands behind each backend of an Ingress, by the backend's name."""
    spec = item.object.get("spec") or {}
    every = [spec["defaultBackend"]] if spec.get("defaultBackend") else []
    for rule in spec.get("rules") or ():
        every += [path["backend"] for path in (rule.get("http") or {}).get("paths") or ()]
    return {traffic.backend_name(each): await _backend(session, each, item.namespace) for each in every}


async def _backend(session: Session, backend: Json, namespace: str) -> str:
    """`web:80 (10.244.1.5:8080)`: the endpoints behind it beside its name."""
    name = traffic.backend_name(backend)
    if not (wanted := backend.get("service")):
        return name
    try:
        service = await session.client.get(resource("v1", "Service"), wanted["name"], namespace)
    except ApiError as error:
        return f"{name} (<error: {error.message}>)"
    port = wanted.get("port") or {}
    found = [
        each.get("name", "")
        for each in service["spec"].get("ports") or ()
        if (port.get("number") or None) == each["port"] or (port.get("name") or None) == each.get("name")
    ]
    behind = await slices(session, wanted["name"], namespace)
    return f"{name} ({traffic.format_slices(behind, found[-1] if found else '')})"
