"""Who stands behind a Service: the plans, and the controllers against the fake API server."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from services.api.core_v1 import (
    Container,
    ContainerPort,
    EndpointAddress,
    Endpoints,
    EndpointSubset,
    Pod,
    PodIP,
    Service,
    ServicePort,
    ServiceSpec,
)
from services.api.core_v1 import EndpointPort as CorePort
from services.api.discovery_v1 import Endpoint, EndpointPort, EndpointSlice
from services.api.errors import already_exists
from services.api.meta_v1 import ObjectMeta
from services.client.transport import Answer, Target, WriteOptions
from services.controller_manager.endpoints import selection, slices, subsets
from services.controller_manager.endpoints.mirroring import MANAGER as MIRRORED
from services.controller_manager.endpoints.slice_controller import MANAGED_BY
from services.controller_manager.endpoints.triggers import Triggers
from services.machinery import conditions, pods
from tests.unit.controller_manager.conftest import Cluster
from tests.unit.controller_manager.objects import pod

ALL = ("endpoints-controller", "endpointslice-controller", "endpointslice-mirroring-controller")
PORT = EndpointPort(name="", port=80, protocol="TCP")


def service(name: str = "web", **fields: object) -> Service:
    spec = ServiceSpec(selector={"app": "w"}, ports=[ServicePort(port=80, target_port=8080)])
    metadata = ObjectMeta(
        name=name, namespace="default", uid=f"uid-{name}", creation_timestamp="2026-01-01T00:00:00Z"
    )
    return Service(metadata=metadata, spec=replace(spec, **fields))


def backend(number: int, *, ready: bool = True, port_name: str = "web") -> Pod:
    made = pod(f"p{number:04d}")
    ports = [ContainerPort(container_port=8080, name=port_name)]
    container = Container(name="c", image="app:1", ports=ports)
    status = replace(made.status, pod_ips=[PodIP(ip=f"10.0.{number // 250}.{number % 250 + 1}")])
    found = [c for c in status.conditions if c.type != "Ready"]
    condition = conditions.get(made.status.conditions, "Ready")
    if condition is not None:
        found.append(replace(condition, status="True" if ready else "False"))
    return replace(
        made,
        spec=replace(made.spec, containers=[container], node_name="n1"),
        status=replace(status, conditions=found, phase="Running"),
    )


def ready_pod(number: int) -> Pod:
    found = backend(number)
    assert pods.is_ready(found), "what the other tests stand on"
    return found


def endpoint(number: int) -> Endpoint:
    return Endpoint(addresses=[f"10.0.0.{number}"])


def slice_(name: str, numbers: range, ports: list[EndpointPort] | None = None) -> EndpointSlice:
    return EndpointSlice(
        metadata=ObjectMeta(name=name),
        address_type="IPv4",
        endpoints=[endpoint(n) for n in numbers],
        ports=[PORT] if ports is None else ports,
    )


def plan(existing: list[EndpointSlice], numbers: range) -> slices.Plan:
    desired = [slices.Desired([PORT], [endpoint(n) for n in numbers])] if numbers else []
    return slices.plan(
        existing,
        desired,
        lambda ports: EndpointSlice(metadata=ObjectMeta(generate_name="web-"), ports=ports),
        lambda each: each,
    )


def sizes(found: list[EndpointSlice]) -> list[int]:
    return sorted(len(each.endpoints) for each in found)


def test_no_endpoints_keep_one_empty_slice() -> None:
    first = plan([], range(0))
    assert (sizes(first.create), first.update, first.delete) == ([0], [], [])
    again = plan([replace(first.create[0], metadata=ObjectMeta(name="a"))], range(0))
    assert again == slices.Plan()


def test_a_hundred_endpoints_fill_a_slice() -> None:
    assert sizes(plan([], range(250)).create) == [50, 100, 100]


def test_what_has_not_changed_is_not_written() -> None:
    existing = [slice_("a", range(100)), slice_("b", range(100, 150))]
    assert plan(existing, range(150)) == slices.Plan()


def test_an_endpoint_that_goes_touches_its_own_slice_only() -> None:
    existing = [slice_("a", range(100)), slice_("b", range(100, 150))]
    found = plan(existing, range(1, 150))
    assert [each.metadata.name for each in found.update] == ["a"]
    assert (found.create, found.delete) == ([], [])


def test_new_endpoints_fill_the_slice_that_has_room_for_all() -> None:
    existing = [slice_("a", range(90)), slice_("b", range(100, 150))]
    desired = [endpoint(n) for n in (*range(90), *range(100, 180))]
    found = slices.plan(existing, [slices.Desired([PORT], desired)], lambda _: existing[0], lambda each: each)
    assert [(each.metadata.name, len(each.endpoints)) for each in found.update] == [("b", 80)]


def test_a_slice_of_other_ports_is_reused() -> None:
    other = EndpointPort(name="old", port=1, protocol="TCP")
    found = plan([slice_("a", range(3), [other])], range(3))
    assert (found.create, found.delete) == ([], [])
    assert [(each.metadata.name, each.ports) for each in found.update] == [("a", [PORT])]


def test_the_last_endpoint_leaves_an_empty_slice_of_the_same_name() -> None:
    found = plan([slice_("a", range(1))], range(0))
    assert [(each.metadata.name, each.endpoints, each.ports) for each in found.update] == [("a", [], [])]


def test_a_named_port_is_found_in_each_pod() -> None:
    named = service(ports=[ServicePort(port=80, target_port="web")])
    found = subsets.desired(named, [ready_pod(1), backend(2, port_name="other"), backend(3, ready=False)])
    assert [[a.ip for a in s.addresses] for s in found] == [["10.0.0.2"]]
    assert [[a.ip for a in s.not_ready_addresses] for s in found] == [["10.0.0.4"]]
    assert [(p.port, p.name) for s in found for p in s.ports] == [(8080, None)]


def test_unready_addresses_are_published_where_asked() -> None:
    found = subsets.desired(service(publish_not_ready_addresses=True), [backend(1, ready=False)])
    assert [[a.ip for a in s.addresses] for s in found] == [["10.0.0.2"]]


def test_more_addresses_than_one_object_holds_are_cut() -> None:
    found = subsets.plan(service(), [ready_pod(n) for n in range(1005)], None, "")
    assert found is not None
    assert sum(len(s.addresses) for s in found.subsets) == 1000
    assert found.metadata.annotations == {subsets.OVER_CAPACITY: "truncated"}


def test_an_external_name_has_no_endpoints_and_a_headless_service_a_label() -> None:
    headless = subsets.plan(service(cluster_ip="None", ports=[]), [ready_pod(1)], None, "")
    assert headless is not None
    assert selection.HEADLESS_LABEL in headless.metadata.labels
    assert [s.ports for s in headless.subsets] == [[]]


def test_moments_are_told_once() -> None:
    triggers = Triggers()
    assert triggers.moment(service(), []) == "2026-01-01T00:00:00Z"
    assert triggers.moment(service(), []) == ""


async def test_pods_come_and_go_behind_a_service(cluster: Cluster) -> None:
    async with cluster.running(*ALL):
        cluster.api.put(service())
        cluster.api.put(ready_pod(1))
        cluster.api.put(backend(2, ready=False))
        await cluster.quiet()
        found = cluster.api.one(Endpoints, "web", "default")
        assert [[a.ip for a in s.addresses] for s in found.subsets] == [["10.0.0.2"]]
        (one,) = cluster.api.all(EndpointSlice)
        assert [e.conditions.ready for e in one.endpoints if e.conditions] == [True, False]
        cluster.api.remove(Pod, "p0001", "default")
        await cluster.quiet()
        (one,) = cluster.api.all(EndpointSlice)
        assert [e.addresses for e in one.endpoints] == [["10.0.0.3"]]
        cluster.api.remove(Service, "web", "default")
        await cluster.quiet()
        assert cluster.api.all(Endpoints) == []


async def test_a_service_made_again_at_once_has_slices_of_its_own(cluster: Cluster) -> None:
    async with cluster.running(*ALL):
        cluster.api.put(service())
        cluster.api.put(ready_pod(1))
        await cluster.quiet()
        (before,) = cluster.api.all(EndpointSlice)
        again = service()
        cluster.api.remove(Service, "web", "default")
        cluster.api.put(replace(again, metadata=replace(again.metadata, uid="uid-again")))
        await cluster.quiet()
        (after,) = cluster.api.all(EndpointSlice)
        assert [owner.uid for owner in after.metadata.owner_references] == ["uid-again"]
        assert after.metadata.name != before.metadata.name
        assert [e.addresses for e in after.endpoints] == [["10.0.0.2"]]


async def test_many_pods_at_once_make_no_slice_twice(cluster: Cluster) -> None:
    async with cluster.running(*ALL):
        cluster.api.put(service())
        for number in range(90):
            cluster.api.put(ready_pod(number))
        await cluster.quiet()
        assert sizes(cluster.api.all(EndpointSlice)) == [90]


async def test_endpoints_written_by_hand_are_mirrored(cluster: Cluster) -> None:
    async with cluster.running(*ALL):
        cluster.api.put(service("db", selector={}))
        subset = EndpointSubset(
            addresses=[EndpointAddress(ip="192.0.2.1")], ports=[CorePort(port=3306, protocol="TCP")]
        )
        metadata = ObjectMeta(name="db", namespace="default")
        cluster.api.put(Endpoints(metadata=metadata, subsets=[subset]))
        await cluster.quiet()
        (one,) = cluster.api.all(EndpointSlice)
        assert one.metadata.labels == {selection.SERVICE_NAME: "db", MANAGED_BY: MIRRORED}
        assert [e.addresses for e in one.endpoints] == [["192.0.2.1"]]
        skip = {"metadata": {"labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}}}
        await cluster.client.patch(Endpoints, "db", "default", skip)
        await cluster.quiet()
        assert cluster.api.all(EndpointSlice) == []


async def test_an_object_that_the_cache_does_not_show_yet_is_nobodys_trouble(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    create, answers = cluster.api.create, 0

    async def lost(target: Target, body: bytes, options: WriteOptions) -> Answer:
        nonlocal answers
        answer = await create(target, body, options)
        if target.resource.kind == "Endpoints" and not answers:
            answers += 1
            raise already_exists(target.resource, "web")
        return answer

    monkeypatch.setattr(cluster.api, "create", lost)
    async with cluster.running(*ALL):
        cluster.api.put(ready_pod(1))
        cluster.api.put(service())
        await cluster.quiet()
    assert answers == 1
    assert not cluster.events("FailedToCreateEndpoint")
    found = cluster.api.one(Endpoints, "web", "default")
    assert [[each.ip for each in subset.addresses] for subset in found.subsets] == [["10.0.0.2"]]
