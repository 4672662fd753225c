"""The Endpoints object of a Service: ready and unready addresses, grouped by the ports they share. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from msgspec.structs import replace

from services.api.core_v1 import (
    EndpointAddress,
    EndpointPort,
    Endpoints,
    EndpointSubset,
    ObjectReference,
    Pod,
    Service,
)
from services.api.meta_v1 import ObjectMeta
from services.controller_manager.endpoints import selection, triggers
from services.machinery import pods

ADDRESSES_MAX = 1000
OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"
MANAGED_BY = "endpoints.kubernetes.io/managed-by"
MANAGER = "endpoint-controller"


class _Port(NamedTuple):
    name: str
    port: int
    protocol: str
    app_protocol: str | None


def desired(service: Service, found: Iterable[Pod]) -> list[EndpointSubset]:
    """What the object should say."""
    publish = bool(service.spec.publish_not_ready_addresses)
    ports_of: dict[str, set[_Port]] = {}
    addresses: dict[str, tuple[EndpointAddress, bool]] = {}
    for pod in found:
        if not selection.counts(pod, with_terminating=publish):
            continue
        ports = _ports(service, pod)
        if ports is None:
            continue
        uid = pod.metadata.uid or ""
        ports_of.setdefault(uid, set()).update(ports)
        addresses[uid] = (_address(service, pod), publish or pods.is_ready(pod))
    groups: dict[frozenset[_Port], list[tuple[EndpointAddress, bool]]] = {}
    for uid, found_ports in ports_of.items():
        groups.setdefault(frozenset(found_ports), []).append(addresses[uid])
    return [_subset(key, groups[key]) for key in sorted(groups, key=lambda key: sorted(map(_order, key)))]


def _order(port: _Port) -> tuple[str, int, str]:
    return (port.name, port.port, port.protocol)


def _ports(service: Service, pod: Pod) -> list[_Port] | None:
    """None where none of the Service's ports is a port of this Pod."""
    if not service.spec.ports:
        return [] if selection.is_headless(service) else None
    found = [(port, selection.port_of(pod, port)) for port in service.spec.ports]
    ports = [
        _Port(port.name or "", number, port.protocol or "TCP", port.app_protocol)
        for port, number in found
        if number is not None
    ]
    return ports or None


def _address(service: Service, pod: Pod) -> EndpointAddress:
    return EndpointAddress(
        ip=pod.status.pod_ips[0].ip or "",
        hostname=selection.hostname_of(pod, service),
        node_name=pod.spec.node_name or None,
        target_ref=reference(pod),
    )


def reference(pod: Pod) -> ObjectReference:
    return ObjectReference(
        kind="Pod", namespace=pod.metadata.namespace, name=pod.metadata.name, uid=pod.metadata.uid
    )


def _subset(ports: frozenset[_Port], members: list[tuple[EndpointAddress, bool]]) -> EndpointSubset:
    ordered = sorted(members, key=lambda member: member[0].ip)
    return EndpointSubset(
        addresses=[address for address, ready in ordered if ready],
        not_ready_addresses=[address for address, ready in ordered if not ready],
        ports=[
            EndpointPort(
                name=port.name or None, port=port.port, protocol=port.protocol, app_protocol=port.app_protocol
            )
            for port in sorted(ports, key=_order)
        ],
    )


def plan(service: Service, found: Iterable[Pod], existing: Endpoints | None, moment: str) -> Endpoints | None:
    """The object to write; None where the existing one says it all."""
    subsets, truncated = _truncated(desired(service, found))
    labels = {**service.metadata.labels, MANAGED_BY: MANAGER}
    if selection.is_headless(service):
        labels[selection.HEADLESS_LABEL] = ""
    before = existing or Endpoints(
        metadata=ObjectMeta(name=service.metadata.name, namespace=service.metadata.namespace)
    )
    annotations = triggers.annotated(before.metadata.annotations, moment)
    annotations.pop(OVER_CAPACITY, None)
    if truncated:
        annotations[OVER_CAPACITY] = "truncated"
    same_capacity = truncated == (OVER_CAPACITY in before.metadata.annotations)
    if existing and existing.subsets == subsets and existing.metadata.labels == labels and same_capacity:
        return None
    return replace(
        before, metadata=replace(before.metadata, labels=labels, annotations=annotations), subsets=subsets
    )


def _truncated(subsets: list[EndpointSubset]) -> tuple[list[EndpointSubset], bool]:
    """At most as many addresses as one object may hold, ready ones before the others."""
    ready = sum(len(subset.addresses) for subset in subsets)
    total = ready + sum(len(subset.not_ready_addresses) for subset in subsets)
    if total <= ADDRESSES_MAX:
        return subsets, False
    room, spare, kept = ADDRESSES_MAX, max(ADDRESSES_MAX - ready, 0), []
    for subset in subsets:
        addresses = subset.addresses[:room]
        room -= len(addresses)
        others = subset.not_ready_addresses[:spare]
        spare -= len(others)
        if addresses or others:
            kept.append(replace(subset, addresses=addresses, not_ready_addresses=others))
    return kept, True
