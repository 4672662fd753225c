"""The cluster's keys, made at its first start: a certificate authority, and what signs tokens.

    ca.crt, ca.key   what Pods check the API server's certificate against; ten years, ECDSA P-256
    sa.key, sa.pub   the API server signs service account tokens with the first
    apiserver.crt    what the API server shows on its HTTPS port
    admin.crt        who `kubectl` is, with the kubeconfig that the launcher writes

`make_missing` keeps what is there. Run as `python -m services.process.keys FOLDER` where no launcher
does it, as in compose. The library that makes them is loaded here only when something is missing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

CA_CERTIFICATE, CA_KEY = "ca.crt", "ca.key"
SIGNING_KEY, PUBLIC_KEY = "sa.key", "sa.pub"
SERVING, ADMIN = "apiserver", "admin"
CA_NAME = "kubernetes"
ADMIN_NAME, ADMIN_GROUP = "kubernetes-admin", "system:masters"
# By these names the API server is called from inside the cluster and from this machine.
SERVING_NAMES = (
    "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
    "localhost", "apiserver",
)  # fmt: skip
SERVING_ADDRESSES = ("127.0.0.1", "10.96.0.1", "::1")
LIFETIME = timedelta(days=3650)
SKEW = timedelta(minutes=5)  # clocks of one cluster differ a little


def make_missing(folder: Path, now: datetime) -> None:
    """Leaves a complete set. OSError when the folder cannot be written."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not (folder / SIGNING_KEY).exists():
        _make_signing_key(folder)
    if not (folder / CA_CERTIFICATE).exists() or not (folder / CA_KEY).exists():
        _make_ca(folder, now)
        for stale in (SERVING, ADMIN):
            (folder / f"{stale}.crt").unlink(missing_ok=True)
    if not (folder / f"{SERVING}.crt").exists():
        _issue(folder, SERVING, now, "kube-apiserver", "", names=SERVING_NAMES, addresses=SERVING_ADDRESSES)
    if not (folder / f"{ADMIN}.crt").exists():
        _issue(folder, ADMIN, now, ADMIN_NAME, ADMIN_GROUP)


def _issue(
    folder: Path,
    file: str,
    now: datetime,
    user: str,
    group: str,
    *,
    names: Sequence[str] = (),
    addresses: Sequence[str] = (),
) -> None:
    """A certificate of the cluster's CA: for a server where it has names, else for a client."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    authority = x509.load_pem_x509_certificate((folder / CA_CERTIFICATE).read_bytes())
    signer = load_pem_private_key((folder / CA_KEY).read_bytes(), None)
    assert isinstance(signer, EllipticCurvePrivateKey)
    key = _new_key()
    subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)] if group else []
    subject.append(x509.NameAttribute(NameOID.COMMON_NAME, user))
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if names else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(subject))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    if names:
        known: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
        known += [x509.IPAddress(ip_address(each)) for each in addresses]
        builder = builder.add_extension(x509.SubjectAlternativeName(known), critical=False)
    certificate = builder.sign(signer, hashes.SHA256())
    _write(folder / f"{file}.key", _pem(key), 0o600)
    _write(folder / f"{file}.crt", certificate.public_bytes(Encoding.PEM), 0o644)


def _make_signing_key(folder: Path) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = _new_key()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    _write(folder / PUBLIC_KEY, public, 0o644)
    _write(folder / SIGNING_KEY, _pem(key), 0o600)


def _make_ca(folder: Path, now: datetime) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import NameOID

    key = _new_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, CA_NAME)])
    usage = x509.KeyUsage(
        digital_signature=True, key_encipherment=True, key_cert_sign=True, content_commitment=False,
        data_encipherment=False, key_agreement=False, crl_sign=False, encipher_only=False,
        decipher_only=False,
    )  # fmt: skip
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(CA_NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write(folder / CA_KEY, _pem(key), 0o600)
    _write(folder / CA_CERTIFICATE, certificate.public_bytes(Encoding.PEM), 0o644)


def _new_key() -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _pem(key: EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def _write(path: Path, content: bytes, mode: int) -> None:
    """The whole file or none: a process that starts meanwhile reads no half of a key."""
    draft = path.with_name(path.name + ".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)
    draft.replace(path)


def main() -> int:
    from services.process.clock import SystemClock

    make_missing(Path(sys.argv[1]), SystemClock().now())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
