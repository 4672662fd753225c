"""String formats of schemas: which are checked, and how.

A format that upstream does not know counts as none. Upstream: `apiextensions-apiserver`'s list of
supported formats and kube-openapi's `strfmt`, which reads some of them generously.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Callable
from datetime import date
from email.errors import HeaderParseError
from email.headerregistry import Address
from ipaddress import IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from services.machinery import duration

Check = Callable[[str], bool]

TEXT_MAX = 1024  # of what takes more than linear time to read; nobody means a longer one

_UUID = "(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?%s-?%s-?[0-9a-f]{12}$"
_ANY = "[0-9a-f]{4}"
_VARIANT = "[89ab][0-9a-f]{3}"
_TIME = re.compile(r"([0-9]{2}):([0-9]{2}):([0-9]{2})(.[0-9]+)?(z|[+-][0-9]{2}:[0-9]{2})", re.ASCII)
_CARD = re.compile(
    r"(?:4\d{12}(?:\d{3})?|5[1-5]\d{14}|(222[1-9]|22[3-9]\d|2[3-6]\d{2}|27[01]\d|2720)\d{12}"
    r"|6(?:011|5\d\d)\d{12}|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}|(?:2131|1800|35\d{3})\d{11}|6[27]\d{14})"
)
_RGB_PART = r"\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*"
_SHORT_NAME = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SCALA_PART = re.compile(r"(\d+)\s*([A-Za-zµ]+)")
_SCALA_UNITS = ("ns", "nano", "us", "µs", "micro", "ms", "milli", "s", "sec", "m", "min", "h", "hr", "hour",
                "d", "day", "w", "wk", "week")  # fmt: skip
_SCALA_PREFIXES = ("nano", "micro", "milli", "sec", "min", "hour", "day", "week", "s", "m", "h", "d", "w")


def _regular(pattern: str) -> Check:
    compiled = re.compile(pattern.removeprefix("^").removesuffix("$"), re.ASCII)
    return lambda text: compiled.fullmatch(text) is not None


def _date(text: str) -> bool:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return text.startswith("0000-") and _date("2000" + text[4:])
    return True


def _date_time(text: str) -> bool:
    day, separator, rest = text.lower().partition("t")
    if not separator or not _date(day):
        return False
    match = _TIME.fullmatch(rest.partition("t")[0])
    return match is not None and match[1] <= "23" and match[2] <= "59" and match[3] <= "59"


def _duration(text: str) -> bool:
    if len(text) > TEXT_MAX:
        return False
    try:
        duration.parse(text)
    except ValueError:
        units = [unit.lower() for _, unit in _SCALA_PART.findall(text)]
        return any(unit in _SCALA_UNITS or unit.startswith(_SCALA_PREFIXES) for unit in units)
    return True


def _ipv4(text: str) -> bool:
    """Leading zeros are forgiven, as before Go 1.17."""
    parts = text.split(".")
    if len(parts) == 4:
        return all(re.fullmatch(r"\d{1,3}", part, re.ASCII) and int(part) < 256 for part in parts)
    return "." in text and _ipv6(text)


def _ipv6(text: str) -> bool:
    try:
        return isinstance(ip_address(text), IPv6Address) and "%" not in text
    except ValueError:
        return False


def _cidr(text: str) -> bool:
    address, separator, bits = text.partition("/")
    if not separator or not bits.isascii() or not bits.isdigit() or "%" in address:
        return False
    if "." in address and ":" not in address:
        address = ".".join(str(int(part)) if part.isdigit() else part for part in address.split("."))
    try:
        ip_network(f"{address}/{int(bits)}", strict=False)
    except ValueError:
        return False
    return True


def _uri(text: str) -> bool:
    """What Go's `url.ParseRequestURI` takes: absolute, or a path."""
    if not text or re.search(r"[\x00-\x1f\x7f ]", text) or re.search(r"%(?![0-9a-fA-F]{2})", text):
        return False
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    if text.startswith("/"):
        return True
    return re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:", text) is not None


def _email(text: str) -> bool:
    if len(text) > TEXT_MAX:
        return False
    inner = re.fullmatch(r"[^<>]*<([^<>]*)>\s*", text)
    address = (inner[1] if inner else text).strip()
    try:
        found = Address(addr_spec=address)
    except (HeaderParseError, ValueError, IndexError):
        return False
    return bool(found.username and found.domain)


