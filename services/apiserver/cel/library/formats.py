"""`format.dns1123Label().validate(text)`: none where the text has the form, else what is wrong with it."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from services.apiserver.cel.functions import Library
from services.apiserver.cel.library.urls import _is_url as is_url
from services.apiserver.cel.types import Type, opaque
from services.apiserver.cel.values import NONE, Opaque, Optional, parse_timestamp

FORMATS = Library()
_FORMAT = "kubernetes.NamedFormat"
Check = Callable[[str], list[str]]


@dataclass(frozen=True, slots=True)
class Format(Opaque):
    cel_type: ClassVar[Type] = opaque(_FORMAT)
    name: str
    check: Check


def _one_of_form(form: re.Pattern[str], length_max: int, why: str, text: str) -> list[str]:
    faults = [] if len(text) <= length_max else [f"must be no more than {length_max} characters"]
    return faults if form.fullmatch(text) else [*faults, why]


_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_LABEL_WHY = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and"
    " end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is"
    " '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_SUBDOMAIN_WHY = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must"
    " start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is"
    " '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_DNS1035_WHY = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic"
    " character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for"
    " validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
)
_QUALIFIED_WHY = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an"
    " alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is"
    " '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_VALUE_WHY = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must"
    " start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex"
    " used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_NAME = re.compile("([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_subdomain = partial(_one_of_form, re.compile(rf"{_LABEL}(\.{_LABEL})*"), 253, _SUBDOMAIN_WHY)
_label = partial(_one_of_form, re.compile(_LABEL), 63, _LABEL_WHY)
_dns1035 = partial(_one_of_form, re.compile("[a-z]([-a-z0-9]*[a-z0-9])?"), 63, _DNS1035_WHY)


def _qualified(text: str) -> list[str]:
    prefix, slash, name = text.rpartition("/")
    faults = [f"prefix part {why}" for why in _subdomain(prefix)] if slash else []
    if not name:
        return [*faults, "name part must be non-empty"]
    return [*faults, *_one_of_form(_NAME, 63, _QUALIFIED_WHY, name)]


def _prefix(check: Check, text: str) -> list[str]:
    return check(f"{text[:-1]}a" if text.endswith("-") else text)


def _accepted(parse: Callable[[str], object], why: str, text: str) -> list[str]:
    try:
        return [] if parse(text) is not False else [why]
    except (ValueError, binascii.Error):
        return [why]


_CHECKS: dict[str, Check] = {
    "dns1123Label": _label,
    "dns1123Subdomain": _subdomain,
    "dns1035Label": _dns1035,
    "qualifiedName": _qualified,
    "dns1123LabelPrefix": partial(_prefix, _label),
    "dns1123SubdomainPrefix": partial(_prefix, _subdomain),
    "dns1035LabelPrefix": partial(_prefix, _dns1035),
    "labelValue": partial(
        _one_of_form, re.compile("(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?"), 63, _VALUE_WHY
    ),
    "uri": partial(_accepted, is_url, "invalid URI"),
    "uuid": lambda text: (
        []
        if re.fullmatch("(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", text)
        else ["does not match the UUID format"]
    ),
    "byte": partial(_accepted, partial(base64.b64decode, validate=True), "invalid base64"),
    "date": partial(_accepted, lambda text: parse_timestamp(f"{text}T00:00:00Z"), "invalid date"),
    "datetime": partial(_accepted, parse_timestamp, "invalid datetime"),
}
_FORMATS = {name: Format(name, check) for name, check in _CHECKS.items()}


def _declare(found: Format) -> None:
    FORMATS.function(f"format.{found.name}", f" -> {_FORMAT}")(lambda: found)


for _found in _FORMATS.values():
    _declare(_found)


@FORMATS.function("format.named", f"string -> optional<{_FORMAT}>")
def _named(name: str) -> Optional:
    return Optional(_FORMATS[name], True) if name in _FORMATS else NONE


@FORMATS.member("validate", f"{_FORMAT}, string -> optional<list<string>>")
def _validate(form: Format, text: str) -> Optional:
    faults = form.check(text)
    return Optional(faults, True) if faults else NONE
