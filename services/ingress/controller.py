"""The ingress controller's knowledge: what its watches hold, as answers for each request; and what it tells.

Ingresses of its class become a routing table whenever one of them changes; endpoints and Secrets are looked
up when a request needs them. It writes the address of its own Service into the status of its Ingresses and an
Event for each that it takes in. While the API server is away what is known stays in force.
Upstream: ingress-nginx.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random

from services.api.core_v1 import Secret, Service
from services.api.discovery_v1 import EndpointSlice
from services.api.errors import ApiError, is_not_found
from services.api.networking_v1 import Ingress, IngressClass
from services.api.object import ObjectKey
from services.client.client import Client
from services.client.informer import InformerFactory
from services.client.log import Logger
from services.client.recorder import EventRecorder
from services.ingress import routing
from services.ingress.certificates import Certificates, self_signed
from services.ingress.routing import Backend, Compile, Decision, Routing
from services.machinery.backoff import Backoff
from services.machinery.clock import Clock

COMPONENT = "nginx-ingress-controller"
CLASS_ANNOTATION = "kubernetes.io/ingress.class"
SERVICE_NAME = "kubernetes.io/service-name"
BY_SERVICE = "service-name"
SETTLE_SECONDS = 0.05  # Changes of one moment make one new table.
RETRY_SECONDS, RETRY_SECONDS_MAX = 1.0, 60.0

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Settings:
    """The flags of the program. `publish` names the Service whose address goes into the status."""

    class_name: str = "nginx"
    controller: str = "k8s.io/ingress-nginx"
    publish: ObjectKey | None = None
    without_class: bool = False  # --watch-ingress-without-class


class IngressController:
    """`run` must be running; `ready` is set once requests can be answered. `tell` hears lines for its log."""

    def __init__(
        self,
        client: Client,
        clock: Clock,
        random: Random,
        log: Logger,
        settings: Settings,
        compile: Compile,
        tell: Callable[[str], None],
    ) -> None:
        self._client, self._clock, self._log = client, clock, log
        self._settings, self._compile, self._tell = settings, compile, tell
        self._informers = InformerFactory(client, clock, random, log)
        self._recorder = EventRecorder(client, clock, COMPONENT, log=log)
        self._ingresses = self._informers.informer(Ingress)
        self._classes = self._informers.informer(IngressClass)
        self._services = self._informers.informer(Service)
        self._slices = self._informers.informer(EndpointSlice)
        self._secrets = self._informers.informer(Secret)
        self._slices.store.add_index(BY_SERVICE, _service_of)
        self._routing = Routing()
        self._stale = True
        self._turns: dict[Backend, int] = {}
        self._dirty, self.ready = asyncio.Event(), asyncio.Event()
        self.certificates: Certificates | None = None  # until `make_certificates`
        self._subscribe()

    # -- what requests ask -----------------------------------------------------------------------

    def decide(self, host: str, target: str, *, secure: bool) -> Decision:
        return routing.decide(self._routing, host, target, secure=secure)

    def endpoints(self, backend: Backend) -> list[Address]:
        """In the order in which they are to be tried: each is the first in its turn."""
        service = self._services.store.get(backend.service)
        port = _port_of(service, backend.port) if service is not None else None
        if port is None:
            return []
        key = f"{backend.service.namespace}/{backend.service.name}"
        found = sorted(set(_ready(self._slices.store.by_index(BY_SERVICE, key), port)))
        if not found:
            return []
        turn = self._turns[backend] = (self._turns.get(backend, -1) + 1) % len(found)
        return [*found[turn:], *found[:turn]]

    async def make_certificates(self) -> Certificates:
        pair = await asyncio.to_thread(self_signed, self._clock.now())
        if self.certificates is None:
            self.certificates = Certificates(pair, self._secret_for, self._bad_secret)
        return self.certificates

    # -- watching --------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._informers.run())
            group.create_task(self._recorder.run())
            for informer in (self._ingresses, self._classes, self._services, self._slices, self._secrets):
                await informer.wait_synced()
            self._rebuild()
            self.ready.set()
            for ingress in self._mine():
                self._take_in(ingress)
            await self._keep()

    async def _keep(self) -> None:
        backoff = Backoff(RETRY_SECONDS, RETRY_SECONDS_MAX)
        while True:
            failed = not await self._publish()
            try:
                async with self._clock.timeout(backoff.next() if failed else None):
                    await self._dirty.wait()
            except TimeoutError:
                continue
            self._dirty.clear()
            backoff = Backoff(RETRY_SECONDS, RETRY_SECONDS_MAX)
            await self._clock.sleep(SETTLE_SECONDS)
            self._rebuild()

    def _rebuild(self) -> None:
        if not self._stale:
            return
        self._stale, mine = False, self._mine()
        self._routing = routing.build(mine, self._compile)
        self._turns.clear()
        self._tell(f'"Backend successfully reloaded" ingresses={len(mine)}')

    def _mine(self) -> list[Ingress]:
        return [ingress for ingress in self._ingresses.store.list() if self.is_mine(ingress)]

    def is_mine(self, ingress: Ingress) -> bool:
        """By the class, the annotation from before there were classes, or for want of both."""
        name = ingress.spec.ingress_class_name
        if name:
            found = self._classes.store.get(ObjectKey("", name))
            return found is not None and found.spec.controller == self._settings.controller
        annotation = ingress.metadata.annotations.get(CLASS_ANNOTATION)
        if annotation is not None:
            return annotation == self._settings.class_name
        return self._settings.without_class

    def _subscribe(self) -> None:
        def changed(*_: object) -> None:
            self._stale = True
            self._dirty.set()

        self._ingresses.add_handler(
            lambda ingress, _: self._see(None, ingress),
            lambda old, new, _: self._see(old, new),
            changed,
        )
        self._classes.add_handler(changed, changed, changed)
        self._services.add_handler(
            lambda service, _: self._see_service(service), lambda _, service, __: self._see_service(service)
        )

    def _see(self, old: Ingress | None, new: Ingress) -> None:
        same = old is not None and (old.spec, old.metadata.annotations) == (
            new.spec,
            new.metadata.annotations,
        )
        if not same:
            self._stale = True
            if self.ready.is_set() and self.is_mine(new):
                self._take_in(new)
        self._dirty.set()

    def _take_in(self, ingress: Ingress) -> None:
        self._recorder.event(ingress, "Normal", "Sync", "Scheduled for sync")
        self._tell(f'"Configuration changes detected, backend reload required" ingress="{ingress.key}"')

    def _see_service(self, service: Service) -> None:
        if service.key == self._settings.publish:
            self._dirty.set()

    # -- certificates ----------------------------------------------------------------------------

    def _secret_for(self, host: str) -> Secret | None:
        key = self._routing.secret(host)
        return self._secrets.store.get(key) if key is not None else None

    def _bad_secret(self, key: ObjectKey, why: str) -> None:
        self._tell(f'"Error getting SSL certificate" secret="{key}" reason="{why}"; the default one is used')

    # -- status ----------------------------------------------------------------------------------

    async def _publish(self) -> bool:
        """Every Ingress of ours says where it can be reached. False where it has to be tried again."""
        if self._settings.publish is None:
            return True
        wanted = _addresses(self._services.store.get(self._settings.publish))
        done = True
        for ingress in self._mine():
            if _published(ingress) != wanted:
                done = await self._write(ingress, wanted) and done
        return done

    async def _write(self, ingress: Ingress, wanted: list[dict[str, str]]) -> bool:
        patch = {"status": {"loadBalancer": {"ingress": wanted}}}
        try:
            await self._client.patch(
                Ingress, ingress.key.name, ingress.key.namespace, patch, subresource="status"
            )
        except ApiError as error:
            if not is_not_found(error):
                self._log.warning(
                    "Cannot write an Ingress' status", kind="Ingress", namespace=ingress.key.namespace,
                    name=ingress.key.name, reason=error.message,
                )  # fmt: skip
                return False
        return True


def _service_of(slice_: EndpointSlice) -> list[str]:
    name = slice_.metadata.labels.get(SERVICE_NAME)
    return [f"{slice_.key.namespace}/{name}"] if name else []


def _port_of(service: Service, wanted: int | str) -> str | None:
    """The name of the Service's port, which its endpoints have too; None where it has no such port."""
    for port in service.spec.ports:
        if wanted in (port.name, port.port):
            return port.name or ""
    return None


def _ready(slices: Iterable[EndpointSlice], port_name: str) -> Iterable[Address]:
    for slice_ in slices:
        number = next((each.port for each in slice_.ports if (each.name or "") == port_name), None)
        for endpoint in slice_.endpoints:
            conditions = endpoint.conditions
            ready = conditions is None or conditions.ready is None or conditions.ready
            if number and ready:
                yield from ((address, number) for address in endpoint.addresses)


def _addresses(service: Service | None) -> list[dict[str, str]]:
    if service is None:
        return []
    if service.spec.type == "LoadBalancer":
        status = service.status.load_balancer
        return [_point(each.ip, each.hostname) for each in (status.ingress if status else ())]
    ips = service.spec.external_ips or [service.spec.cluster_ip or ""]
    return [{"ip": ip} for ip in ips if ip and ip != "None"]


def _published(ingress: Ingress) -> list[dict[str, str]]:
    status = ingress.status.load_balancer
    return [_point(each.ip, each.hostname) for each in (status.ingress if status else ())]


def _point(ip: str | None, hostname: str | None) -> dict[str, str]:
    return {name: value for name, value in (("ip", ip), ("hostname", hostname)) if value}
