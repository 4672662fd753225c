"""`describe`: an object told in full, with what belongs to it and what happened to it.

This module gathers (Pods of a controller, events, a node's Lease); the modules beside
`services.kubectl.describe.writer` turn what was gathered into text.
"""

from __future__ import annotations

from typing import Any

from services.api import kinds
from services.api.errors import ApiError
from services.kubectl import containers, manifests, resources, revisions
from services.kubectl.commands.registry import Command
from services.kubectl.describe import (
    access,
    autoscaling,
    batch,
    config,
    generic,
    nodes,
    pods,
    quotas,
    storage,
    traffic,
    workloads,
)
from services.kubectl.describe import services as service_texts
from services.kubectl.errors import Fail, raise_all
from services.kubectl.flags import Flag, boolean, integer, text, texts
from services.kubectl.resources import Found, Wanted
from services.kubectl.session import Session

Json = dict[str, Any]

MIRROR = "kubernetes.io/config.mirror"
FLAGS: tuple[Flag, ...] = (
    boolean("all-namespaces", "In all namespaces", short="A"),
    integer("chunk-size", "Ask for large lists in pieces of this size", default=500),
    texts("filename", "Files that name the objects", short="f"),
    text("kustomize", "Not supported", short="k"),
    boolean("recursive", "Read directories with all that is in them", short="R"),
    text("selector", "Only objects whose labels match", short="l"),
    boolean("show-events", "Show the events of each object", default=True),
)


async def run(session: Session) -> None:
    flags = session.flags
    if not session.args and not flags["filename"]:
        raise Fail(
            f'You must specify the type of resource to describe. Use "{session.world.program} api-resources"'
            " for a complete list of supported resources."
        )
    wanted = manifests.references(session) if flags["filename"] else resources.parse(session, session.args)
    resources.check(wanted, selector=flags["selector"], all_namespaces=flags["all-namespaces"])
    found, errors = await resources.fetch(
        session, wanted, labels=flags["selector"], all_namespaces=flags["all-namespaces"]
    )
    with_events = flags["show-events"]
    if (errors or len(found) > 1) and not flags.changed("show-events"):
        with_events = False  # One description may be long, many are endless.
    if errors and len(session.args) == 2 and getattr(errors[0], "reason", "") == "NotFound":
        return await _beginning_with(session, errors[0], with_events)
    for index, item in enumerate(found):
        session.write(("\n\n" if index else "") + await describe(session, item, with_events))
    if not found and not errors:
        where = "" if flags["all-namespaces"] else f" in {session.namespace} namespace."
        session.complain(f"No resources found{where}")
    return raise_all(errors)


async def _beginning_with(session: Session, error: Exception, with_events: bool) -> None:
    """A name that nothing has may be the beginning of names."""
    resource, prefix = resources.lookup(session.args[0]), session.args[1]
    found, _ = await resources.fetch(session, [Wanted(resource)])
    matching = [item for item in found if item.name.startswith(prefix)]
    if not matching:
        raise error
    for item in matching:
        session.write(await describe(session, item, with_events) + "\n")


async def describe(session: Session, item: Found, with_events: bool) -> str:
    now = session.world.clock.now()
    events = await _events(session, item) if with_events else None
    obj = item.object
    match item.resource.kind:
        case "Pod":
            return pods.describe(obj, events, now)
        case "Node":
            lease = await _lease(session, item.name)
            return nodes.describe(obj, lease, await _pods_on(session, item.name), events, now)
        case "Deployment":
            old, new = await _replica_sets(session, item)
            return workloads.deployment(obj, old, new, events, now)
        case "ReplicaSet":
            return workloads.replica_set(obj, await _owned_pods(session, item), events, now)
        case "ReplicationController":
            return workloads.replication_controller(obj, await _owned_pods(session, item), events, now)
        case "DaemonSet":
            return batch.daemon_set(obj, await _owned_pods(session, item), events, now)
        case "StatefulSet":
            return batch.stateful_set(obj, await _owned_pods(session, item), events, now)
        case "Job":
            return batch.job(obj, events, now)
        case "CronJob":
            return batch.cron_job(obj, events, now)
        case "HorizontalPodAutoscaler" if item.resource.version == "v2":
            return autoscaling.autoscaler(obj, events, now)
        case "Service":
            return service_texts.service(obj, await _slices(session, item.name, item.namespace), events, now)
        case "Endpoints":
            return service_texts.endpoints(obj, events, now)
        case "EndpointSlice":
            return traffic.endpoint_slice(obj, events, now)
        case "Ingress":
            return traffic.ingress(obj, await _backends(session, item), events, now)
        case "IngressClass":
            return traffic.ingress_class(obj, events, now)
        case "NetworkPolicy":
            return traffic.network_policy(obj)
        case "ConfigMap":
            return config.config_map(obj, events, now)
        case "Secret":
            return config.secret(obj)
        case "ServiceAccount":
            return config.service_account(obj, events, now)
        case "Namespace":
            amounts = [await _listed(session, kind, item.name) for kind in ("ResourceQuota", "LimitRange")]
            return config.namespace(obj, *amounts)
        case "ResourceQuota":
            return quotas.quota(obj)
        case "LimitRange":
            return quotas.limit_range(obj)
        case "PodDisruptionBudget":
            return access.budget(obj, events, now)
        case "PriorityClass":
            return access.priority_class(obj, events, now)
        case "Role" | "ClusterRole":
            return access.role(obj)
        case "RoleBinding" | "ClusterRoleBinding":
            return access.binding(obj)
        case "PersistentVolume":
            return storage.persistent_volume(obj, events, now)
        case "PersistentVolumeClaim":
            everybody = await session.client.list(_resource("v1", "Pod"), item.namespace)
            users = [pod for pod in everybody if storage.uses(pod, item.name)]
            return storage.claim(obj, users, events, now)
        case "CSINode":
            return storage.csi_node(obj, events, now)
        case "StorageClass":
            return storage.storage_class(obj, events, now)
    return generic.describe(obj, events, now)


