"""What a name, label, port name, path or address must look like (upstream: `util/validation`).

Each check gives the list of faults, empty when there are none. Regular expressions stand in the
messages because upstream prints them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from functools import lru_cache

from services.machinery.field_errors import Causes, invalid, required
from services.machinery.labels import key_faults, value_faults

NameCheck = Callable[[str], list[str]]

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = _LABEL + r"(\." + _LABEL + ")*"
_LABEL_1035 = r"[a-z]([-a-z0-9]*[a-z0-9])?"
_LABEL_RE = re.compile(_LABEL)
_SUBDOMAIN_RE = re.compile(_SUBDOMAIN)
_LABEL_1035_RE = re.compile(_LABEL_1035)
_USED = "regex used for validation is"
_LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start"
    f" and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', {_USED} '{_LABEL}')"
)
_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must"
    f" start and end with an alphanumeric character (e.g. 'example.com', {_USED} '{_SUBDOMAIN}')"
)
_LABEL_1035_RULE = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic"
    " character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123',"
    f" {_USED} '{_LABEL_1035}')"
)
_UNDERSCORE = r"[a-z0-9_]([-_a-z0-9]*[a-z0-9])?(\.[a-z0-9_]([-_a-z0-9]*[a-z0-9])?)*"
_UNDERSCORE_RE = re.compile(_UNDERSCORE)
_UNDERSCORE_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must"
    f" start and end with an alphanumeric character (e.g. 'example.com', {_USED} '{_UNDERSCORE}')"
)

_HTTP_PATH = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+"
_HTTP_PATH_RE = re.compile(_HTTP_PATH)


def _too_long(characters_max: int) -> str:
    return f"must be no more than {characters_max} characters"


@lru_cache(maxsize=4096)
def _faultless_label(text: str) -> bool:
    return len(text) <= 63 and _LABEL_RE.fullmatch(text) is not None


def dns1123_label(text: str) -> list[str]:
    if _faultless_label(text):
        return []
    return _sized(text, 63) + ([] if _LABEL_RE.fullmatch(text) else [_LABEL_RULE])


def dns1123_subdomain(text: str) -> list[str]:
    if len(text) <= 253 and _SUBDOMAIN_RE.fullmatch(text):
        return []
    return _sized(text, 253) + ([] if _SUBDOMAIN_RE.fullmatch(text) else [_SUBDOMAIN_RULE])


def dns1123_subdomain_with_underscore(text: str) -> list[str]:
    return _sized(text, 253) + ([] if _UNDERSCORE_RE.fullmatch(text) else [_UNDERSCORE_RULE])


def dns1035_label(text: str) -> list[str]:
    return _sized(text, 63) + ([] if _LABEL_1035_RE.fullmatch(text) else [_LABEL_1035_RULE])


def namespace_name(text: str) -> list[str]:
    """A label; a dot gets an answer of its own."""
    if "." in text and _SUBDOMAIN_RE.fullmatch(text):
        return ["must not contain dots"]
    return dns1123_label(text)


def _sized(text: str, characters_max: int) -> list[str]:
    return [_too_long(characters_max)] if len(text) > characters_max else []


def path_segment(text: str) -> list[str]:
    if text in (".", ".."):
        return [f"may not be '{text}'"]
    return [f"may not contain '{part}'" for part in ("/", "%") if part in text]


def prefix_of(check: NameCheck) -> NameCheck:
    """The check of a name's beginning: a trailing dash is as good as what will follow it."""
    return lambda text: check(text[:-2] + "a" if len(text) > 1 and text.endswith("-") else text)


qualified_name = lru_cache(maxsize=4096)(lambda text: key_faults(text))
label_value = lru_cache(maxsize=4096)(lambda text: value_faults(text))


def port_number(port: int) -> list[str]:
    return [] if 1 <= port <= 65535 else ["must be between 1 and 65535, inclusive"]


def port_name(text: str) -> list[str]:
    faults = _sized(text, 15)
    if not re.fullmatch(r"[-a-z0-9]+", text):
        faults.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", text):
        faults.append("must contain at least one letter (a-z)")
    if "--" in text:
        faults.append("must not contain consecutive hyphens")
    if text and (text[0] == "-" or text[-1] == "-"):
        faults.append("must not begin or end with a hyphen")
    return faults


def environment_name(text: str) -> list[str]:
    if not text:
        return ["environment variable name must be non-empty"]
    if all(" " <= char <= "~" and char != "=" for char in text):
        return []
    return [
        "a valid environment variable name must consist only of printable ASCII characters other than '='"
    ]


_KEY = re.compile(r"[-._a-zA-Z0-9]+")


def config_map_key(text: str) -> list[str]:
    faults = _sized(text, 253)
    if not _KEY.fullmatch(text):
        rule = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
        faults.append(f"{rule} (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', {_USED} '[-._a-zA-Z0-9]+')")
    if text == ".":
        faults.append("must not be '.'")
    elif text == "..":
        faults.append("must not be '..'")
    elif text.startswith(".."):
        faults.append("must not start with '..'")
    return faults


def http_header_name(text: str) -> list[str]:
    if re.fullmatch("[-A-Za-z0-9]+", text):
        return []
    return [
        "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', "
        f"{_USED} '[-A-Za-z0-9]+')"
    ]


def process_id(number: int) -> list[str]:
    """A user or group of a container."""
    return [] if 0 <= number <= 2147483647 else ["must be between 0 and 2147483647, inclusive"]


def ip_address(path: str, text: str, out: Causes) -> bool:
    if not is_ip(text):
        out.append(invalid(path, text, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"))
        return False
    return True


@lru_cache(maxsize=4096)
def is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def dns_name(text: str, path: str, out: Causes) -> None:
    """The name of a balancer, which is no address."""
    check(dns1123_subdomain(text), path, text, out)
    if is_ip(text):
        out.append(invalid(path, text, "must be a DNS name, not an IP address"))


def cidr(path: str, text: str, out: Causes) -> bool:
    try:
        ipaddress.ip_interface(text)
        if "/" not in text:
            raise ValueError
    except ValueError:
        out.append(invalid(path, text, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"))
        return False
    return True


def domain_prefixed_path(text: str, path: str, out: Causes) -> None:
    """`acme.io/foo`: a domain, and a path in it."""
    domain, _, rest = text.partition("/")
    if not text:
        out.append(required(path))
    elif not domain or not rest:
        out.append(invalid(path, text, 'must be a domain-prefixed path (such as "acme.io/foo")'))
    else:
        check(dns1123_subdomain(domain), path, domain, out)
        if not _HTTP_PATH_RE.fullmatch(rest):
            out.append(invalid(path, rest, f"Invalid path ({_USED} '{_HTTP_PATH}')"))


def check(faults: list[str], path: str, value: str, out: Causes) -> None:
    """One Invalid cause for each fault."""
    for fault in faults:
        out.append(invalid(path, value, fault))
