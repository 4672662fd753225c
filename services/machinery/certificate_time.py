"""Until when a certificate lasts, read off its bytes: a start that needs no new one loads no library for it.

In DER: Certificate { TBSCertificate { [0] version, serial, algorithm, issuer, Validity { from, to } … } }
"""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime

_VERSION = 0xA0


def ends(pem: str) -> datetime:
    """ValueError for what is no certificate."""
    try:
        body = pem.split("-----BEGIN CERTIFICATE-----")[1].split("-----END")[0]
        data = base64.b64decode("".join(body.split()), validate=True)
        at, _ = _inside(data, _inside(data, 0)[0])
        if data[at] == _VERSION:
            _, at = _inside(data, at)
        for _ in ("serial", "algorithm", "issuer"):
            _, at = _inside(data, at)
        at, _ = _inside(data, at)
        begin, end = _inside(data, _inside(data, at)[1])
        digits = data[begin:end].decode("ascii")
    except (IndexError, binascii.Error, UnicodeDecodeError):
        raise ValueError("no certificate") from None
    year = digits if len(digits) == 15 else f"20{digits}"  # GeneralizedTime, or UTCTime of two digits
    return datetime.strptime(year, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _inside(data: bytes, at: int) -> tuple[int, int]:
    """Where the contents of the element at `at` begin, and where they end."""
    length, at = data[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        length, at = int.from_bytes(data[at : at + count], "big"), at + count
    return at, at + length
