"""TLS contexts from Secrets: which certificate a client is shown, by the name that it asks for.

Secrets are read when a client asks for them and kept while they are the same. Where none fits, or its content
is no certificate with its key, the controller's own is shown, which nobody trusts, as ingress-nginx does.
"""

from __future__ import annotations

import base64
import binascii
import ssl
import tempfile
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from services.api.core_v1 import Secret
from services.api.object import ObjectKey

FAKE_NAME = "Kubernetes Ingress Controller Fake Certificate"
LIFETIME = timedelta(days=365)
CONTEXTS_MAX = 1_000  # kept at a time

Pair = tuple[bytes, bytes]  # certificate chain and key, as PEM


class Certificates:
    """`secret_for` gives the Secret of a host, if there is one; `fault` hears what is wrong with one."""

    def __init__(
        self, fake: Pair, secret_for: Callable[[str], Secret | None], fault: Callable[[ObjectKey, str], None]
    ) -> None:
        self._secret_for, self._fault = secret_for, fault
        self._kept: dict[ObjectKey, tuple[str, ssl.SSLContext | None]] = {}
        self._default = context(*fake)
        self._default.sni_callback = self._choose

    @property
    def context(self) -> ssl.SSLContext:
        """The one to begin with: it changes to another with the name that the client sends."""
        return self._default

    def _choose(self, connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        secret = self._secret_for((name or "").lower())
        found = self._of(secret) if secret is not None else None
        if found is not None:
            connection.context = found

    def _of(self, secret: Secret) -> ssl.SSLContext | None:
        version = secret.metadata.resource_version or ""
        kept = self._kept.get(secret.key)
        if kept is not None and kept[0] == version:
            return kept[1]
        made: ssl.SSLContext | None = None
        try:
            made = context(*_pair(secret))
        except (ssl.SSLError, ValueError, KeyError, OSError) as error:
            self._fault(secret.key, str(error))
        while len(self._kept) >= CONTEXTS_MAX:
            del self._kept[next(iter(self._kept))]
        self._kept[secret.key] = (version, made)
        return made


def _pair(secret: Secret) -> Pair:
    try:
        return base64.b64decode(secret.data["tls.crt"]), base64.b64decode(secret.data["tls.key"])
    except binascii.Error as error:
        raise ValueError(str(error)) from error


def context(certificate: bytes, key: bytes) -> ssl.SSLContext:
    """A server's. ssl.SSLError where they do not belong together or are none."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.set_alpn_protocols(["http/1.1"])
    # The library reads keys from files only; this one is gone before anybody else could look.
    with tempfile.TemporaryDirectory(prefix="orrery-tls-") as folder:
        chain, secret = Path(folder, "tls.crt"), Path(folder, "tls.key")
        chain.write_bytes(certificate)
        secret.write_bytes(key)
        made.load_cert_chain(chain, secret, password=lambda: b"")
    return made


def self_signed(now: datetime, name: str = FAKE_NAME, hosts: tuple[str, ...] = ("ingress.local",)) -> Pair:
    """A certificate for those who ask for no name that is known. Takes a moment: not on the event loop."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Acme Co"),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return certificate.public_bytes(Encoding.PEM), secret
