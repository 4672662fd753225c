"""`ip()` and `cidr()`: addresses and ranges of them."""

from __future__ import annotations

import ipaddress
import math
from dataclasses import dataclass
from typing import Any, ClassVar

from services.apiserver.cel.faults import EvaluationError
from services.apiserver.cel.functions import Library
from services.apiserver.cel.types import Type, opaque
from services.apiserver.cel.values import Opaque

ADDRESSES = Library()
_IP, _CIDR = "net.IP", "net.CIDR"


@dataclass(frozen=True, slots=True)
class Ip(Opaque):
    cel_type: ClassVar[Type] = opaque(_IP)
    address: ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Cidr(Opaque):
    """A range, and the address that it was written with."""

    cel_type: ClassVar[Type] = opaque(_CIDR)
    interface: ipaddress.IPv4Interface | ipaddress.IPv6Interface


def _parse_ip(text: str) -> Ip:
    """ValueError."""
    if "%" in text:
        raise ValueError("IP address with zone value is not allowed")
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        raise ValueError("IPv4-mapped IPv6 address is not allowed")
    return Ip(address)


def _parse_cidr(text: str) -> Cidr:
    """ValueError."""
    head, slash, bits = text.partition("/")
    if not slash or not bits.isdigit():
        raise ValueError(f"netip.ParsePrefix(\"{text}\"): no '/'")
    _parse_ip(head)
    return Cidr(ipaddress.ip_interface(text))


def _traversed(factor: float) -> Any:
    return lambda args, result: max(1, math.ceil(len(args[0]) * factor)) if isinstance(args[0], str) else 1


ADDRESSES.costs |= {name: _traversed(0.1) for name in ("isIP", "ip", "isCIDR", "cidr")}
ADDRESSES.costs["ip.isCanonical"] = _traversed(0.2)


@ADDRESSES.function("isIP", "string -> bool")
def _is_ip(text: str) -> bool:
    try:
        _parse_ip(text)
    except ValueError:
        return False
    return True


@ADDRESSES.function("isCIDR", "string -> bool")
def _is_cidr(text: str) -> bool:
    try:
        _parse_cidr(text)
    except ValueError:
        return False
    return True


@ADDRESSES.function("ip", f"string -> {_IP}")
def _ip(text: str) -> Ip:
    try:
        return _parse_ip(text)
    except ValueError:
        why = f'ParseAddr("{text}"): unable to parse IP'
        raise EvaluationError(
            f'IP Address "{text}" parse error during conversion from string: {why}'
        ) from None


@ADDRESSES.function("cidr", f"string -> {_CIDR}")
def _cidr(text: str) -> Cidr:
    try:
        return _parse_cidr(text)
    except ValueError:
        why = f'netip.ParsePrefix("{text}"): unable to parse CIDR'
        raise EvaluationError(f"network address parse error during conversion from string: {why}") from None


@ADDRESSES.function("ip.isCanonical", "string -> bool")
def _is_canonical(text: str) -> bool:
    return str(_ip(text).address) == text


@ADDRESSES.member("isGlobalUnicast", f"{_IP} -> bool")
def _is_global_unicast(ip: Ip) -> bool:
    address = ip.address
    return not (
        address.is_unspecified
        or address.is_loopback
        or address.is_multicast
        or address.is_link_local
        or str(address) == "255.255.255.255"
    )


@ADDRESSES.member("isLinkLocalMulticast", f"{_IP} -> bool")
def _is_link_local_multicast(ip: Ip) -> bool:
    if isinstance(ip.address, ipaddress.IPv4Address):
        return ip.address in ipaddress.ip_network("224.0.0.0/24")
    return ip.address.packed[0] == 0xFF and ip.address.packed[1] & 0x0F == 2


ADDRESSES.member("family", f"{_IP} -> int")(lambda ip: ip.address.version)
ADDRESSES.member("isUnspecified", f"{_IP} -> bool")(lambda ip: ip.address.is_unspecified)
ADDRESSES.member("isLoopback", f"{_IP} -> bool")(lambda ip: ip.address.is_loopback)
ADDRESSES.member("isLinkLocalUnicast", f"{_IP} -> bool")(lambda ip: ip.address.is_link_local)
ADDRESSES.function("string", f"{_IP} -> string")(lambda ip: str(ip.address))
ADDRESSES.function("string", f"{_CIDR} -> string")(lambda cidr: str(cidr.interface))
ADDRESSES.member("ip", f"{_CIDR} -> {_IP}")(lambda cidr: Ip(cidr.interface.ip))
ADDRESSES.member("prefixLength", f"{_CIDR} -> int")(lambda cidr: cidr.interface.network.prefixlen)
ADDRESSES.member("masked", f"{_CIDR} -> {_CIDR}")(
    lambda cidr: Cidr(ipaddress.ip_interface(str(cidr.interface.network)))
)


@ADDRESSES.member("containsIP", f"{_CIDR}, {_IP} -> bool", f"{_CIDR}, string -> bool")
def _contains_ip(cidr: Cidr, other: Any) -> bool:
    address = (_ip(other) if isinstance(other, str) else other).address
    return bool(address.version == cidr.interface.version and address in cidr.interface.network)


@ADDRESSES.member("containsCIDR", f"{_CIDR}, {_CIDR} -> bool", f"{_CIDR}, string -> bool")
def _contains_cidr(cidr: Cidr, other: Any) -> bool:
    found = (_cidr(other) if isinstance(other, str) else other).interface
    mine = cidr.interface.network
    return bool(
        found.version == mine.version and found.network.prefixlen >= mine.prefixlen and found.ip in mine
    )
