"""What a CertificateSigningRequest asks for, and what is wrong with it for the signer that it names. Pure.

The texts of refusals are seen by who asked, in the condition `Failed`. Upstream:
`pkg/apis/certificates/helpers.go`, `pkg/controller/certificates/signer`.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from services.api.certificates_v1 import CertificateSigningRequest

API_CLIENT = "kubernetes.io/kube-apiserver-client"
KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
KUBELET_SERVING = "kubernetes.io/kubelet-serving"
LEGACY_UNKNOWN = "kubernetes.io/legacy-unknown"
SIGNERS = (API_CLIENT, KUBELET_CLIENT, KUBELET_SERVING, LEGACY_UNKNOWN)
NODES, NODE_PREFIX = "system:nodes", "system:node:"
_ENCIPHERS = ("digital signature", "key encipherment")


@dataclass(frozen=True, slots=True)
class Asked:
    """The inside of a request."""

    name: str
    organizations: tuple[str, ...] = ()
    dns: bool = False
    ips: bool = False
    emails: bool = False
    uris: bool = False


def has(request: CertificateSigningRequest, condition: str) -> bool:
    return any(each.type == condition for each in request.status.conditions)


def pem(request: CertificateSigningRequest) -> bytes:
    """ValueError where it is no base64."""
    try:
        return base64.b64decode(request.spec.request, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error


def read(request: CertificateSigningRequest) -> Asked:
    """ValueError where it cannot be read."""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    found = x509.load_pem_x509_csr(pem(request))

    def of(oid: x509.ObjectIdentifier) -> tuple[str, ...]:
        return tuple(str(each.value) for each in found.subject.get_attributes_for_oid(oid))

    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names = x509.SubjectAlternativeName([])
    kinds = {type(each) for each in names}
    return Asked(
        name=next(iter(of(NameOID.COMMON_NAME)[::-1]), ""),
        organizations=of(NameOID.ORGANIZATION_NAME),
        dns=x509.DNSName in kinds,
        ips=x509.IPAddress in kinds,
        emails=x509.RFC822Name in kinds,
        uris=x509.UniformResourceIdentifier in kinds,
    )


def fault(signer: str, asked: Asked, usages: list[str]) -> str:
    """Why that signer does not sign it; empty where it does."""
    if signer == API_CLIENT:
        for usage in usages:
            if usage not in (*_ENCIPHERS, "client auth"):
                return f"invalid usage for client certificate: {usage}"
        return "" if "client auth" in usages else "missing required usage for client certificate: client auth"
    if signer == KUBELET_CLIENT:
        return kubelet_client_fault(asked, usages)
    if signer == KUBELET_SERVING:
        return _kubelet_serving_fault(asked, usages)
    return ""


def kubelet_client_fault(asked: Asked, usages: list[str]) -> str:
    if asked.organizations != (NODES,):
        return "subject organization is not system:nodes"
    names = {"DNS": asked.dns, "Email": asked.emails, "IP": asked.ips, "URI": asked.uris}
    for what, present in names.items():
        if present:
            return f"{what} subjectAltNames are not allowed"
    if not asked.name.startswith(NODE_PREFIX):
        return "subject common name does not begin with system:node:"
    return _exactly(usages, "client auth")


def _kubelet_serving_fault(asked: Asked, usages: list[str]) -> str:
    if asked.organizations != (NODES,):
        return "subject organization is not system:nodes"
    if not (asked.dns or asked.ips):
        return "DNS or IP subjectAltName is required"
    if asked.emails:
        return "Email subjectAltNames are not allowed"
    if asked.uris:
        return "URI subjectAltNames are not allowed"
    if not asked.name.startswith(NODE_PREFIX):
        return "subject common name does not begin with system:node:"
    return _exactly(usages, "server auth")


def _exactly(usages: list[str], purpose: str) -> str:
    allowed = (sorted(("digital signature", purpose)), sorted((*_ENCIPHERS, purpose)))
    if sorted(usages) in allowed:
        return ""
    shown = " or ".join(f"[{' '.join(each)}]" for each in allowed)
    return f"usages did not match {shown}"
