"""Lookups of containers: along the search path, to CoreDNS on another node, and what happens without one."""

from __future__ import annotations

import errno
from random import Random

import pytest

from services.dns.answering import Responder
from services.dns.zone import Zone
from services.node.network.names import Library, Resolver, candidates
from services.process.clock import SystemClock
from services.runtime.filesystem import fault
from services.runtime.kernel import Kernel
from services.runtime.model import Dns
from services.runtime.network import LocalNetwork, Namespace
from tests.unit.dns.test_dns import CLUSTER

SEARCHES = ("default.svc.cluster.local", "svc.cluster.local", "cluster.local")
DNS = Dns(("10.96.0.10",), SEARCHES, ("ndots:5",))


def test_few_dots_are_searched_for_first() -> None:
    assert candidates("web", DNS)[0] == "web.default.svc.cluster.local."
    assert candidates("web.other", DNS)[1] == "web.other.svc.cluster.local."
    assert candidates("web", DNS)[-1] == "web."
    assert candidates("a.b.c.d.e.f", DNS)[0] == "a.b.c.d.e.f."
    assert candidates("web.", DNS) == ["web."]
    assert candidates("a.b", Dns(("10.0.0.1",), ("x.y",), ()))[0] == "a.b."


class Wire(LocalNetwork):
    """Hands every datagram to one responder, or to nobody."""

    def __init__(self, kernel: Kernel, answers: bool = True) -> None:
        super().__init__(kernel)
        self.asked = 0
        self._answers = answers
        self._responder = Responder(Zone(CLUSTER), Random(1).shuffle)

    async def exchange(self, source: Namespace, ip: str, port: int, data: bytes) -> bytes:
        self.asked += 1
        assert (ip, port) == ("10.96.0.10", 53)
        if not self._answers:
            raise fault(errno.ECONNREFUSED)
        return self._responder.answer(data, source.ip)


async def resolve(name: str, *, answers: bool = True, dns: Dns | None = DNS) -> tuple[list[str], int]:
    kernel = Kernel(SystemClock())
    wire = Wire(kernel, answers)
    source = Namespace("10.244.1.5", "pod", "n1", dns=dns)
    return await kernel.call(Resolver(wire, Library(kernel)).resolve(source, name)), wire.asked


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("web", ["10.96.0.20"]),
        ("web.default", ["10.96.0.20"]),
        ("web.default.svc.cluster.local", ["10.96.0.20"]),
        ("alias", ["10.96.0.20"]),
        ("nope", []),
        ("example.com", []),
        ("." * 300, []),
        ("bad..name", []),
    ],
)
async def test_names_resolve_as_in_a_pod(name: str, wanted: list[str]) -> None:
    assert (await resolve(name))[0] == wanted


async def test_without_a_name_server_nothing_is_known_and_nobody_waits() -> None:
    assert await resolve("web", answers=False) == ([], 1)
    assert await resolve("web", dns=None) == ([], 0)
