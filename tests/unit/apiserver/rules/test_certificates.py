"""CertificateSigningRequests: what may be asked, and who may change what of an answer."""

from __future__ import annotations

import base64
import copy
from typing import Any

import pytest

from services.apiserver.authentication.acting import acting_as
from services.apiserver.authentication.users import User
from services.apiserver.rules import strategy_certificates
from services.apiserver.rules.validation import certificates
from services.machinery.field_errors import Causes
from tests.unit.controller_manager.test_certificates import pem_of

Json = dict[str, Any]
PEM = base64.b64encode(pem_of("jane")).decode()
SIGNER = "example.com/signer"


def asked(**spec: Any) -> Json:
    given = {"request": PEM, "signerName": SIGNER, "usages": ["client auth"], **spec}
    return {"metadata": {"name": "r"}, "spec": given, "status": {}}


def condition(kind: str, status: str = "True") -> Json:
    return {"type": kind, "status": status}


def causes(obj: Json) -> list[tuple[str, str]]:
    out: Causes = []
    certificates.request(obj, out)
    return [(each["field"], each["message"]) for each in out]


@pytest.mark.parametrize(
    ("spec", "field", "said"),
    [
        ({"request": "AAAA"}, "spec.request", "PEM block type must be CERTIFICATE REQUEST"),
        ({"request": "!"}, "spec.request", "PEM block type must be CERTIFICATE REQUEST"),
        ({"usages": []}, "spec.usages", "Required value"),
        ({"usages": ["client auth", "client auth"]}, "spec.usages[1]", 'Duplicate value: "client auth"'),
        ({"signerName": ""}, "spec.signerName", "Required value"),
        ({"signerName": "a/b/c"}, "spec.signerName", "must be a fully qualified domain and path"),
        ({"signerName": "a/b"}, "spec.signerName", "should be a domain with at least two segments"),
        ({"signerName": "a.b/c_d"}, "spec.signerName", 'validating label "c_d"'),
        ({"signerName": "kubernetes.io/legacy-unknown"}, "spec.signerName", "the legacy signerName is not"),
        ({"expirationSeconds": 599}, "spec.expirationSeconds", "less than 600 seconds (10 minutes)"),
    ],
)
def test_what_may_not_be_asked(spec: Json, field: str, said: str) -> None:
    ((where, why),) = causes(asked(**spec))
    assert where == field
    assert said in why


def test_a_request_whose_signature_is_another_s() -> None:
    pem = base64.b64decode(PEM)
    body = bytearray(base64.b64decode(b"".join(pem.splitlines()[1:-1])))
    body[-1] ^= 1
    forged = b"-----BEGIN CERTIFICATE REQUEST-----\n%s\n-----END CERTIFICATE REQUEST-----\n"
    text = base64.b64encode(forged % base64.b64encode(bytes(body))).decode()
    assert causes(asked(request=text))[0][0] == "spec.request"


def pem(kind: str, der: bytes, header: str = "") -> bytes:
    body = base64.b64encode(der).decode()
    return f"-----BEGIN {kind}-----\n{header}{body}\n-----END {kind}-----\n".encode()


def base64_of(*blocks: bytes) -> str:
    return base64.b64encode(b"".join(blocks)).decode()


REQUEST_DER = base64.b64decode(b"".join(base64.b64decode(PEM).splitlines()[1:-1]))


@pytest.mark.parametrize(
    ("blocks", "said"),
    [
        ([pem("NEW CERTIFICATE REQUEST", REQUEST_DER)], "PEM block type must be CERTIFICATE REQUEST"),
        ([pem("KEY", b"x"), pem("CERTIFICATE REQUEST", REQUEST_DER)], "PEM block type must be"),
        ([pem("CERTIFICATE REQUEST", b"")], "asn1: structure error"),
        ([pem("CERTIFICATE REQUEST", REQUEST_DER[:-9])], "asn1: structure error"),
        ([pem("CERTIFICATE REQUEST", bytes(300))], "asn1: structure error"),
        ([b"noise\n", pem("CERTIFICATE REQUEST", REQUEST_DER, "A: b\n\n")], ""),
        ([b"-----BEGIN CERTIFICATE REQUEST-----\n" * 50_000], "PEM block type must be"),
    ],
)
def test_requests_of_another_form(blocks: list[bytes], said: str) -> None:
    fault = certificates.request_fault(base64_of(*blocks))
    assert fault.startswith(said) if said else fault == ""


def test_a_damaged_request_is_refused() -> None:
    for at in range(0, len(REQUEST_DER), 7):
        damaged = bytearray(REQUEST_DER)
        damaged[at] ^= 0x55
        assert certificates.request_fault(base64_of(pem("CERTIFICATE REQUEST", bytes(damaged)))), at


@pytest.mark.parametrize(
    ("blocks", "said"),
    [
        ([b"nothing"], "must contain at least one CERTIFICATE PEM block"),
        ([pem("KEY", b"x")], 'only CERTIFICATE PEM blocks are allowed, found "KEY"'),
        ([pem("CERTIFICATE", b"x", "A: b\n\n")], "no PEM block headers are permitted"),
    ],
)
def test_certificates_of_another_form(blocks: list[bytes], said: str) -> None:
    assert certificates.certificate_fault(base64_of(*blocks)) == said
    assert certificates.certificate_fault(base64_of(pem("CERTIFICATE", b"x"))) != ""


@pytest.mark.parametrize(
    ("update", "changed", "said"),
    [
        (
            certificates.update,
            {"conditions": [condition("Approved")]},
            "updates may not add",
        ),
        (
            certificates.status_update,
            {"conditions": [condition("Denied")]},
            "updates may not add",
        ),
        (certificates.approval_update, {"conditions": [condition("Approved")]}, ""),
        (certificates.approval_update, {"conditions": [condition("Approved", "False")]}, "Unsupported value"),
        (
            certificates.approval_update,
            {"conditions": [condition("Approved"), condition("Denied")]},
            "mutually exclusive",
        ),
        (certificates.status_update, {"conditions": [condition("Failed")]}, ""),
        (certificates.update, {"certificate": "eA=="}, "updates may not set certificate content"),
        (certificates.status_update, {"certificate": "eA=="}, "at least one CERTIFICATE PEM block"),
    ],
)
def test_who_may_change_what(update: Any, changed: Json, said: str) -> None:
    old = asked()
    new = {**copy.deepcopy(old), "status": changed}
    out: Causes = []
    update(new, old, out)
    assert bool(out) == bool(said), out
    assert not said or any(said in cause["message"] for cause in out)


def test_what_was_decided_stays() -> None:
    old = {**asked(), "status": {"conditions": [condition("Approved")]}}
    out: Causes = []
    certificates.approval_update(asked(), old, out)
    assert [cause["message"] for cause in out] == [
        'Forbidden: updates may not remove a condition of type "Approved"'
    ]


def test_nobody_says_who_he_is() -> None:
    obj = asked(username="kubernetes-admin", groups=["system:masters"], uid="1", extra={"a": ["b"]})
    with acting_as(User("jane", ("devs",), "7")):
        strategy_certificates.create(obj)
    told = {field: obj["spec"].get(field) for field in ("username", "groups", "uid", "extra")}
    assert told == {"username": "jane", "groups": ["devs"], "uid": "7", "extra": None}
