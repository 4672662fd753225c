"""CertificateSigningRequests: what may be asked for, and what approval and signing may change.

The library that reads requests and certificates is loaded when the first one is looked at. Upstream:
`pkg/apis/certificates/validation`, `pkg/apis/core/validation/names.go`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from services.apiserver.rules.validation.meta import generic_object_meta, object_meta_update
from services.apiserver.rules.validation.names import dns1123_label, dns1123_subdomain
from services.machinery.field_errors import (
    Causes,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    quoted,
    required,
    too_long,
)

Json = dict[str, Any]

LEGACY_UNKNOWN = "kubernetes.io/legacy-unknown"
USAGES = (
    "any", "cert sign", "client auth", "code signing", "content commitment", "crl sign", "data encipherment",
    "decipher only", "digital signature", "email protection", "encipher only", "ipsec end system",
    "ipsec tunnel", "ipsec user", "key agreement", "key encipherment", "microsoft sgc", "netscape sgc",
    "ocsp signing", "s/mime", "server auth", "signing", "timestamping",
)  # fmt: skip
DECISIONS = ("Approved", "Denied")
SECONDS_MIN = 600
_BEGIN, _DASHES = b"-----BEGIN ", b"-----"
_FAULTS_OF_KEYS = {"RSA": "crypto/rsa: verification error", "EC": "x509: ECDSA verification failure"}
_DOMAIN_LENGTH_MAX = 253
_SIGNER_LENGTH_MAX = 253 + 1 + 253 + 1 + 63
_FORM = "must be a fully qualified domain and path of the form 'example.com/signer-name'"


def request(obj: Json, out: Causes) -> None:
    generic_object_meta(obj["metadata"], False, lambda name: [], out)
    _content(obj, None, out)


def _content(obj: Json, old: Json | None, out: Causes) -> None:
    """What was stored with a fault may keep it."""
    spec, before = obj["spec"], (old or {}).get("spec") or {}
    if fault := request_fault(spec.get("request") or ""):
        out.append(invalid("spec.request", spec.get("request", ""), fault))
    usages = spec.get("usages") or []
    if not usages:
        out.append(required("spec.usages"))
    if usages != before.get("usages"):
        for index, usage in enumerate(usages):
            if usage not in USAGES:
                out.append(not_supported(f"spec.usages[{index}]", usage, USAGES))
        for index, usage in enumerate(usages):
            if usage in usages[:index]:
                out.append(duplicate(f"spec.usages[{index}]", usage))
    signer = spec.get("signerName", "")
    if signer != LEGACY_UNKNOWN:
        signer_name(signer, "spec.signerName", out)
    elif before.get("signerName") != LEGACY_UNKNOWN:
        why = "the legacy signerName is not allowed via this API version"
        out.append(invalid("spec.signerName", signer, why))
    seconds = spec.get("expirationSeconds")
    if seconds is not None and seconds < SECONDS_MIN:
        why = "may not specify a duration less than 600 seconds (10 minutes)"
        out.append(invalid("spec.expirationSeconds", seconds, why))
    _conditions((obj.get("status") or {}).get("conditions") or (), out)
    certificate = (obj.get("status") or {}).get("certificate", "")
    had = ((old or {}).get("status") or {}).get("certificate", "")
    if certificate != had and (fault := certificate_fault(certificate)):
        out.append(invalid("status.certificate", "<certificate data>", fault))


def signer_name(signer: str, path: str, out: Causes) -> None:
    if not signer:
        out.append(required(path))
        return
    domain, *rest = signer.split("/")
    if len(rest) != 1:
        out.append(invalid(path, signer, _FORM))
        return
    if len(domain) > _DOMAIN_LENGTH_MAX:
        out.append(too_long(path, _DOMAIN_LENGTH_MAX))
    labels = domain.split(".")
    for label in labels:
        if faults := dns1123_label(label):
            shown = (f"validating label {quoted(label)}: {fault}" for fault in faults)
            out.extend(invalid(path, domain, why) for why in shown)
            break
    if len(labels) < 2:
        out.append(invalid(path, domain, "should be a domain with at least two segments separated by dots"))
    for label in rest[0].split("."):
        if faults := dns1123_subdomain(label):
            shown = (f"validating label {quoted(label)}: {fault}" for fault in faults)
            out.extend(invalid(path, rest[0], why) for why in shown)
            break
    if len(signer) > _SIGNER_LENGTH_MAX:
        out.append(too_long(path, _SIGNER_LENGTH_MAX))


def _conditions(conditions: Iterator[Json] | tuple[Json, ...] | list[Json], out: Causes) -> None:
    seen: list[str] = []
    for index, condition in enumerate(conditions):
        path, kind, status = f"status.conditions[{index}]", condition.get("type", ""), condition.get("status")
        if not kind:
            out.append(required(f"{path}.type"))
        allowed = ("True",) if kind in (*DECISIONS, "Failed") else ("False", "True", "Unknown")
        if not status:
            out.append(required(f"{path}.status"))
        elif status not in allowed:
            out.append(not_supported(f"{path}.status", status, allowed))
        other = {"Approved": "Denied", "Denied": "Approved"}.get(kind)
        if other in seen:
            why = "Approved and Denied conditions are mutually exclusive"
            out.append(invalid(f"{path}.type", kind, why))
        if kind in seen:
            out.append(duplicate(f"{path}.type", kind))
        seen.append(kind)


# -- updates -------------------------------------------------------------------------------------


def update(new: Json, old: Json, out: Causes) -> None:
    _update(new, old, out)


def status_update(new: Json, old: Json, out: Causes) -> None:
    _update(new, old, out, signs=True)


def approval_update(new: Json, old: Json, out: Causes) -> None:
    _update(new, old, out, decides=True)


def _update(new: Json, old: Json, out: Causes, *, signs: bool = False, decides: bool = False) -> None:
    _content(new, old, out)
    path = "status.conditions"
    counts = {kind: (len(of(old, kind)), len(of(new, kind))) for kind in (*DECISIONS, "Failed")}
    for kind, (before, after) in counts.items():
        if after < before:
            out.append(forbidden(path, f'updates may not remove a condition of type "{kind}"'))
    for kind in () if decides else DECISIONS:
        before, after = counts[kind]
        if after > before:
            out.append(forbidden(path, f'updates may not add a condition of type "{kind}"'))
        elif after == before and of(old, kind) != of(new, kind):
            out.append(forbidden(path, f'updates may not modify a condition of type "{kind}"'))
    had = (old.get("status") or {}).get("certificate", "")
    if (new.get("status") or {}).get("certificate", "") != had:
        if not signs:
            out.append(forbidden("status.certificate", "updates may not set certificate content"))
        elif had:
            why = "updates may not modify existing certificate content"
            out.append(forbidden("status.certificate", why))
    object_meta_update(new["metadata"], old["metadata"], out)


def of(obj: Json, kind: str) -> list[Json]:
    """Its conditions of that type."""
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return [each for each in conditions if each.get("type") == kind]


# -- what is inside ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Block:
    kind: str
    der: bytes
    has_headers: bool


def _blocks(pem: bytes) -> Iterator[_Block]:
    """What stands between a BEGIN and its END; what cannot be read is passed over, as Go's reader does."""
    kind, lines, headers = b"", list[bytes](), False
    for line in pem.splitlines():
        line = line.strip()
        if line.startswith(_BEGIN) and line.endswith(_DASHES):
            kind, lines, headers = line[len(_BEGIN) : -len(_DASHES)], [], False
        elif kind and line == b"-----END " + kind + _DASHES:
            try:
                der = base64.b64decode(b"".join(lines), validate=True)
                yield _Block(kind.decode(errors="replace"), der, headers)
            except binascii.Error:
                pass
            kind = b""
        elif b":" in line:
            headers = True
        else:
            lines.append(line)


