"""A query's bytes in, an answer's bytes out. Whatever comes in, something well-formed or nothing goes out.

The library is imported with this module, which only a process that answers names needs.
"""

from __future__ import annotations

from collections.abc import Callable

import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from services.dns.zone import Answer, Code, Record, Zone

UDP_BYTES = 512  # of an answer, unless the client can take more (EDNS)
UDP_BYTES_MAX = 1232
ROTATED = ("A", "AAAA")
Shuffle = Callable[[list[Record]], None]
Log = Callable[[str, str, str, int], None]  # (client, type, name, code)


class Responder:
    def __init__(self, zone: Zone, shuffle: Shuffle, log: Log = lambda *_: None) -> None:
        self._zone, self._shuffle, self._log = zone, shuffle, log

    def answer(self, query: bytes, client: str = "", *, tcp: bool = False) -> bytes:
        """Empty for what is not a query at all: it is not worth an answer."""
        try:
            asked = dns.message.from_wire(query, ignore_trailing=True)
        except dns.exception.DNSException:
            return b""
        if asked.flags & dns.flags.QR:
            return b""
        response = dns.message.make_response(asked, recursion_available=True)
        if asked.opcode() != dns.opcode.QUERY or len(asked.question) != 1:
            response.set_rcode(dns.rcode.NOTIMP)
        else:
            self._fill(response, asked.question[0], client)
        size = 65535 if tcp else min(max(asked.payload or UDP_BYTES, UDP_BYTES), UDP_BYTES_MAX)
        return _wire(response, size)

    def _fill(self, response: dns.message.Message, question: dns.rrset.RRset, client: str) -> None:
        name, kind = question.name.to_text(), dns.rdatatype.to_text(question.rdtype)
        settings = self._zone.settings
        found = self._zone.lookup(name, kind)
        if settings.log:
            self._log(client, kind, name, found.code.value)
        response.set_rcode(dns.rcode.from_text(_RCODES[found.code]))
        if found.code is not Code.SERVER_FAILURE:
            response.flags |= dns.flags.AA
        self._add(response.answer, found, settings.ttl)
        for record in found.extra:
            _put(response.additional, record, settings.ttl)
        if found.code is Code.NO_SUCH_NAME or (found.code is Code.OK and not found.records):
            response.authority.append(_authority(settings.domain))

    def _add(self, section: list[dns.rrset.RRset], found: Answer, ttl: int) -> None:
        turning = [record for record in found.records if record.type in ROTATED]
        self._shuffle(turning)
        for record in [*(r for r in found.records if r.type not in ROTATED), *turning]:
            _put(section, record, ttl)


_RCODES = {
    Code.OK: "NOERROR",
    Code.NO_SUCH_NAME: "NXDOMAIN",
    Code.SERVER_FAILURE: "SERVFAIL",
    Code.REFUSED: "REFUSED",
}


def _put(section: list[dns.rrset.RRset], record: Record, ttl: int) -> None:
    value = record.value
    if record.type in ("CNAME", "SRV", "PTR"):
        value += "."
    elif record.type == "TXT":
        value = f'"{value}"'
    made = dns.rrset.from_text(f"{record.name}.", ttl, "IN", record.type, value)
    for held in section:
        if held.name == made.name and held.rdtype == made.rdtype:
            for item in made:
                held.add(item)
            return
    section.append(made)


def _authority(domain: str) -> dns.rrset.RRset:
    text = f"ns.dns.{domain}. hostmaster.{domain}. 1 7200 1800 86400 5"
    return dns.rrset.from_text(f"{domain}.", 5, "IN", "SOA", text)


def _wire(response: dns.message.Message, size: int) -> bytes:
    try:
        # Whose turn it is was decided already: the library would draw again, from a source of its own.
        return response.to_wire(max_size=size, want_shuffle=False)
    except dns.exception.TooBig:
        # The client is told to come again over TCP.
        response.flags |= dns.flags.TC
        response.answer, response.additional, response.authority = [], [], []
        return response.to_wire()