def _hostname(text: str) -> bool:
    if not text or len(text.encode()) > 255 or any(len(part.encode()) > 63 for part in text.split(".")):
        return False
    parts = text.split(".")
    if not all(part and _host_label(part) for part in parts):
        return False
    return len(parts) == 1 or (len(parts[-1]) >= 2 and parts[-1].isalpha())


def _host_label(part: str) -> bool:
    if part.startswith("-") or part.endswith("-") or "_" in part:
        return False
    return re.fullmatch(r"[\w-]+", part) is not None


def _mac(text: str) -> bool:
    for separator, size in ((":", 2), ("-", 2), (".", 4)):
        parts = text.split(separator)
        if len(parts) * size in (12, 16, 40) and all(
            len(part) == size and re.fullmatch(r"[0-9a-fA-F]+", part) for part in parts
        ):
            return True
    return False


def _base64(text: str) -> bool:
    if not text or len(text) % 4:
        return False
    try:
        b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _isbn10(text: str) -> bool:
    digits = text.replace("-", "").replace(" ", "")
    if not re.fullmatch(r"\d{9}[\dX]", digits, re.ASCII):
        return False
    total = sum((index + 1) * int(digit) for index, digit in enumerate(digits[:9]))
    return (total + 10 * (10 if digits[9] == "X" else int(digits[9]))) % 11 == 0


def _isbn13(text: str) -> bool:
    digits = text.replace("-", "").replace(" ", "")
    if not re.fullmatch(r"\d{13}", digits, re.ASCII):
        return False
    total = sum((1, 3)[index % 2] * int(digit) for index, digit in enumerate(digits[:12]))
    return int(digits[12]) == (10 - total % 10) % 10


def _credit_card(text: str) -> bool:
    digits = re.sub(r"[^0-9]+", "", text)
    if not _CARD.fullmatch(digits):
        return False
    total = 0
    for index, digit in enumerate(reversed(digits)):
        number = int(digit) * (1 + index % 2)
        total += number - 9 if number > 9 else number
    return total % 10 == 0


_IS_SHORT = _regular(_SHORT_NAME)
_IS_LONG = _regular(rf"{_SHORT_NAME}(\.{_SHORT_NAME})*")

_CHECKS: dict[str, Check] = {
    "bsonobjectid": _regular("^[0-9a-fA-F]{24}$"),
    "uri": _uri,
    "email": _email,
    "hostname": _hostname,
    "ipv4": _ipv4,
    "ipv6": _ipv6,
    "cidr": _cidr,
    "mac": _mac,
    "uuid": _regular(_UUID % (_ANY, _ANY)),
    "uuid3": _regular(_UUID % ("3[0-9a-f]{3}", _ANY)),
    "uuid4": _regular(_UUID % ("4[0-9a-f]{3}", _VARIANT)),
    "uuid5": _regular(_UUID % ("5[0-9a-f]{3}", _VARIANT)),
    "isbn": lambda text: _isbn10(text) or _isbn13(text),
    "isbn10": _isbn10,
    "isbn13": _isbn13,
    "creditcard": _credit_card,
    "ssn": _regular(r"^\d{3}[- ]?\d{2}[- ]?\d{4}$"),
    "hexcolor": _regular("^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$"),
    "rgbcolor": _regular(rf"^rgb\({_RGB_PART},{_RGB_PART},{_RGB_PART}\)$"),
    "byte": _base64,
    "password": lambda text: True,
    "date": _date,
    "duration": _duration,
    "datetime": _date_time,
    "k8sshortname": lambda text: len(text) <= 63 and _IS_SHORT(text),
    "k8slongname": lambda text: len(text) <= 253 and _IS_LONG(text),
}
_OF_NUMBERS = {"integer": ("int32", "int64"), "number": ("float", "double")}


def kept(name: str, types: tuple[str, ...]) -> str:
    """The format where it means something for these types, else nothing."""
    if not name or recognised(name, types):
        return name
    return ""


def recognised(name: str, types: tuple[str, ...]) -> bool:
    kind = types[0] if len(types) == 1 else ""
    if kind in ("", "string"):
        return name.replace("-", "") in _CHECKS
    return name in _OF_NUMBERS.get(kind, ())


def check_of(name: str) -> Check | None:
    """What decides whether a text has the format; None for the formats of numbers."""
    return _CHECKS.get(name.replace("-", ""))
