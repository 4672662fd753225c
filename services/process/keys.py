"""The cluster's keys, made at its first start: a certificate authority, and what it signed.

    ca.crt, ca.key           whom everybody trusts; ten years, ECDSA P-256, as all of them
    sa.key, sa.pub           the API server signs service account tokens with the first
    apiserver.crt            what the API server shows on its ports
    apiserver-kubelet-client who the API server is where it asks kubelets
    admin                    who `ok` and `kubectl` are
    scheduler, controller-manager, cloud-controller-manager, kube-proxy, hollow-nodes
    nodes/NAME               a kubelet: what it shows to the API server, to other nodes and on its own port

`make_missing` keeps what is there and is still good for a month. Run as `python -m services.process.keys
FOLDER [--nodes N] [--node NAME]` where no launcher does it, as in compose. The library that makes them is
loaded here only when something is missing.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from services.client.credentials import ADMIN, CA_CERTIFICATE, KUBELET_SERVER_NAME
from services.machinery.certificate_time import ends

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate

CA_KEY = "ca.key"
SIGNING_KEY, PUBLIC_KEY = "sa.key", "sa.pub"
SERVING, KUBELET_CLIENT = "apiserver", "apiserver-kubelet-client"
CA_NAME = "kubernetes"
ADMIN_NAME, ADMIN_GROUP = "kubernetes-admin", "system:masters"
KUBE_PROXY, HOLLOW_NODES, NODES = "kube-proxy", "hollow-nodes", "nodes"
# File: user and group.
CLIENTS = {
    ADMIN: (ADMIN_NAME, ADMIN_GROUP),
    KUBELET_CLIENT: ("kube-apiserver-kubelet-client", ADMIN_GROUP),
    "scheduler": ("system:kube-scheduler", ""),
    "controller-manager": ("system:kube-controller-manager", ""),
    "cloud-controller-manager": ("system:cloud-controller-manager", ""),
    KUBE_PROXY: ("system:kube-proxy", ""),
}
NODES_GROUP = "system:nodes"
# A process that stands for many nodes is none of them: the Node rule could not say what it may read.
HOLLOW_NAME, HOLLOW_GROUP = "system:hollow-nodes", "system:hollow-nodes"
# By these names the API server is called from inside the cluster and from this machine.
SERVING_NAMES = (
    "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
    "localhost", "apiserver",
)  # fmt: skip
SERVING_ADDRESSES = ("127.0.0.1", "10.96.0.1", "::1")
LIFETIME = timedelta(days=3650)
RENEWED_BEFORE = timedelta(days=30)  # a certificate that ends sooner is made anew at a start
SKEW = timedelta(minutes=5)  # clocks of one cluster differ a little


def make_missing(folder: Path, now: datetime, nodes: Iterable[str] = ()) -> None:
    """Leaves a complete set, with a certificate for each of these nodes. OSError: it cannot be written."""
    for each in (folder, folder / NODES):
        each.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not (folder / SIGNING_KEY).exists():
        _make_signing_key(folder)
    if not _is_good(folder, "ca", now):
        _make_ca(folder, now)
        for stale in (*folder.glob("*.crt"), *(folder / NODES).glob("*.crt")):
            if stale.name != CA_CERTIFICATE:
                stale.unlink()
    issuer = Issuer(folder, now)
    if not _is_good(folder, SERVING, now):
        issuer.issue(SERVING, "kube-apiserver", "", names=SERVING_NAMES, addresses=SERVING_ADDRESSES)
    for file, (user, group) in CLIENTS.items():
        if not _is_good(folder, file, now):
            issuer.issue(file, user, group)
    if not _is_good(folder, HOLLOW_NODES, now):
        issuer.issue(HOLLOW_NODES, HOLLOW_NAME, HOLLOW_GROUP, names=(KUBELET_SERVER_NAME,), client=True)
    for name in nodes:
        if not _is_good(folder / NODES, name, now):
            names = (name, KUBELET_SERVER_NAME)
            issuer.issue(f"{NODES}/{name}", f"system:node:{name}", NODES_GROUP, names=names, client=True)


def _is_good(folder: Path, name: str, now: datetime) -> bool:
    """Whether there is such a certificate with its key, and it lasts a while yet."""
    try:
        text = (folder / f"{name}.crt").read_text()
        return (folder / f"{name}.key").exists() and ends(text) - now > RENEWED_BEFORE
    except (FileNotFoundError, ValueError):
        return False


class Issuer:
    """The cluster's CA at work. Its files are read when the first certificate is asked for."""

    def __init__(self, folder: Path, now: datetime) -> None:
        self._folder, self._now = folder, now
        self._authority: tuple[Certificate, EllipticCurvePrivateKey] | None = None

    def issue(
        self,
        file: str,
        user: str,
        group: str,
        *,
        names: Sequence[str] = (),
        addresses: Sequence[str] = (),
        client: bool = False,
    ) -> None:
        """For a server where it has names, else for a client; `client`: for both."""
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.serialization import Encoding
        from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

        self._authority = authority, signer = self._authority or self._load()
        key = _new_key()
        subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)] if group else []
        subject.append(x509.NameAttribute(NameOID.COMMON_NAME, user))
        purposes = [ExtendedKeyUsageOID.CLIENT_AUTH] if client or not names else []
        purposes += [ExtendedKeyUsageOID.SERVER_AUTH] if names else []
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name(subject))
            .issuer_name(authority.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - SKEW)
            .not_valid_after(self._now + LIFETIME)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
            )
        )
        if names:
            known: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
            known += [x509.IPAddress(ip_address(each)) for each in addresses]
            builder = builder.add_extension(x509.SubjectAlternativeName(known), critical=False)
        certificate = builder.sign(signer, hashes.SHA256())
        _write(self._folder / f"{file}.key", _pem(key), 0o600)
        _write(self._folder / f"{file}.crt", certificate.public_bytes(Encoding.PEM), 0o644)

    def _load(self) -> tuple[Certificate, EllipticCurvePrivateKey]:
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        authority = x509.load_pem_x509_certificate((self._folder / CA_CERTIFICATE).read_bytes())
        signer = load_pem_private_key((self._folder / CA_KEY).read_bytes(), None)
        assert isinstance(signer, EllipticCurvePrivateKey)
        return authority, signer


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

    parser = argparse.ArgumentParser(prog="python -m services.process.keys")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--nodes", type=int, default=0, help="make certificates for node-1 to node-N")
    parser.add_argument("--node", action="append", default=[], help="and for a node of that name")
    flags = parser.parse_args()
    names = [f"node-{number}" for number in range(1, flags.nodes + 1)] + flags.node
    make_missing(flags.folder, SystemClock().now(), names)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
