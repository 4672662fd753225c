"""The kinds that hold the addresses of Services. Upstream: pkg/apis/networking/validation."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

from services.apiserver.rules.validation import names
from services.apiserver.rules.validation.meta import immutable, object_meta, object_meta_update
from services.machinery.field_errors import Causes, invalid, required

Json = dict[str, Any]

_CIDRS_MAX = 2


def _address_name(text: str) -> list[str]:
    try:
        canonical = str(ip_address(text))
    except ValueError:
        return [f'ParseAddr("{text}"): unable to parse IP']
    return [] if canonical == text else ["must be a canonical format IP address"]


def address(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], False, _address_name, out)
    parent, path = obj["spec"].get("parentRef"), "spec.parentRef"
    if parent is None:
        out.append(required(path))
        return
    if parent.get("group"):
        names.check(names.dns1123_subdomain(parent["group"]), f"{path}.group", parent["group"], out)
    for field in ("resource", "name"):
        if not parent.get(field):
            out.append(required(f"{path}.{field}"))
    for field in ("resource", "name", "namespace"):
        if parent.get(field):
            names.check(names.path_segment(parent[field]), f"{path}.{field}", parent[field], out)


def address_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    address(new, out)
    immutable(new["spec"].get("parentRef"), old["spec"].get("parentRef"), "spec.parentRef", out)


def cidr(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], False, names.dns1123_subdomain, out)
    cidrs, path = obj["spec"].get("cidrs") or [], "spec.cidrs"
    if not cidrs:
        out.append(required(path, "at least one CIDR required"))
    elif len(cidrs) > _CIDRS_MAX:
        out.append(invalid(path, cidrs, "may only hold up to 2 values"))
    versions = [_version(text, f"{path}[{index}]", out) for index, text in enumerate(cidrs[:_CIDRS_MAX])]
    if len(versions) > 1 and versions[0] and versions[0] == versions[1]:
        out.append(
            invalid(path, cidrs, "may specify no more than one IP for each IP family, i.e 192.168.0.0/24")
        )


def _version(text: str, path: str, out: Causes) -> int:
    """4 or 6; 0 where it is no network."""
    if not names.cidr(path, text, out):
        return 0
    try:
        network = ip_network(text)
    except ValueError:
        network = ip_network(text, strict=False)
        why = f'must be in canonical form ("{network}")'
        out.append(invalid(path, text, why))
    return network.version


def cidr_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    immutable(new["spec"].get("cidrs"), old["spec"].get("cidrs"), "spec.cidrs", out)


def cidr_status(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
