"""Where a request through `proxy` goes: which port of which Pod, and the path there. Pure.

Names are `[scheme:]name[:port]`. Upstream: `pkg/registry/core/{pod,service}/strategy.go`, ResourceLocation.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from services.api import errors

Json = dict[str, Any]
_OF_PROXIES = ("proxy-authenticate", "proxy-authorization", "proxy-connection")
HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", *_OF_PROXIES, "te", "trailer", "transfer-encoding", "upgrade")
)
OURS = frozenset(("authorization", "host"))  # for the API server, and nobody behind it
IMPERSONATION = "impersonate-"  # likewise: whoever is behind hears of the one in whose name it is asked


@dataclass(frozen=True, slots=True)
class Named:
    scheme: str
    name: str
    port: str


@dataclass(frozen=True, slots=True)
class Backend:
    pod: str
    port: int
    host: str  # as the Pod sees itself addressed
    tls: bool


def split(text: str, what: str) -> Named:
    """ApiError (400)."""
    match text.split(":"):
        case [name] if name:
            return Named("http", name, "")
        case [name, port] if name:
            return Named("http", name, port)
        case [("http" | "https" | "") as scheme, name, port] if name:
            return Named(scheme or "http", name, port)
    raise errors.bad_request(f'invalid {what} request "{text}"')


def of_pod(named: Named, pod: Json) -> Backend:
    """The port that is meant, else the first that a container declares. ApiError (400)."""
    port = named.port
    if not port:
        declared = (each for c in pod["spec"].get("containers") or () for each in c.get("ports") or ())
        port = str(next((each["containerPort"] for each in declared), _default_port(named)))
    return _backend(named, named.name, (pod.get("status") or {}).get("podIP", ""), port)


def service_port(named: Named, service: Json) -> str:
    """The name of the Service's port that is meant. ApiError (503)."""
    if not named.port.isdigit():
        return named.port
    for port in service["spec"].get("ports") or ():
        if port["port"] == int(named.port):
            return str(port.get("name", ""))
    raise errors.unavailable(f'no service port {named.port} found for service "{named.name}"')


def of_service(named: Named, port: str, slices: Iterable[Json], chance: random.Random) -> Backend:
    """One of the ready Pods behind it. ApiError (503)."""
    found = []
    for each in slices:
        number = next((p["port"] for p in each.get("ports") or () if (p.get("name") or "") == port), None)
        if number is None:
            continue
        for endpoint in each.get("endpoints") or ():
            target = endpoint.get("targetRef") or {}
            if (endpoint.get("conditions") or {}).get("ready", True) and target.get("kind") == "Pod":
                found.append((target["name"], endpoint["addresses"][0], number))
    if not found:
        raise errors.unavailable(f'no endpoints available for service "{named.name}"')
    pod, address, number = chance.choice(found)
    return _backend(named, pod, address, str(number))


def _backend(named: Named, pod: str, address: str, port: str) -> Backend:
    if not port.isascii() or not port.isdigit() or not 0 < int(port[:6]) < 65536:
        raise errors.bad_request(f'invalid port "{port}"')
    host = f"[{address}]:{port}" if ":" in address else f"{address or pod}:{port}"
    return Backend(pod, int(port), host, named.scheme == "https")


def _default_port(named: Named) -> int:
    return 443 if named.scheme == "https" else 80


def headers_to_pass(headers: Iterable[tuple[str, str]], drop: frozenset[str] = OURS) -> list[tuple[str, str]]:
    """Without those that concern one connection only, the ones that `Connection` names included."""
    pairs = list(headers)
    named = {
        each.strip().lower() for name, value in pairs if name.lower() == "connection"
        for each in value.split(",")
    }  # fmt: skip
    dropped = HOP_BY_HOP | named | drop
    return [
        (name, value)
        for name, value in pairs
        if name.lower() not in dropped and not name.lower().startswith(IMPERSONATION)
    ]


def relocated(location: str, host: str, prefix: str) -> str:
    """A redirect of the Pod, as whoever is on this side can follow it."""
    for start in (f"http://{host}", f"https://{host}"):
        if location == start or location.startswith(f"{start}/"):
            location = location[len(start) :] or "/"
    return prefix + location if location.startswith("/") and not location.startswith("//") else location
