"""What signers sign, for how long, and when requests are forgotten."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.api.certificates_v1 import (
    CertificateSigningRequest,
    CertificateSigningRequestCondition,
    CertificateSigningRequestSpec,
    CertificateSigningRequestStatus,
)
from services.api.meta_v1 import ObjectMeta
from services.controller_manager.certificates import cleaning, requests, signing
from services.controller_manager.certificates.requests import (
    API_CLIENT,
    KUBELET_CLIENT,
    KUBELET_SERVING,
    LEGACY_UNKNOWN,
    Asked,
    fault,
)
from services.machinery.certificate_time import ends
from services.process.keys import make_missing

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
NODE = Asked("system:node:n", ("system:nodes",))
SERVED = Asked("system:node:n", ("system:nodes",), dns=True)
CLIENT, SERVER = ["client auth", "digital signature"], ["digital signature", "server auth"]


@pytest.mark.parametrize(
    ("signer", "asked", "usages", "wanted"),
    [
        (API_CLIENT, Asked("x"), ["client auth"], ""),
        (API_CLIENT, Asked("x"), ["client auth", "key encipherment"], ""),
        (API_CLIENT, Asked("x"), ["server auth"], "invalid usage for client certificate: server auth"),
        (API_CLIENT, Asked("x"), ["digital signature"], "missing required usage for client certificate"),
        (KUBELET_CLIENT, NODE, CLIENT, ""),
        (KUBELET_CLIENT, NODE, [*CLIENT, "key encipherment"], ""),
        (KUBELET_CLIENT, NODE, ["client auth"], "usages did not match"),
        (KUBELET_CLIENT, Asked("system:node:n", ("devs",)), CLIENT, "organization is not system:nodes"),
        (KUBELET_CLIENT, Asked("n", ("system:nodes",)), CLIENT, "does not begin with system:node:"),
        (KUBELET_CLIENT, SERVED, CLIENT, "DNS subjectAltNames are not allowed"),
        (KUBELET_SERVING, SERVED, SERVER, ""),
        (KUBELET_SERVING, NODE, SERVER, "DNS or IP subjectAltName is required"),
        (KUBELET_SERVING, SERVED, CLIENT, "usages did not match"),
        (LEGACY_UNKNOWN, Asked(""), ["any"], ""),
    ],
)
def test_faults(signer: str, asked: Asked, usages: list[str], wanted: str) -> None:
    assert wanted in fault(signer, asked, usages)
    assert bool(wanted) == bool(fault(signer, asked, usages))


def pem_of(name: str, *names: str) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import NameOID

    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if names:
        known = x509.SubjectAlternativeName([x509.DNSName(each) for each in names])
        builder = builder.add_extension(known, critical=False)
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(Encoding.PEM)


@pytest.mark.parametrize(
    ("lifetime", "end"),
    [
        (timedelta(hours=1), timedelta(hours=1)),
        (timedelta(days=1), timedelta(days=1) - timedelta(minutes=5)),
        (timedelta(days=9999), timedelta(days=3650)),  # never longer than its CA
    ],
)
def test_what_is_signed(tmp_path: Path, lifetime: timedelta, end: timedelta) -> None:
    from cryptography import x509

    make_missing(tmp_path, NOW)
    usages = ["server auth", "key encipherment", "digital signature"]
    ca = tmp_path / "ca.crt", tmp_path / "ca.key"
    made = signing.sign(pem_of("n", "one", "two"), usages, *ca, NOW, lifetime)
    assert ends(made.decode()) == NOW + end
    certificate = x509.load_pem_x509_certificate(made)
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(ca[0].read_bytes()))
    extensions: Any = certificate.extensions
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["one", "two"]
    usage = extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.digital_signature, usage.key_encipherment, usage.key_cert_sign) == (True, True, False)
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_reading_a_request() -> None:
    spec = CertificateSigningRequestSpec(request=base64.b64encode(pem_of("jane", "a")).decode())
    assert requests.read(CertificateSigningRequest(spec=spec)) == Asked("jane", dns=True)
    for bad in ("", "!!", base64.b64encode(b"no pem").decode()):
        with pytest.raises(ValueError):  # noqa: PT011  # the library's own words
            requests.read(CertificateSigningRequest(spec=CertificateSigningRequestSpec(request=bad)))


def made_at(hours: float, condition: str = "", certificate: str = "") -> CertificateSigningRequest:
    moment = (NOW - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")
    conditions = [
        CertificateSigningRequestCondition(type=kind, status="True", last_update_time=moment)
        for kind in condition.split()
    ]
    return CertificateSigningRequest(
        metadata=ObjectMeta(name="r", creation_timestamp=moment),
        status=CertificateSigningRequestStatus(conditions=conditions, certificate=certificate or None),
    )


@pytest.mark.parametrize(
    ("request_", "over"),
    [
        (made_at(23), False),
        (made_at(25), True),
        (made_at(0.5, "Denied"), False),
        (made_at(1.5, "Denied"), True),
        (made_at(1.5, "Approved Failed"), True),
        (made_at(1.5, "Approved"), False),  # its signer may be somebody else, and slow
        (made_at(25, "Approved"), True),
        (made_at(0.5, "Approved", "bm8="), False),
        (made_at(1.5, "Approved", "bm8="), True),
    ],
)
def test_when_a_request_is_over(request_: CertificateSigningRequest, over: bool) -> None:
    assert cleaning.is_over(request_, NOW) is over
