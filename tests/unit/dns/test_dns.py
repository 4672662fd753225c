"""Cluster DNS: names, the Corefile, and the bytes of queries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import dns.flags
import dns.message
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api.core_v1 import Service, ServicePort, ServiceSpec
from services.api.discovery_v1 import Endpoint, EndpointConditions, EndpointPort, EndpointSlice
from services.api.meta_v1 import ObjectMeta
from services.dns import corefile
from services.dns.answering import Responder
from services.dns.corefile import BadCorefile
from services.dns.zone import Code, Settings, Zone

HTTP = ServicePort(name="http", port=80, protocol="TCP")


def service(name: str, ip: str = "10.96.0.20", ports: Sequence[ServicePort] = (HTTP,)) -> Service:
    spec = ServiceSpec(cluster_ip=ip, cluster_ips=[ip], ports=[*ports])
    return Service(metadata=ObjectMeta(name=name, namespace="default"), spec=spec)


def external(name: str, target: str) -> Service:
    spec = ServiceSpec(type="ExternalName", external_name=target)
    return Service(metadata=ObjectMeta(name=name, namespace="default"), spec=spec)


class Cluster:
    """A cluster of one namespace."""

    def __init__(self, *services: Service, endpoints: Iterable[Endpoint] = ()) -> None:
        self._services = {each.metadata.name: each for each in services}
        labels = {"kubernetes.io/service-name": "db"}
        self._slice = EndpointSlice(
            metadata=ObjectMeta(name="db-1", namespace="default", labels=labels),
            address_type="IPv4",
            endpoints=[*endpoints],
            ports=[EndpointPort(name="http", port=8080, protocol="TCP")],
        )

    def service(self, namespace: str, name: str) -> Service | None:
        return self._services.get(name) if namespace == "default" else None

    def slices(self, namespace: str, service: str) -> Sequence[EndpointSlice]:
        return [self._slice] if service == "db" else []

    def has_namespace(self, name: str) -> bool:
        return name == "default"

    def services_at(self, ip: str) -> Iterable[Service]:
        return [each for each in self._services.values() if each.spec.cluster_ip == ip]

    def endpoints_at(self, ip: str) -> Iterable[tuple[EndpointSlice, Endpoint]]:
        return [(self._slice, each) for each in self._slice.endpoints if ip in each.addresses]


ENDPOINTS = [
    Endpoint(addresses=["10.244.1.2"], hostname="db-0"),
    Endpoint(addresses=["10.244.2.3"]),
    Endpoint(addresses=["10.244.3.4"], conditions=EndpointConditions(ready=False)),
]
CLUSTER = Cluster(
    service("web"),
    service("db", "None"),
    external("out", "example.com"),
    external("alias", "web.default.svc.cluster.local"),
    endpoints=ENDPOINTS,
)
ZONE = Zone(CLUSTER)
SVC = "default.svc.cluster.local"


def values(name: str, kind: str = "A", zone: Zone = ZONE) -> list[str] | str:
    answer = zone.lookup(name, kind)
    return [record.value for record in answer.records] if answer.code is Code.OK else answer.code.name


@pytest.mark.parametrize(
    ("name", "kind", "wanted"),
    [
        (f"web.{SVC}", "A", ["10.96.0.20"]),
        (f"WEB.{SVC}.", "A", ["10.96.0.20"]),
        (f"web.{SVC}", "AAAA", []),
        (f"nope.{SVC}", "A", "NO_SUCH_NAME"),
        ("web.other.svc.cluster.local", "A", "NO_SUCH_NAME"),
        (SVC, "A", []),
        ("cluster.local", "A", []),
        (f"_http._tcp.web.{SVC}", "SRV", [f"0 100 80 web.{SVC}"]),
        (f"_nope._tcp.web.{SVC}", "SRV", "NO_SUCH_NAME"),
        (f"db.{SVC}", "A", ["10.244.1.2", "10.244.2.3"]),
        (f"db-0.db.{SVC}", "A", ["10.244.1.2"]),
        (f"10-244-2-3.db.{SVC}", "A", ["10.244.2.3"]),
        (f"10-244-3-4.db.{SVC}", "A", "NO_SUCH_NAME"),
        (f"_http._tcp.db.{SVC}", "SRV", [f"0 50 8080 db-0.db.{SVC}", f"0 50 8080 10-244-2-3.db.{SVC}"]),
        (f"x.web.{SVC}", "A", "NO_SUCH_NAME"),
        (f"out.{SVC}", "CNAME", ["example.com"]),
        (f"out.{SVC}", "A", ["example.com"]),
        (f"alias.{SVC}", "A", [f"web.{SVC}", "10.96.0.20"]),
        ("10-244-9-9.default.pod.cluster.local", "A", ["10.244.9.9"]),
        ("10-244-9-9.other.pod.cluster.local", "A", "NO_SUCH_NAME"),
        ("999-1-1-1.default.pod.cluster.local", "A", "NO_SUCH_NAME"),
        ("20.0.96.10.in-addr.arpa", "PTR", [f"web.{SVC}"]),
        ("2.1.244.10.in-addr.arpa", "PTR", [f"db-0.db.{SVC}"]),
        ("1.1.1.1.in-addr.arpa", "PTR", "NO_SUCH_NAME"),
        ("x.in-addr.arpa", "PTR", "NO_SUCH_NAME"),
        ("dns-version.cluster.local", "TXT", ["1.1.0"]),
        ("example.com", "A", "SERVER_FAILURE"),
    ],
)
def test_names(name: str, kind: str, wanted: list[str] | str) -> None:
    assert values(name, kind) == wanted


def test_a_headless_service_without_endpoints_does_not_exist() -> None:
    assert values(f"db.{SVC}", zone=Zone(Cluster(service("db", "None")))) == "NO_SUCH_NAME"


def test_an_alias_of_itself_ends() -> None:
    loop = Zone(Cluster(external("a", f"b.{SVC}"), external("b", f"a.{SVC}")))
    found = values(f"a.{SVC}", zone=loop)
    assert isinstance(found, list)
    assert len(found) <= 10


def test_the_corefile_that_comes_with_a_cluster() -> None:
    assert corefile.parse(corefile.DEFAULT) == Settings()


def test_what_people_change_in_a_corefile() -> None:
    text = corefile.DEFAULT.replace("ttl 30", "ttl 5").replace("pods insecure", "pods disabled")
    text = text.replace(
        "    ready\n", "    log\n    hosts {\n      192.0.2.9 old.example.com\n      fallthrough\n    }\n"
    )
    settings = corefile.parse(text)
    assert (settings.ttl, settings.pods, settings.log) == (5, "disabled", True)
    zone = Zone(CLUSTER, lambda: settings)
    assert values("old.example.com", zone=zone) == ["192.0.2.9"]
    assert values("10-244-9-9.default.pod.cluster.local", zone=zone) == "NO_SUCH_NAME"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (".:53 {\n  nonsense\n}", "Corefile:2 - Error during parsing: Unknown directive 'nonsense'"),
        (".:53 {\n  errors\n", "Unexpected EOF, expecting '}'"),
        ("}", "Corefile:1 - Error during parsing: Unexpected '}'"),
        (".:53 {\n kubernetes cluster.local {\n ttl many\n }\n}", "wrong value 'many' for ttl"),
    ],
)
def test_a_bad_corefile_says_where(text: str, why: str) -> None:
    with pytest.raises(BadCorefile, match="Corefile") as raised:
        corefile.parse(text)
    assert why in str(raised.value)


def responder() -> Responder:
    return Responder(ZONE, lambda records: records.reverse())


def ask(name: str, kind: str, *, tcp: bool = False) -> dns.message.Message:
    query = dns.message.make_query(name, kind)
    return dns.message.from_wire(responder().answer(query.to_wire(), tcp=tcp))


def test_a_query_is_answered_with_authority() -> None:
    response = ask(f"web.{SVC}", "A")
    assert response.rcode() == dns.rcode.NOERROR
    assert response.flags & dns.flags.AA
    assert [str(item) for rrset in response.answer for item in rrset] == ["10.96.0.20"]
    assert response.answer[0].ttl == 30


def test_addresses_take_turns() -> None:
    response = ask(f"db.{SVC}", "A")
    assert [str(item) for rrset in response.answer for item in rrset] == ["10.244.2.3", "10.244.1.2"]


def test_nothing_and_nobody_are_told_apart() -> None:
    nothing, nobody = ask(f"web.{SVC}", "AAAA"), ask(f"nope.{SVC}", "A")
    assert (nothing.rcode(), nobody.rcode()) == (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)
    assert [r.rdtype.name for m in (nothing, nobody) for r in m.authority] == ["SOA", "SOA"]


def test_an_answer_too_long_for_udp_is_asked_for_again() -> None:
    many = [Endpoint(addresses=[f"10.244.{n // 250}.{n % 250 + 1}"]) for n in range(300)]
    zone = Zone(Cluster(service("db", "None"), endpoints=many))
    query = dns.message.make_query(f"db.{SVC}", "A").to_wire()
    short = dns.message.from_wire(Responder(zone, lambda _: None).answer(query))
    assert short.flags & dns.flags.TC
    long = dns.message.from_wire(Responder(zone, lambda _: None).answer(query, tcp=True))
    assert sum(len(rrset) for rrset in long.answer) == 300


@given(st.binary(max_size=600))
def test_any_bytes_get_an_answer_or_nothing(data: bytes) -> None:
    answer = responder().answer(data)
    assert answer == b"" or answer[:2] == data[:2]
