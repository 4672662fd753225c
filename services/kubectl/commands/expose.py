"""`expose`: a Service in front of the Pods of an object."""

from __future__ import annotations

from typing import Any

from services.api import kinds
from services.kubectl import manifests, overriding, resources
from services.kubectl.commands.registry import Command
from services.kubectl.errors import Fail
from services.kubectl.flags import Flag, boolean, integer, text, texts
from services.kubectl.output.results import DRY_RUN, FIELD_MANAGER, PRINT_FLAGS, Results
from services.kubectl.resources import Found
from services.kubectl.session import Session

Json = dict[str, Any]

NAME_LENGTH_MAX = 63
FLAGS: tuple[Flag, ...] = (
    *PRINT_FLAGS,
    DRY_RUN,
    FIELD_MANAGER,
    text("cluster-ip", "The cluster IP, or None for a headless service"),
    text("external-ip", "A further address that leads to the Service"),
    texts("filename", "Files that name the object", short="f"),
    text("kustomize", "Not supported", short="k"),
    text("labels", "Labels of the Service: key=value,key=value", short="l"),
    text("load-balancer-ip", "The address wanted from the load balancer"),
    text("name", "Name of the Service"),
    *overriding.FLAGS,
    text("port", "Port of the Service; else those of the containers"),
    text("protocol", "TCP, UDP or SCTP"),
    boolean("recursive", "Read directories with all that is in them", short="R"),
    boolean("save-config", "Note in an annotation what the object was made from"),
    text("selector", "Selector of the Service; else that of the object"),
    text("session-affinity", "None or ClientIP"),
    text("target-port", "Port, or its name, in the containers; else --port"),
    text("type", "ClusterIP, NodePort, LoadBalancer or ExternalName"),
    integer("node-port", "", default=0),
)
EXPOSABLE = ("ReplicationController", "Service", "Pod", "Deployment", "ReplicaSet")


async def run(session: Session) -> None:
    if not session.args and not session.flags["filename"]:
        raise Fail(resources.NO_RESOURCE)
    wanted = (
        manifests.references(session)
        if session.flags["filename"]
        else resources.parse(session, session.args, collections=False)
    )
    found, errors = await resources.fetch(session, wanted)
    if errors:
        raise errors[0]
    dry_run = session.dry_run()
    results = Results(session, "exposed", dry_run)
    resource = kinds.resource_of_kind("v1", "Service")
    assert resource is not None
    for item in found:
        if item.resource.kind not in EXPOSABLE:
            raise Fail(f"cannot expose a {item.resource.kind}")
        obj = overriding.overridden(_service(session, item), session.flags)
        if dry_run != "client":
            answer = await session.client.create(
                resource,
                obj,
                item.namespace,
                dry_run=dry_run == "server",
                field_manager=session.flags["field-manager"] or "kubectl-expose",
            )
            obj = resources.complete(resource, session.took(answer))
        results.show(obj)


def _service(session: Session, item: Found) -> Json:
    flags = session.flags
    if flags["session-affinity"] not in ("", "None", "ClientIP"):
        raise Fail(f"unknown session affinity: {flags['session-affinity']}")
    selector = _pairs(flags["selector"]) if flags["selector"] else _selector(item)
    ports = _ports(session, item)
    spec: Json = {"ports": ports, "selector": selector}
    for flag, field in (
        ("type", "type"),
        ("session-affinity", "sessionAffinity"),
        ("cluster-ip", "clusterIP"),
    ):
        if flags[flag]:
            spec[field] = flags[flag]
    if flags["type"] == "LoadBalancer" and flags["load-balancer-ip"]:
        spec["loadBalancerIP"] = flags["load-balancer-ip"]
    if flags["external-ip"]:
        spec["externalIPs"] = [flags["external-ip"]]
    metadata: Json = {"name": flags["name"] or item.name[:NAME_LENGTH_MAX], "namespace": item.namespace}
    labels = _pairs(flags["labels"]) if flags["labels"] else item.object["metadata"].get("labels")
    if labels:
        metadata["labels"] = labels
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": spec,
        "status": {"loadBalancer": {}},
    }


def _pairs(text: str) -> dict[str, str]:
    pairs = {}
    for entry in text.split(","):
        key, equals, value = entry.partition("=")
        if not equals:
            raise Fail(f"unexpected label spec: {entry}")
        pairs[key] = value
    return pairs


def _selector(item: Found) -> dict[str, str]:
    if item.resource.kind == "Pod":
        labels = item.object["metadata"].get("labels")
        if not labels:
            raise Fail(
                "couldn't retrieve selectors via --selector flag or introspection: the pod has no"
                " labels and cannot be exposed"
            )
        return dict(labels)
    selector = item.object["spec"].get("selector")
    if not selector:
        raise Fail(
            "couldn't retrieve selectors via --selector flag or introspection: the object has no selector"
        )
    if item.resource.kind in ("Service", "ReplicationController"):
        return dict(selector)
    if selector.get("matchExpressions"):
        raise Fail(
            "couldn't retrieve selectors via --selector flag or introspection: couldn't convert expressions -"
            f" {selector['matchExpressions']} to map-based selector format"
        )
    return dict(selector["matchLabels"])


def _ports(session: Session, item: Found) -> list[Json]:
    flags = session.flags
    known = _known_ports(item)
    if flags["port"]:
        numbers = flags["port"].split(",")
        pairs = [(number, flags["protocol"] or known.get(number, "TCP")) for number in numbers]
    else:
        pairs = [(number, flags["protocol"] or protocol) for number, protocol in known.items()]
    if not pairs and flags["cluster-ip"] != "None":
        raise Fail("couldn't find port via --port flag or introspection")
    ports: list[Json] = []
    for index, (number, protocol) in enumerate(pairs):
        if not number.isdigit():
            raise Fail(f'strconv.Atoi: parsing "{number}": invalid syntax')
        port: Json = {"port": int(number), "protocol": protocol}
        if len(pairs) > 1:
            port["name"] = f"port-{index + 1}"
        target = flags["target-port"] or number
        port["targetPort"] = int(target) if target.isdigit() else target
        ports.append(port)
    return ports


def _known_ports(item: Found) -> dict[str, str]:
    """Ports that the object shows by itself, with their protocols."""
    spec = item.object["spec"]
    if item.resource.kind == "Service":
        return {str(port["port"]): port.get("protocol", "TCP") for port in spec.get("ports") or ()}
    pod = spec if item.resource.kind == "Pod" else spec["template"]["spec"]
    return {
        str(port["containerPort"]): port.get("protocol", "TCP")
        for container in pod.get("containers") or ()
        for port in container.get("ports") or ()
    }


EXPOSE = Command(
    "expose",
    "expose (-f FILENAME | TYPE NAME) [--port=port] [--protocol=TCP|UDP|SCTP] [--target-port=number-or-name]"
    " [--name=name] [--external-ip=external-ip-of-service] [--type=type]",
    "Expose a resource as a new Kubernetes service.",
    run=run,
    flags=FLAGS,
    examples="""
  # A load balancer in front of a ReplicationController
  {program} expose rc kubia --type=LoadBalancer --name kubia-http
""",
)
