"""A resolver's side of DNS: queries to send, and what answers say."""

from __future__ import annotations

import dns.exception
import dns.message
import dns.rcode
import dns.rdatatype


def query(name: str) -> bytes | None:
    """For the IPv4 addresses of an absolute name; None for what can be no name."""
    try:
        return dns.message.make_query(name, dns.rdatatype.A).to_wire()
    except dns.exception.DNSException:
        return None


def addresses(answer: bytes) -> list[str] | None:
    """None where the name does not exist, or nobody could say."""
    try:
        message = dns.message.from_wire(answer, ignore_trailing=True)
    except dns.exception.DNSException:
        return None
    if message.rcode() != dns.rcode.NOERROR:
        return None
    return [item.to_text() for rrset in message.answer if rrset.rdtype == dns.rdatatype.A for item in rrset]
