"""CertificateSigningRequests described: who asks whom for what name, and how far that is.

What the request says is read from its PEM text; one that cannot be read is an error, as upstream.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from services.kubectl.describe import events
from services.kubectl.describe.writer import Writer, rfc1123
from services.kubectl.errors import Fail
from services.kubectl.output.labels import format_labels
from services.machinery import duration

if TYPE_CHECKING:
    from cryptography import x509

Json = dict[str, Any]

_SUBJECT = (
    ("Organization", "2.5.4.10"),
    ("Organizational Unit", "2.5.4.11"),
    ("Country", "2.5.4.6"),
    ("Locality", "2.5.4.7"),
    ("Province", "2.5.4.8"),
    ("StreetAddress", "2.5.4.9"),
    ("PostalCode", "2.5.4.17"),
)
_COMMON_NAME, _SERIAL_NUMBER = "2.5.4.3", "2.5.4.5"


def request(obj: Json, found_events: Iterable[Json] | None, now: datetime) -> str:
    writer = Writer()
    metadata, spec = obj["metadata"], obj.get("spec") or {}
    writer.line(0, "Name:", metadata["name"])
    writer.line(0, "Labels:", format_labels(metadata.get("labels")))
    writer.line(0, "Annotations:", format_labels(metadata.get("annotations")))
    writer.line(0, "CreationTimestamp:", rfc1123(metadata.get("creationTimestamp")))
    writer.line(0, "Requesting User:", spec.get("username", ""))
    if spec.get("signerName"):
        writer.line(0, "Signer:", spec["signerName"])
    if spec.get("expirationSeconds") is not None:
        writer.line(0, "Requested Duration:", duration.human(spec["expirationSeconds"]))
    writer.line(0, "Status:", status(obj))
    _asked_for(writer, spec.get("request") or "")
    events.describe(writer, found_events, now)
    return writer.text()


def status(obj: Json) -> str:
    """`Approved,Issued`: denied before approved, then how it ended."""
    state = obj.get("status") or {}
    types = {each.get("type") for each in state.get("conditions") or ()}
    words = ["Denied" if "Denied" in types else "Approved" if "Approved" in types else "Pending"]
    words += ["Failed"] if "Failed" in types else []
    words += ["Issued"] if state.get("certificate") else []
    return ",".join(words)


def _asked_for(writer: Writer, encoded: str) -> None:
    from cryptography import x509

    try:
        asked = x509.load_pem_x509_csr(base64.b64decode(encoded))
    except ValueError as error:
        raise Fail(f"Error parsing CSR: {error}") from error
    subject = asked.subject
    writer.write(0, "Subject:\n")
    writer.line(0, "", "Common Name:", "".join(_values(subject, _COMMON_NAME)[-1:]))
    writer.line(0, "", "Serial Number:", "".join(_values(subject, _SERIAL_NUMBER)[-1:]))
    for title, identifier in _SUBJECT:
        _listed(writer, title, _values(subject, identifier))
    try:
        names = asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    writer.write(0, "Subject Alternative Names:\n")
    _listed(writer, "DNS Names", names.get_values_for_type(x509.DNSName))
    _listed(writer, "Email Addresses", names.get_values_for_type(x509.RFC822Name))
    _listed(writer, "URIs", names.get_values_for_type(x509.UniformResourceIdentifier))
    _listed(writer, "IP Addresses", [str(each) for each in names.get_values_for_type(x509.IPAddress)])


def _values(subject: x509.Name, identifier: str) -> list[str]:
    return [str(each.value) for each in subject if each.oid.dotted_string == identifier]


def _listed(writer: Writer, title: str, values: Sequence[str]) -> None:
    if values:
        separator = "\n\t\t"
        writer.write(0, f"\t{title}:\t{separator.join(values)}\n")
