"""Which backend a request goes to: the rules of all Ingresses of a class as one table. Pure.

A host that is written out comes before a wildcard, which stands for exactly one label; a host that some
Ingress names never falls back to the rules without a host. Of the paths that match the longest wins, an exact
one before a prefix. What two Ingresses claim belongs to the older one. Follows the Ingress API and
ingress-nginx.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from services.api.networking_v1 import HTTPIngressPath, Ingress, IngressBackend
from services.api.object import ObjectKey
from services.ingress.annotations import NONE_SET, Options, read

ANY_HOST = ""
EXACT, PREFIX = "Exact", "Prefix"
PATH_LENGTH_MAX = 8 * 1024  # of a request; nginx's large_client_header_buffers


class Match(Protocol):
    def group(self, number: int, /) -> Any: ...


class Pattern(Protocol):
    def match(self, text: str) -> Match | None: ...


T = TypeVar("T")
Compile = Callable[[str], Pattern]  # ValueError: no pattern


@dataclass(frozen=True, slots=True)
class Backend:
    """A port of a Service, by number or name."""

    service: ObjectKey
    port: int | str

    def __str__(self) -> str:
        return f"{self.service.namespace}-{self.service.name}-{self.port}"


@dataclass(frozen=True, slots=True)
class Location:
    path: str
    type: str
    backend: Backend | None  # None: something that is no Service
    options: Options = NONE_SET
    pattern: Pattern | None = None

    def matches(self, path: str) -> bool:
        if self.pattern is not None:
            return self.pattern.match(path) is not None
        if self.type == EXACT:
            return path == self.path
        if self.type == PREFIX:
            prefix = self.path.rstrip("/")
            return path == prefix or path.startswith(f"{prefix}/") or not prefix
        return path.startswith(self.path)

    def rewritten(self, path: str) -> str:
        """What the backend is asked for."""
        target = self.options.rewrite_target
        if not target:
            return path
        found = self.pattern.match(path) if self.pattern is not None else None
        for number in range(9, 0, -1):
            value = ""
            if found is not None:
                try:
                    value = found.group(number) or ""
                except IndexError:
                    value = ""
            target = target.replace(f"${number}", value)
        return target if target.startswith("/") else f"/{target}"


@dataclass(slots=True)
class Server:
    """All that is said of one host."""

    host: str
    locations: list[Location] = field(default_factory=list)
    default: Location | None = None
    tls: bool = False

    def location(self, path: str) -> Location | None:
        found = next((location for location in self.locations if location.matches(path)), None)
        return found or self.default


@dataclass(slots=True)
class Routing:
    """The table, and by host the Secret with its certificate."""

    servers: dict[str, Server] = field(default_factory=dict)
    secrets: dict[str, ObjectKey] = field(default_factory=dict)

    def server(self, host: str) -> Server | None:
        return _by_host(self.servers, host) or self.servers.get(ANY_HOST)

    def secret(self, host: str) -> ObjectKey | None:
        return _by_host(self.secrets, host)


def _by_host(table: dict[str, T], host: str) -> T | None:
    return table.get(host) or table.get(f"*.{host.partition('.')[2]}") if host else None


def build(ingresses: Iterable[Ingress], compile: Compile) -> Routing:
    routing = Routing()
    for ingress in sorted(ingresses, key=_age):
        options = read(ingress.metadata.annotations)
        default = _default(ingress, options)
        hosts = [rule.host or ANY_HOST for rule in ingress.spec.rules]
        for rule in ingress.spec.rules:
            server = routing.servers.setdefault(rule.host or ANY_HOST, Server(rule.host or ANY_HOST))
            server.default = server.default or default
            for path in rule.http.paths if rule.http else ():
                _add(server, _location(ingress, path, options, compile))
        if default is not None and not hosts:
            server = routing.servers.setdefault(ANY_HOST, Server(ANY_HOST))
            server.default = server.default or default
        for tls in ingress.spec.tls:
            for host in tls.hosts or hosts:
                if tls.secret_name:
                    secret = ObjectKey(ingress.key.namespace, tls.secret_name)
                    routing.secrets.setdefault(host.lower(), secret)
                if host in routing.servers:
                    routing.servers[host].tls = True
    for server in routing.servers.values():
        server.locations.sort(key=lambda location: (-len(location.path), location.type != EXACT))
    return routing


def _age(ingress: Ingress) -> tuple[str, str, str]:
    return (str(ingress.metadata.creation_timestamp or ""), ingress.key.namespace, ingress.key.name)


def _default(ingress: Ingress, options: Options) -> Location | None:
    backend = ingress.spec.default_backend
    return Location("/", PREFIX, _backend(ingress, backend), options) if backend is not None else None


def _add(server: Server, location: Location) -> None:
    """Unless an older Ingress has that path."""
    if not any((held.path, held.type) == (location.path, location.type) for held in server.locations):
        server.locations.append(location)


def _location(ingress: Ingress, path: HTTPIngressPath, options: Options, compile: Compile) -> Location:
    text = path.path or "/"
    pattern = None
    if (options.use_regex or options.rewrite_target) and path.path_type != EXACT:
        try:
            pattern = compile(text)
        except ValueError:
            pattern = None  # taken as it is written
    return Location(text, path.path_type, _backend(ingress, path.backend), options, pattern)


def _backend(ingress: Ingress, backend: IngressBackend) -> Backend | None:
    service = backend.service
    if service is None or service.port is None:
        return None
    return Backend(
        ObjectKey(ingress.key.namespace, service.name), service.port.name or service.port.number or 0
    )


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a request: an answer at once (`status`), or a backend to ask for `path`."""

    status: int = 0
    location: str = ""
    backend: Backend | None = None
    path: str = ""


def decide(routing: Routing, host: str, target: str, *, secure: bool) -> Decision:
    """`host` as the request names it, `target` its path with the query."""
    name = host_name(host)
    path, mark, query = target.partition("?")
    server = routing.server(name)
    location = server.location(path) if server is not None and len(path) <= PATH_LENGTH_MAX else None
    if server is None or location is None:
        return Decision(404)
    options = location.options
    wants_tls = options.force_ssl_redirect or (options.ssl_redirect and server.tls)
    if not secure and wants_tls:
        return Decision(308, f"https://{name}{target}")
    if options.redirect:
        return Decision(options.redirect_status, options.redirect)
    if options.app_root and path == "/":
        scheme = "https" if secure else "http"
        return Decision(302, f"{scheme}://{name}{options.app_root}")
    if location.backend is None:
        return Decision(503)
    return Decision(backend=location.backend, path=f"{location.rewritten(path)}{mark}{query}")


def host_name(host: str) -> str:
    """Without the port."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0].lower().rstrip(".")
