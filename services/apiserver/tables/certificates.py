"""Columns and cells of CertificateSigningRequests: who asks whom for what, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from services.apiserver.tables.columns import AGE, Column, column
from services.apiserver.tables.descriptions import DESCRIPTIONS as COMMON
from services.machinery.duration import human, since

Json = dict[str, Any]
Cells = list[Any]

SIGNER = (
    "Requested signer for the request. It is a qualified name in the form: `scope-hostname.io/name`. If "
    "empty, it will be defaulted:\n 1. If it's a kubelet client certificate, it is assigned\n"
    '    "kubernetes.io/kube-apiserver-client-kubelet".\n'
    " 2. If it's a kubelet serving certificate, it is assigned\n"
    '    "kubernetes.io/kubelet-serving".\n'
    ' 3. Otherwise, it is assigned "kubernetes.io/legacy-unknown".\n'
    "Distribution of trust for signers happens out of band. You can select on this field using "
    "`spec.signerName`."
)
REQUEST = "Base64-encoded PKCS#10 CSR data"
SECONDS = (
    "expirationSeconds is the requested duration of validity of the issued certificate. The certificate "
    "signer may issue a certificate with a different validity duration so a client must check the delta "
    "between the notBefore and and notAfter fields in the issued certificate to determine the actual "
    "duration.\n\nThe v1.22+ in-tree implementations of the well-known Kubernetes signers will honor this "
    "field as long as the requested duration is not greater than the maximum duration they will honor per "
    "the --cluster-signing-duration CLI flag to the Kubernetes controller manager.\n\nCertificate signers "
    "may not honor this field for various reasons:\n\n  1. Old signer that is unaware of the field (such as "
    "the in-tree\n     implementations prior to v1.22)\n  2. Signer whose configured maximum is shorter than "
    "the requested duration\n  3. Signer whose configured minimum is longer than the requested duration\n\n"
    "The minimum valid value for expirationSeconds is 600, i.e. 10 minutes."
)
COLUMNS: dict[str, list[Column]] = {
    "CertificateSigningRequest": [
        {**column("Name", COMMON["name"]), "format": "name"},
        AGE,
        column("SignerName", SIGNER),
        column("Requestor", REQUEST),
        column("RequestedDuration", SECONDS),
        column("Condition", "Conditions applied to the request, such as approval or denial."),
    ]
}


def _request(obj: Json, now: datetime) -> Cells:
    spec, meta = obj.get("spec") or {}, obj["metadata"]
    seconds = spec.get("expirationSeconds")
    return [
        meta.get("name", ""),
        since(meta.get("creationTimestamp"), now),
        spec.get("signerName") or "<none>",
        spec.get("username", ""),
        human(seconds) if seconds is not None else "<none>",
        _state(obj.get("status") or {}),
    ]


def _state(status: Json) -> str:
    kinds = [condition.get("type") for condition in status.get("conditions") or ()]
    state = "Denied" if "Denied" in kinds else "Approved" if "Approved" in kinds else "Pending"
    if "Failed" in kinds:
        state += ",Failed"
    return f"{state},Issued" if status.get("certificate") else state


ROWS: dict[str, Callable[[Json, datetime], Cells]] = {"CertificateSigningRequest": _request}
