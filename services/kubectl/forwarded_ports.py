"""Which local port leads to which port of a Pod: the words of `port-forward`, as kubectl reads them. Pure.

A Service's port becomes the port of the Pod behind it; names become numbers. What cannot be is a Fail in
upstream's words (`portforward.go` of kubectl and of client-go).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from services.kubectl.errors import Fail

Json = dict[str, Any]
PORT_MAX = 65535


@dataclass(frozen=True, slots=True)
class ForwardedPort:
    local: int  # 0: the system chooses
    remote: int

    def __str__(self) -> str:
        return f"{{{self.local} {self.remote}}}"


@dataclass(frozen=True, slots=True)
class LocalAddress:
    """Where to listen. An `optional` one may fail as long as another optional one does not."""

    ip: str
    optional: bool = False

    @property
    def protocol(self) -> str:
        return "tcp6" if ":" in self.ip else "tcp4"

    def with_port(self, port: int) -> str:
        return f"[{self.ip}]:{port}" if ":" in self.ip else f"{self.ip}:{port}"


def of_object(kind: str, obj: Json, pod: Json, words: Sequence[str]) -> list[ForwardedPort]:
    """The ports that the words mean, for an object and the Pod that stands for it."""
    if kind == "Service":
        _refuse_udp(words, obj["spec"].get("ports") or (), "port", lambda name: _service_port(obj, name))
        return parse([_through_service(word, obj, pod) for word in words])
    _refuse_udp(words, _pod_ports(pod), "containerPort", lambda name: _named(pod, name))
    return parse([_through_pod(word, pod) for word in words])


def parse(words: Iterable[str]) -> list[ForwardedPort]:
    """`8080:80`, `80`, `:80`."""
    ports = []
    for word in words:
        parts = word.split(":")
        if len(parts) > 2:
            raise Fail(f"invalid port format '{word}'")
        local, remote = (parts[0] or "0" if len(parts) == 2 else parts[0]), parts[-1]
        port = ForwardedPort(_number("local", local), _number("remote", remote))
        if port.remote == 0:
            raise Fail("remote port must be > 0")
        ports.append(port)
    return ports


def addresses(words: Iterable[str]) -> list[LocalAddress]:
    """What --address names; `localhost` is both loopback addresses, of which one is enough."""
    found: dict[str, LocalAddress] = {}
    for word in words:
        if word == "localhost":
            for ip in ("127.0.0.1", "::1"):
                found.setdefault(ip, LocalAddress(ip, optional=True))
            continue
        try:
            ip = str(ip_address(word))
        except ValueError:
            raise Fail(f"{word} is not a valid IP") from None
        found[ip] = LocalAddress(ip)
    return list(found.values())


def _number(which: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]+", text):
        why = f'strconv.ParseUint: parsing "{text}": invalid syntax'
    elif int(text[:9]) > PORT_MAX:
        why = f'strconv.ParseUint: parsing "{text}": value out of range'
    else:
        return int(text)
    raise Fail(f"error parsing {which} port '{text}': {why}")


def _split(word: str) -> tuple[str, str]:
    """Local and remote, as text."""
    parts = word.split(":")
    return (parts[0], parts[1]) if len(parts) == 2 else (parts[0], parts[0])


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?[0-9]{1,18}", text) is not None


def _through_service(word: str, service: Json, pod: Json) -> str:
    local, remote = _split(word)
    number = int(remote) if _is_number(remote) else _service_port(service, remote)
    if local == remote:
        local = str(number)
    target = _target(service, pod, number)
    return f"{local}:{target}" if local != str(target) else str(target)


def _through_pod(word: str, pod: Json) -> str:
    if word.count(":") > 1:
        return word  # `parse` tells what is wrong with it
    local, remote = _split(word)
    if not remote:
        raise Fail("remote port cannot be empty")
    number = remote if _is_number(remote) else str(_named(pod, remote))
    return f"{local}:{number}" if local != remote else number


def _service_port(service: Json, name: str) -> int:
    for port in service["spec"].get("ports") or ():
        if port.get("name") == name:
            return int(port["port"])
    raise Fail(f"Service '{service['metadata']['name']}' does not have a named port '{name}'")


def _target(service: Json, pod: Json, number: int) -> int:
    """The port of the Pod behind a port of the Service."""
    for port in service["spec"].get("ports") or ():
        if port["port"] != number:
            continue
        if service["spec"].get("clusterIP") == "None":
            return number
        target = port.get("targetPort") or number
        return target if isinstance(target, int) else _named(pod, target)
    raise Fail(f"Service {service['metadata']['name']} does not have a service port {number}")


def _named(pod: Json, name: str) -> int:
    for port in _pod_ports(pod):
        if port.get("name") == name:
            return int(port["containerPort"])
    raise Fail(f"Pod '{pod['metadata']['name']}' does not have a named port '{name}'")


def _pod_ports(pod: Json) -> list[Json]:
    return list(_declared(pod))


def _declared(pod: Json) -> Iterator[Json]:
    for container in pod["spec"].get("containers") or ():
        yield from container.get("ports") or ()


def _refuse_udp(words: Iterable[str], declared: Iterable[Json], key: str, named: Any) -> None:
    """A port that is declared for UDP, and not for TCP too, cannot be forwarded."""
    by_protocol: dict[str, set[int]] = {"UDP": set(), "TCP": set()}
    for port in declared:
        by_protocol.setdefault(port.get("protocol", "TCP"), set()).add(port[key])
    for word in words:
        remote = _split(word)[1]
        if not remote or word.count(":") > 1:
            continue
        number = int(remote) if _is_number(remote) else named(remote)
        if number in by_protocol["UDP"] - by_protocol["TCP"]:
            raise Fail(f"UDP protocol is not supported for {remote}")
