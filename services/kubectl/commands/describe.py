"""`describe`: an object told in full, with what belongs to it and what happened to it.

`services.kubectl.describe.related` gathers (Pods of a controller, events, a node's Lease); the modules beside
it turn what was gathered into text. DESCRIBERS says which of them a kind has.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from services.kubectl import manifests, resources
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
    related,
    signing,
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
    """The text of the kind's own describer, or of the one for all kinds."""
    events = await related.events(session, item) if with_events else None
    describer = DESCRIBERS.get((item.resource.group, item.resource.kind))
    if describer is None or (item.resource.kind == AUTOSCALER and item.resource.version != "v2"):
        describer = _alone(generic.describe)
    return await describer(session, item, events, session.world.clock.now())


Events = list[Json] | None
Describer = Callable[[Session, Found, Events, datetime], Awaitable[str]]
AUTOSCALER = "HorizontalPodAutoscaler"


def _alone(text: Callable[[Json, Events, datetime], str]) -> Describer:
    """Of a kind whose objects and their events say it all."""

    async def describer(session: Session, item: Found, events: Events, now: datetime) -> str:
        return text(item.object, events, now)

    return describer


def _without_events(text: Callable[[Json], str]) -> Describer:
    async def describer(session: Session, item: Found, events: Events, now: datetime) -> str:
        return text(item.object)

    return describer


def _with_pods(text: Callable[[Json, list[Json], Events, datetime], str]) -> Describer:
    """Of a kind that owns Pods."""

    async def describer(session: Session, item: Found, events: Events, now: datetime) -> str:
        return text(item.object, await related.owned_pods(session, item), events, now)

    return describer


async def _node(session: Session, item: Found, events: Events, now: datetime) -> str:
    lease = await related.lease(session, item.name)
    return nodes.describe(item.object, lease, await related.pods_on(session, item.name), events, now)


async def _deployment(session: Session, item: Found, events: Events, now: datetime) -> str:
    old, new = await related.replica_sets(session, item)
    return workloads.deployment(item.object, old, new, events, now)


async def _service(session: Session, item: Found, events: Events, now: datetime) -> str:
    slices = await related.slices(session, item.name, item.namespace)
    return service_texts.service(item.object, slices, events, now)


async def _ingress(session: Session, item: Found, events: Events, now: datetime) -> str:
    return traffic.ingress(item.object, await related.backends(session, item), events, now)


async def _namespace(session: Session, item: Found, events: Events, now: datetime) -> str:
    amounts = [await related.listed(session, kind, item.name) for kind in ("ResourceQuota", "LimitRange")]
    return config.namespace(item.object, *amounts)


async def _claim(session: Session, item: Found, events: Events, now: datetime) -> str:
    return storage.claim(item.object, await related.users(session, item), events, now)


_NETWORKING, _RBAC = "networking.k8s.io", "rbac.authorization.k8s.io"
# By group and kind: others may have kinds of the same name.
DESCRIBERS: dict[tuple[str, str], Describer] = {
    ("", "ConfigMap"): _alone(config.config_map),
    ("", "Endpoints"): _alone(service_texts.endpoints),
    ("", "LimitRange"): _without_events(quotas.limit_range),
    ("", "Namespace"): _namespace,
    ("", "Node"): _node,
    ("", "PersistentVolume"): _alone(storage.persistent_volume),
    ("", "PersistentVolumeClaim"): _claim,
    ("", "Pod"): _alone(pods.describe),
    ("", "ReplicationController"): _with_pods(workloads.replication_controller),
    ("", "ResourceQuota"): _without_events(quotas.quota),
    ("", "Secret"): _without_events(config.secret),
    ("", "Service"): _service,
    ("", "ServiceAccount"): _alone(config.service_account),
    ("apps", "DaemonSet"): _with_pods(batch.daemon_set),
    ("apps", "Deployment"): _deployment,
    ("apps", "ReplicaSet"): _with_pods(workloads.replica_set),
    ("apps", "StatefulSet"): _with_pods(batch.stateful_set),
    ("autoscaling", AUTOSCALER): _alone(autoscaling.autoscaler),
    ("batch", "CronJob"): _alone(batch.cron_job),
    ("batch", "Job"): _alone(batch.job),
    ("certificates.k8s.io", "CertificateSigningRequest"): _alone(signing.request),
    ("discovery.k8s.io", "EndpointSlice"): _alone(traffic.endpoint_slice),
    (_NETWORKING, "IPAddress"): _alone(traffic.ip_address),
    (_NETWORKING, "Ingress"): _ingress,
    (_NETWORKING, "IngressClass"): _alone(traffic.ingress_class),
    (_NETWORKING, "NetworkPolicy"): _without_events(traffic.network_policy),
    (_NETWORKING, "ServiceCIDR"): _alone(traffic.service_cidr),
    ("policy", "PodDisruptionBudget"): _alone(access.budget),
    (_RBAC, "ClusterRole"): _without_events(access.role),
    (_RBAC, "ClusterRoleBinding"): _without_events(access.binding),
    (_RBAC, "Role"): _without_events(access.role),
    (_RBAC, "RoleBinding"): _without_events(access.binding),
    ("scheduling.k8s.io", "PriorityClass"): _alone(access.priority_class),
    ("storage.k8s.io", "CSINode"): _alone(storage.csi_node),
    ("storage.k8s.io", "StorageClass"): _alone(storage.storage_class),
    ("storage.k8s.io", "VolumeAttributesClass"): _alone(storage.volume_attributes_class),
}


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
