"""EndpointSlices: how to get from those that exist to those that should, touching as few as can be. Pure.

Endpoints are grouped by their ports. Within a group: endpoints that are gone leave their slices, changed ones
are replaced where they are; new ones first fill slices that are written anyway, then one slice that has room
for all of them, then new slices. A Service without endpoints keeps one empty slice.
Upstream: k8s.io/endpointslice's reconciler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec.structs import replace

from services.api.discovery_v1 import Endpoint, EndpointPort, EndpointSlice

ENDPOINTS_MAX = 100

PortKey = tuple[tuple[str, int | None, str, str | None], ...]


class Identity(NamedTuple):
    """What makes an endpoint the same one as before, however it fares."""

    addresses: tuple[str, ...]
    hostname: str | None
    namespace: str | None
    name: str | None


@dataclass
class Plan:
    create: list[EndpointSlice] = field(default_factory=list)
    update: list[EndpointSlice] = field(default_factory=list)
    delete: list[EndpointSlice] = field(default_factory=list)


@dataclass(frozen=True)
class Desired:
    """Endpoints that share their ports."""

    ports: list[EndpointPort]
    endpoints: list[Endpoint]


Make = Callable[[list[EndpointPort]], EndpointSlice]  # an empty slice of the Service
Relabel = Callable[[EndpointSlice], EndpointSlice]  # the slice with the labels it should have


def port_key(ports: Iterable[EndpointPort]) -> PortKey:
    return tuple(
        sorted(
            ((port.name or "", port.port, port.protocol or "", port.app_protocol) for port in ports),
            key=lambda key: (key[0], key[1] or 0, key[2]),
        )
    )


def identity(endpoint: Endpoint) -> Identity:
    target = endpoint.target_ref
    return Identity(
        tuple(sorted(endpoint.addresses)),
        endpoint.hostname,
        target.namespace if target else None,
        target.name if target else None,
    )


def plan(existing: Sequence[EndpointSlice], desired: Iterable[Desired], make: Make, relabel: Relabel) -> Plan:
    """`existing` are the Service's own slices of one address type."""
    groups: dict[PortKey, list[EndpointSlice]] = {}
    for each in existing:
        groups.setdefault(port_key(each.ports), []).append(each)
    out = Plan()
    for group in desired:
        _plan_group(groups.pop(port_key(group.ports), []), group, make, relabel, out)
    for leftover in groups.values():
        out.delete += leftover
    _keep_one(existing, make, relabel, out)
    _reuse(out)
    return out


def _plan_group(
    existing: list[EndpointSlice], group: Desired, make: Make, relabel: Relabel, out: Plan
) -> None:
    missing = {identity(endpoint): endpoint for endpoint in group.endpoints}
    changed: list[EndpointSlice] = []
    unchanged: list[EndpointSlice] = []
    for each in sorted(existing, key=lambda slice_: slice_.metadata.name or ""):
        kept = [missing.pop(key) for key in map(identity, each.endpoints) if key in missing]
        new = relabel(replace(each, endpoints=kept))
        if new == each:
            unchanged.append(each)
        elif kept:
            changed.append(new)
        else:
            out.delete.append(each)
    rest = list(missing.values())
    for index, each in sorted(enumerate(changed), key=lambda item: -len(item[1].endpoints)):
        changed[index] = _filled(each, rest)
        del rest[: len(changed[index].endpoints) - len(each.endpoints)]
    while rest:
        room = _slice_with_room(unchanged, len(rest))
        target = room if room is not None else make(group.ports)
        filled = _filled(target, rest)
        del rest[: len(filled.endpoints) - len(target.endpoints)]
        if room is not None:
            unchanged.remove(room)
            changed.append(filled)
        else:
            out.create.append(filled)
    out.update += changed


def _filled(slice_: EndpointSlice, endpoints: list[Endpoint]) -> EndpointSlice:
    room = ENDPOINTS_MAX - len(slice_.endpoints)
    return replace(slice_, endpoints=[*slice_.endpoints, *endpoints[:room]]) if room > 0 else slice_


def _slice_with_room(slices: list[EndpointSlice], count: int) -> EndpointSlice | None:
    """The fullest one into which all of them fit."""
    fitting = [each for each in slices if len(each.endpoints) + count <= ENDPOINTS_MAX]
    return max(fitting, key=lambda slice_: len(slice_.endpoints), default=None)


def _keep_one(existing: Sequence[EndpointSlice], make: Make, relabel: Relabel, out: Plan) -> None:
    if out.create or len(out.delete) < len(existing):
        return
    if len(out.delete) == 1 and not out.delete[0].endpoints and not out.delete[0].ports:
        empty = out.delete.pop()
        if relabel(empty) != empty:
            out.update.append(relabel(empty))
        return
    out.create.append(make([]))


def _reuse(out: Plan) -> None:
    """A slice that would go becomes one that would come."""
    while out.create and out.delete:
        new, old = out.create.pop(), out.delete.pop(0)
        annotations = new.metadata.annotations
        metadata = replace(old.metadata, labels=new.metadata.labels, annotations=annotations)
        out.update.append(replace(new, metadata=metadata))
