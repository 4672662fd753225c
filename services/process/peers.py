"""Who is at the other end of a call: what the certificate says that the connection was made with.

gRPC has checked by then that the cluster's CA signed it and that its time has come and not passed. Upstream's
reading: the common name is the user, the organizations are the groups.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PEERS_REMEMBERED_MAX = 1024


@dataclass(frozen=True, slots=True)
class Peer:
    """`fingerprint`: SHA-256 of the certificate, in hex."""

    name: str
    groups: tuple[str, ...]
    fingerprint: str


class Peers:
    """Reads each certificate once."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, Peer] = OrderedDict()

    def of(self, context: Any) -> Peer | None:
        """Of a call of grpc.aio. None: its connection has shown no certificate, or one without a name."""
        facts: Mapping[str, list[bytes]] = context.auth_context()
        pem = facts.get("x509_pem_cert")
        if not pem:
            return None
        found = self._known.get(pem[0])
        if found is None:
            found = self._known[pem[0]] = _read(pem[0], facts)
            if len(self._known) > PEERS_REMEMBERED_MAX:
                self._known.popitem(last=False)
        return found if found.name else None


def _read(pem: bytes, facts: Mapping[str, list[bytes]]) -> Peer:
    pairs = subject((facts.get("x509_subject") or [b""])[0].decode(errors="replace"))
    # RFC 2253 writes the last part first.
    groups = tuple(value for key, value in reversed(pairs) if key == "O")
    name = next((value for key, value in pairs if key == "CN"), "")
    return Peer(name, groups, hashlib.sha256(_der(pem)).hexdigest())


def _der(pem: bytes) -> bytes:
    from ssl import PEM_cert_to_DER_cert

    return PEM_cert_to_DER_cert(pem.decode("ascii"))


def subject(text: str) -> list[tuple[str, str]]:
    """The parts of a name as RFC 2253 writes it: `CN=jane,O=devs` is `[("CN", "jane"), ("O", "devs")]`."""
    parts: list[tuple[str, str]] = []
    key, value, in_value, at = "", bytearray(), False, 0
    while at <= len(text):
        letter = text[at] if at < len(text) else ","
        if letter in ",+" or at == len(text):
            if in_value:
                parts.append((key, value.decode(errors="replace")))
            key, value, in_value = "", bytearray(), False
        elif not in_value:
            in_value, key = letter == "=", key if letter == "=" else key + letter
        elif letter == "\\" and at + 1 < len(text):
            pair = text[at + 1 : at + 3]
            if len(pair) == 2 and all(each in "0123456789abcdefABCDEF" for each in pair):
                value.append(int(pair, 16))
                at += 2
            else:
                value += text[at + 1].encode()
                at += 1
        else:
            value += letter.encode()
        at += 1
    return parts
