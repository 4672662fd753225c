"""What the cluster is and serves: `cluster-info`, `api-resources`, `api-versions`, `version`."""

from __future__ import annotations

import json
from typing import Any

from services.api import kinds
from services.api.errors import ApiError
from services.kubectl import served
from services.kubectl.commands.registry import Command
from services.kubectl.errors import Fail
from services.kubectl.flags import Flag, boolean, text, texts
from services.kubectl.output.columns import align
from services.kubectl.session import Session

Json = dict[str, Any]

CLIENT_VERSION = "v1.36.2"
KUSTOMIZE_VERSION = "v5.8.1"


async def cluster_info(session: Session) -> None:
    if session.args[:1] == ["dump"]:
        raise Fail(f"{session.world.program} has no cluster-info dump; kubectl has")
    resource = next(kinds.lookup("services"))
    labels = "kubernetes.io/cluster-service=true"
    services = await session.client.list(resource, "kube-system", labels=labels)
    base = https_url(session.address, _record(session))
    session.print(f"Kubernetes control plane is running at {base}")
    for service in services:
        metadata = service["metadata"]
        name = (metadata.get("labels") or {}).get("kubernetes.io/name") or metadata["name"]
        session.print(f"{name} is running at {service_url(service, base)}")
    session.print("\nTo further debug and diagnose cluster problems, use 'kubectl cluster-info dump'.")


def _record(session: Session) -> Json:
    try:
        record = json.loads((session.world.home() / "cluster.json").read_text())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def https_url(address: str, record: Json) -> str:
    """Where others reach the server that `ok` asks over gRPC; its gRPC address where no other is known."""
    port = (record.get("ports") or {}).get("apiserver-https")
    if not port or record.get("apiserver") != address:
        return f"grpc://{address}"
    return f"https://{address.rpartition(':')[0]}:{port}"


def service_url(service: Json, base: str) -> str:
    """At its load balancer, or through the API server's proxy."""
    ports = service["spec"].get("ports") or []
    if ingress := (service.get("status") or {}).get("loadBalancer", {}).get("ingress"):
        host = ingress[0].get("ip") or ingress[0].get("hostname", "")
        return "".join(f"http://{host}:{port['port']} " for port in ports)
    name = service["metadata"]["name"]
    if ports:
        port = ports[0].get("name", "")
        if port == "https" or ports[0]["port"] == 443:
            name = f"https:{name}:{port}"
        elif port:
            name = f"{name}:{port}"
    return f"{base}/api/v1/namespaces/{service['metadata']['namespace']}/services/{name}/proxy"


def client_version() -> Json:
    import platform

    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return {
        "major": "1",
        "minor": "36",
        "gitVersion": CLIENT_VERSION,
        "platform": f"{platform.system().lower()}/{machine}",
    }


async def version(session: Session) -> None:
    flags = session.flags
    if flags["output"] not in ("", "json", "yaml"):
        raise Fail("--output must be 'yaml' or 'json'")
    report: Json = {"clientVersion": client_version(), "kustomizeVersion": KUSTOMIZE_VERSION}
    failed: ApiError | None = None
    if not flags["client"]:
        try:
            report["serverVersion"] = await session.client.version()
        except ApiError as error:
            failed = error
    if flags["output"]:
        from services.kubectl.output import printers

        session.write(
            printers.structured(flags["output"])(report) + ("\n" if flags["output"] == "yaml" else "")
        )
    else:
        session.print(f"Client Version: {CLIENT_VERSION}\nKustomize Version: {KUSTOMIZE_VERSION}")
        if "serverVersion" in report:
            session.print(f"Server Version: {report['serverVersion'].get('gitVersion', '')}")
    if failed is not None:
        raise failed


def _no_arguments(session: Session) -> None:
    if session.args:
        raise session.usage_error(f"unexpected arguments: [{' '.join(session.args)}]")


async def api_versions(session: Session) -> None:
    _no_arguments(session)
    await served.ask(session.client)
    versions = {resource.api_version for resource in (*served.everything(), *kinds.UNSTORED)}
    for name in sorted(versions):
        session.print(name)


async def api_resources(session: Session) -> None:
    _no_arguments(session)
    flags = session.flags
    if flags["output"] not in ("", "wide", "name"):
        raise Fail(f"--output {flags['output']} is not available")
    if flags["sort-by"] not in ("", "name", "kind"):
        raise Fail("--sort-by accepts only name or kind")
    await served.ask(session.client)
    chosen = [resource for resource in (*served.preferred(), *kinds.UNSTORED) if _matches(resource, session)]
    if flags["sort-by"]:
        chosen.sort(key=lambda r: r.plural if flags["sort-by"] == "name" else r.kind)
    else:
        chosen.sort(key=lambda r: (r.group, r.plural))
    if flags["output"] == "name":
        for resource in chosen:
            session.print(resource.qualified)
        return
    wide = flags["output"] == "wide"
    rows = [_row(resource, wide=wide) for resource in chosen]
    if not flags["no-headers"]:
        head = ["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"]
        rows.insert(0, [*head, "VERBS", "CATEGORIES"] if wide else head)
    for line in align(rows):
        session.print(line)


def _matches(resource: kinds.Resource, session: Session) -> bool:
    flags = session.flags
    if flags.changed("api-group") and resource.group != flags["api-group"]:
        return False
    if flags.changed("namespaced") and resource.namespaced != flags["namespaced"]:
        return False
    if flags["categories"] and not set(flags["categories"]) <= set(resource.categories):
        return False
    return set(flags["verbs"]) <= set(resource.verbs)


def _row(resource: kinds.Resource, *, wide: bool) -> list[str]:
    row = [
        resource.plural,
        ",".join(resource.short_names),
        resource.api_version,
        "true" if resource.namespaced else "false",
        resource.kind,
    ]
    return [*row, ",".join(resource.verbs), ",".join(resource.categories)] if wide else row


CLUSTER_INFO = Command(
    "cluster-info",
    "cluster-info",
    "Display addresses of the control plane and services with label kubernetes.io/cluster-service=true.",
    run=cluster_info,
)
VERSION = Command(
    "version",
    "version",
    "Print the client and server version information for the current context.",
    run=version,
    flags=(
        boolean("client", "Only the client's"),
        text("output", "json or yaml", short="o"),
    ),
)
API_VERSIONS = Command(
    "api-versions",
    "api-versions",
    'Print the supported API versions on the server, in the form of "group/version".',
    run=api_versions,
)
_RESOURCE_FLAGS: tuple[Flag, ...] = (
    text("api-group", "Only of this group"),
    boolean("cached", "Accepted for compatibility"),
    texts("categories", "Only in these categories"),
    boolean("namespaced", "Only with, or only without, a namespace", default=True),
    boolean("no-headers", "Leave the headers out"),
    text("output", "wide or name", short="o"),
    text("sort-by", "name or kind"),
    texts("verbs", "Only with these verbs"),
)
API_RESOURCES = Command(
    "api-resources",
    "api-resources",
    "Print the supported API resources on the server.",
    run=api_resources,
    flags=_RESOURCE_FLAGS,
)
