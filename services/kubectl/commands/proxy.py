"""`proxy`: the API server on a plain HTTP port of this machine, until Ctrl-C."""

from __future__ import annotations

import asyncio
import base64
import ssl
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from services.api import kinds
from services.api.errors import failure
from services.kubectl import forwarded_ports, pod_connection
from services.kubectl.api_proxy import HEAD_BYTES_MAX, ApiProxy, Proxied
from services.kubectl.commands.port_forward import on_interrupt
from services.kubectl.commands.registry import Command
from services.kubectl.errors import Fail
from services.kubectl.flags import Flag, integer, text
from services.kubectl.session import Json, Session

FLAGS: tuple[Flag, ...] = (
    integer("port", "The port to listen on; 0 chooses one", default=8001, short="p"),
    text("address", "The IP address to listen on", default="127.0.0.1"),
    text("api-prefix", "Under which path the API is", default="/"),
)


async def run(session: Session) -> None:
    flags = session.flags
    if not 0 <= flags["port"] <= forwarded_ports.PORT_MAX:
        raise Fail(f"listen tcp: address {flags['port']}: invalid port")
    host, port, tls = _server(session)

    async def dial() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(host, port, ssl=tls)

    async def locate(part: Proxied) -> tuple[str, int]:
        return await _locate(session, part)

    prefix = "/" + flags["api-prefix"].strip("/") + "/" if flags["api-prefix"].strip("/") else "/"
    over = asyncio.Event()
    async with pod_connection.through(session.address, session.credentials) as connections:
        proxy = ApiProxy(dial, f"{host}:{port}", locate, connections, prefix)
        try:
            server = await asyncio.start_server(
                proxy.serve, flags["address"], flags["port"], limit=HEAD_BYTES_MAX
            )
        except OSError as error:
            why = str(error.strerror or error).rpartition(": ")[2].lower()
            raise Fail(f"listen tcp {flags['address']}:{flags['port']}: bind: {why}") from error
        address = server.sockets[0].getsockname()
        session.print(f"Starting to serve on {address[0]}:{address[1]}")
        session.world.out.flush()
        with on_interrupt(over.set):
            await over.wait()
        server.close()


def _server(session: Session) -> tuple[str, int, ssl.SSLContext | None]:
    """Where the API server's HTTPS port is, and who we are there: as the cluster's kubeconfig says."""
    import yaml

    path = session.world.home() / "kubeconfig"
    try:
        config = yaml.safe_load(path.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        url = urlsplit(cluster["server"])
        tls = _context(cluster, user) if url.scheme == "https" else None
    except (OSError, yaml.YAMLError, KeyError, IndexError, TypeError, ValueError) as error:
        raise Fail(f"no usable kubeconfig at {path}: start the cluster with `orrery up` ({error})") from error
    return url.hostname or "127.0.0.1", url.port or 443, tls


def _context(cluster: dict[str, Any], user: dict[str, Any]) -> ssl.SSLContext:
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=authority)
    # The library reads keys from files only.
    with tempfile.TemporaryDirectory(prefix="orrery-proxy-") as folder:
        certificate, key = Path(folder, "client.crt"), Path(folder, "client.key")
        certificate.write_bytes(base64.b64decode(user["client-certificate-data"]))
        key.write_bytes(base64.b64decode(user["client-key-data"]))
        context.load_cert_chain(certificate, key)
    return context


async def _locate(session: Session, part: Proxied) -> tuple[str, int]:
    if part.scheme == "https":
        raise failure(400, "BadRequest", "https: is not carried here; use port-forward")
    if part.resource == "pods":
        pod = await session.client.get(_resource("v1", "Pod"), part.name, part.namespace)
        return part.name, _pod_port(pod, part.port)
    return await _endpoint(session, part)


def _pod_port(pod: Json, word: str) -> int:
    if word:
        try:
            return forwarded_ports.of_object("Pod", pod, pod, [word])[0].remote
        except Fail as error:
            raise failure(400, "BadRequest", str(error)) from error
    ports = [port for one in pod["spec"]["containers"] for port in one.get("ports") or ()]
    return int(ports[0]["containerPort"]) if ports else 80


async def _endpoint(session: Session, part: Proxied) -> tuple[str, int]:
    """A ready Pod behind the Service; any, as the API server takes one."""
    service = await session.client.get(_resource("v1", "Service"), part.name, part.namespace)
    declared = service["spec"].get("ports") or []
    chosen = [port for port in declared if part.port in (port.get("name", ""), str(port["port"]))]
    if not part.port and len(declared) == 1:
        chosen = declared
    if not chosen:
        what = f'no service port "{part.port}" found for service "{part.name}"'
        raise failure(503, "ServiceUnavailable", what)
    labels = f"kubernetes.io/service-name={part.name}"
    resource = _resource("discovery.k8s.io/v1", "EndpointSlice")
    slices = await session.client.list(resource, part.namespace, labels=labels)
    found = [place for one in slices for place in _ready(one, chosen[0].get("name") or "")]
    if not found:
        what = f'no endpoints available for service "{part.name}"'
        raise failure(503, "ServiceUnavailable", what)
    place: tuple[str, int] = session.world.random.choice(found)
    return place


def _ready(slice_: Json, port_name: str) -> list[tuple[str, int]]:
    ports = slice_.get("ports") or ()
    number = next((int(port["port"]) for port in ports if (port.get("name") or "") == port_name), 0)
    return [
        (endpoint["targetRef"]["name"], number)
        for endpoint in slice_.get("endpoints") or ()
        if number and endpoint.get("targetRef") and (endpoint.get("conditions") or {}).get("ready", True)
    ]


def _resource(api_version: str, kind: str) -> kinds.Resource:
    resource = kinds.resource_of_kind(api_version, kind)
    assert resource is not None
    return resource


PROXY = Command(
    "proxy",
    "proxy [--port=PORT] [--address=IP] [--api-prefix=prefix]",
    "Creates a proxy server between localhost and the Kubernetes API server.",
    run=run,
    flags=FLAGS,
    examples="""
  # The API, for curl and browsers
  {program} proxy --port=8001
  curl http://localhost:8001/api/v1/namespaces/default/pods

  # A Service's pages
  curl http://localhost:8001/api/v1/namespaces/default/services/kubia:80/proxy/
""",
)