def _resource(api_version: str, kind: str) -> kinds.Resource:
    resource = kinds.resource_of_kind(api_version, kind)
    assert resource is not None
    return resource


async def _events(session: Session, item: Found) -> list[Json]:
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
        return await session.client.list(_resource("v1", "Event"), item.namespace, fields=",".join(fields))
    except ApiError:
        return []  # A description without its events is better than none.


async def _listed(session: Session, kind: str, namespace: str) -> list[Json]:
    try:
        return await session.client.list(_resource("v1", kind), namespace)
    except ApiError:
        return []  # who may see a namespace may not see all that is in it


async def _lease(session: Session, name: str) -> Json | str:
    try:
        return await session.client.get(_resource("coordination.k8s.io/v1", "Lease"), name, "kube-node-lease")
    except ApiError as error:
        return error.message


async def _pods_on(session: Session, node: str) -> list[Json]:
    fields = f"spec.nodeName={node},status.phase!=Failed,status.phase!=Succeeded"
    return await session.client.list(_resource("v1", "Pod"), fields=fields)


async def _owned_pods(session: Session, item: Found) -> list[Json]:
    uid = item.object["metadata"].get("uid")
    selector = containers.selector_of(item.object)
    found = await session.client.list(_resource("v1", "Pod"), item.namespace, labels=selector)
    return [
        pod
        for pod in found
        if any(o.get("controller") and o["uid"] == uid for o in pod["metadata"].get("ownerReferences") or ())
    ]


async def _replica_sets(session: Session, item: Found) -> tuple[list[Json], Json | None]:
    """The Deployment's ReplicaSets: the old ones, and the one that has its present template."""
    past = await revisions.of(session, item, numbered=False)
    template = item.object["spec"]["template"]
    current = [rs for rs in past if revisions.same_template(rs["spec"]["template"], template)]
    current.sort(key=lambda rs: rs["metadata"].get("creationTimestamp") or "")
    new = current[0] if current else None
    old = sorted((rs for rs in past if rs is not new), key=lambda rs: rs["metadata"]["name"])
    return old, new


async def _slices(session: Session, service: str, namespace: str) -> list[Json]:
    try:
        return await session.client.list(
            _resource("discovery.k8s.io/v1", "EndpointSlice"),
            namespace,
            labels=f"kubernetes.io/service-name={service}",
        )
    except ApiError:
        return []


async def _backends(session: Session, item: Found) -> dict[str, str]:
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
        service = await session.client.get(_resource("v1", "Service"), wanted["name"], namespace)
    except ApiError as error:
        return f"{name} (<error: {error.message}>)"
    port = wanted.get("port") or {}
    found = [
        each.get("name", "")
        for each in service["spec"].get("ports") or ()
        if (port.get("number") or None) == each["port"] or (port.get("name") or None) == each.get("name")
    ]
    slices = await _slices(session, wanted["name"], namespace)
    return f"{name} ({traffic.format_slices(slices, found[-1] if found else '')})"


DESCRIBE = Command(
    "describe",
    "describe (-f FILENAME | TYPE [NAME_PREFIX | -l label] | TYPE/NAME)",
    "Show details of a specific resource or group of resources.",
    run=run,
    flags=FLAGS,
    examples="""
  # One Pod
  {program} describe pod kubia

  # Every node
  {program} describe nodes
""",
)