def request_fault(text: str) -> str:
    """What is wrong with a request in PEM in base64; empty where nothing is."""
    try:
        block = next(_blocks(base64.b64decode(text, validate=True)), None)
    except (binascii.Error, ValueError):
        block = None
    if block is None or block.kind != "CERTIFICATE REQUEST":
        return "PEM block type must be CERTIFICATE REQUEST"
    from cryptography import exceptions, x509
    from cryptography.hazmat.primitives.asymmetric import rsa

    try:
        found = x509.load_der_x509_csr(block.der)
        if found.is_signature_valid:
            return ""
        return _FAULTS_OF_KEYS["RSA" if isinstance(found.public_key(), rsa.RSAPublicKey) else "EC"]
    except exceptions.UnsupportedAlgorithm:
        return "x509: cannot verify signature: algorithm unimplemented"
    except (ValueError, x509.InvalidVersion) as error:
        return f"asn1: structure error: {error}"


def certificate_fault(text: str) -> str:
    """What is wrong with what a signer gave: certificates in PEM in base64."""
    if not text:
        return ""
    from cryptography import x509

    try:
        blocks = list(_blocks(base64.b64decode(text, validate=True)))
    except (binascii.Error, ValueError):
        return "illegal base64 data"
    for block in blocks:
        if block.kind != "CERTIFICATE":
            return f"only CERTIFICATE PEM blocks are allowed, found {quoted(block.kind)}"
        if block.has_headers:
            return "no PEM block headers are permitted"
        try:
            x509.load_der_x509_certificate(block.der)
        except (ValueError, x509.InvalidVersion) as error:
            return str(error)
    return "" if blocks else "must contain at least one CERTIFICATE PEM block"
