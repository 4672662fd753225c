"""Services of the four types from a name and ports."""

from __future__ import annotations

from typing import Any

from services.kubectl.errors import Fail
from services.kubectl.flags import Flag, integer, text, texts
from services.kubectl.session import Session

Json = dict[str, Any]

_TCP = texts("tcp", "port:targetPort pairs")
_TYPES = {
    "clusterip": "ClusterIP",
    "externalname": "ExternalName",
    "loadbalancer": "LoadBalancer",
    "nodeport": "NodePort",
}

# kind, usage, sentence, flags
COMMANDS: tuple[tuple[str, str, str, tuple[Flag, ...]], ...] = (
    (
        "clusterip",
        "clusterip NAME [--tcp=<port>:<targetPort>]",
        "Create a ClusterIP service.",
        (_TCP, text("clusterip", "The cluster IP, or None for a headless service")),
    ),
    (
        "externalname",
        "externalname NAME --external-name external.name",
        "Create an ExternalName service.",
        (_TCP, text("external-name", "The name that the service stands for", required=True)),
    ),
    ("loadbalancer", "loadbalancer NAME [--tcp=port:targetPort]", "Create a LoadBalancer service.", (_TCP,)),
    (
        "nodeport",
        "nodeport NAME [--tcp=port:targetPort]",
        "Create a NodePort service.",
        (_TCP, integer("node-port", "The port on every node; 0 lets the server choose")),
    ),
)


def service(session: Session, name: str) -> Json:
    kind = session.command.rpartition(" ")[2]
    flags = session.flags
    headless = flags.get("clusterip") == "None"
    if not flags["tcp"] and kind != "externalname" and not headless:
        raise Fail("at least one tcp port specifier must be provided")
    if flags["tcp"] and headless and kind != "clusterip":
        raise Fail("can not map ports with clusterip=None")
    spec: Json = {"type": _TYPES[kind], "selector": {"app": name}}
    ports = [_port(pair, flags.get("node-port") or 0) for pair in flags["tcp"]]
    if ports:
        spec["ports"] = ports
    if flags.get("clusterip"):
        spec["clusterIP"] = flags["clusterip"]
    if kind == "externalname":
        spec["externalName"] = flags["external-name"]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": spec,
        "status": {"loadBalancer": {}},
    }


def _port(pair: str, node_port: int) -> Json:
    first, colon, second = pair.partition(":")
    port = _number(first)
    target: int | str = port
    if colon:
        target = int(second) if second.isdigit() else second
    entry: Json = {
        "name": pair.replace(":", "-"),
        "port": port,
        "targetPort": target,
        "protocol": "TCP",
    }
    if node_port:
        entry["nodePort"] = node_port
    return entry


def _number(text: str) -> int:
    if not text.isdigit():
        raise Fail(f'strconv.Atoi: parsing "{text}": invalid syntax')
    if not 0 < int(text) < 65536:
        raise Fail("must be between 1 and 65535, inclusive")
    return int(text)
