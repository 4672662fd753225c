"""Signing controller: what was approved for one of the cluster's own signers gets a certificate of its CA.

Whom it is for and what for stand in the request; nothing of them is changed. A request that its signer does
not sign is marked `Failed`, and stays so. For as long as asked, a year at most. The library that signs is
loaded with the first approved request. Upstream: `pkg/controller/certificates/signer`, and `authority`.
"""

from __future__ import annotations

import asyncio
import base64
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from services.api.certificates_v1 import (
    CertificateSigningRequest,
    CertificateSigningRequestCondition,
    CertificateSigningRequestStatus,
)
from services.client.controller import Controller, ControllerContext, For
from services.controller_manager.certificates import requests
from services.machinery.clock import rfc3339

LIFETIME = timedelta(days=365)
BACKDATE = timedelta(minutes=5)
SHORT = timedelta(hours=8)  # what lasts no longer loses none of it to the back-dating


def _to_sign(request: CertificateSigningRequest) -> bool:
    return (
        request.spec.signer_name in requests.SIGNERS
        and requests.has(request, "Approved")
        and not requests.has(request, "Denied")
        and not requests.has(request, "Failed")
        and not request.status.certificate
    )


class SigningController(Controller[CertificateSigningRequest]):
    name = "certificatesigningrequest-signing"
    watches = (For(CertificateSigningRequest, when=lambda old, new: new is not None and _to_sign(new)),)

    def __init__(self, context: ControllerContext, certificate: Path, key: Path) -> None:
        super().__init__(context)
        self._files = certificate, key

    async def reconcile(self, request: CertificateSigningRequest) -> None:
        if not _to_sign(request):
            return
        try:
            fault = requests.fault(request.spec.signer_name, requests.read(request), request.spec.usages)
        except ValueError as error:
            fault = f"unable to parse csr {request.key.name!r}: {error}"
        now = self.clock.now()
        status = _failed(request, fault, now) if fault else await self._signed(request, now)
        await self.client.update(replace(request, status=status), subresource="status")
        said = {"kind": request.kind, "name": request.key.name, "signer": request.spec.signer_name}
        if fault:
            self.log.info("Did not sign a request for a certificate", **said, why=fault)
        else:
            self.log.info("Signed a certificate", **said)

    async def _signed(
        self, request: CertificateSigningRequest, now: datetime
    ) -> CertificateSigningRequestStatus:
        seconds = request.spec.expiration_seconds
        lifetime = min(LIFETIME, timedelta(seconds=seconds)) if seconds else LIFETIME
        made = await asyncio.to_thread(
            sign, requests.pem(request), request.spec.usages, *self._files, now, lifetime
        )
        return replace(request.status, certificate=base64.b64encode(made).decode())


def _failed(request: CertificateSigningRequest, fault: str, now: datetime) -> CertificateSigningRequestStatus:
    failed = CertificateSigningRequestCondition(
        type="Failed",
        status="True",
        reason="SignerValidationFailure",
        message=fault,
        last_update_time=rfc3339(now),
    )
    return replace(request.status, conditions=[*request.status.conditions, failed])


def sign(
    pem: bytes, usages: list[str], certificate: Path, key: Path, now: datetime, lifetime: timedelta
) -> bytes:
    """The certificate, in PEM. OSError, ValueError where the CA cannot be used."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

    asked = x509.load_pem_x509_csr(pem)
    authority = x509.load_pem_x509_certificate(certificate.read_bytes())
    signer: Any = load_pem_private_key(key.read_bytes(), None)
    begins = now - BACKDATE
    ends = now + lifetime if lifetime <= SHORT else begins + lifetime
    builder = (
        x509.CertificateBuilder()
        .subject_name(asked.subject)
        .issuer_name(authority.subject)
        .public_key(asked.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(min(ends, authority.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    wanted = {_KEY_USAGES[usage] for usage in usages if usage in _KEY_USAGES}
    if wanted:
        builder = builder.add_extension(_key_usage(wanted), critical=True)
    purposes = [x509.ObjectIdentifier(_PURPOSES[usage]) for usage in usages if usage in _PURPOSES]
    if purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    try:
        names = asked.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        builder = builder.add_extension(names.value, critical=names.critical)
    except x509.ExtensionNotFound:
        pass
    return builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.PEM)


def _key_usage(wanted: set[str]) -> Any:
    from cryptography import x509

    known = (*dict.fromkeys(_KEY_USAGES.values()), "encipher_only", "decipher_only")
    return x509.KeyUsage(**{name: name in wanted for name in known})


_KEY_USAGES = {
    "signing": "digital_signature",
    "digital signature": "digital_signature",
    "content commitment": "content_commitment",
    "key encipherment": "key_encipherment",
    "data encipherment": "data_encipherment",
    "key agreement": "key_agreement",
    "cert sign": "key_cert_sign",
    "crl sign": "crl_sign",
}
_PKIX = "1.3.6.1.5.5.7.3"
_PURPOSES = {
    "any": "2.5.29.37.0",
    "server auth": f"{_PKIX}.1",
    "client auth": f"{_PKIX}.2",
    "code signing": f"{_PKIX}.3",
    "email protection": f"{_PKIX}.4",
    "s/mime": f"{_PKIX}.4",
    "ipsec end system": f"{_PKIX}.5",
    "ipsec tunnel": f"{_PKIX}.6",
    "ipsec user": f"{_PKIX}.7",
    "timestamping": f"{_PKIX}.8",
    "ocsp signing": f"{_PKIX}.9",
    "microsoft sgc": "1.3.6.1.4.1.311.10.3.3",
    "netscape sgc": "2.16.840.1.113730.4.1",
}
