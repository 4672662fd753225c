"""Who may approve for a signer, and sign in its name: writes of requests for certificates are read twice.

The verbs are `approve` and `sign` on `signers`, a resource that there is only in roles; its names are those
of signers, or `DOMAIN/*`. And nobody asks for a client's certificate in the group system:masters. Upstream:
`plugin/pkg/admission/certificates`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

from services.api import errors
from services.api.kinds import Resource
from services.apiserver.authentication.users import MASTERS, User
from services.apiserver.authorization.attributes import Attributes
from services.apiserver.authorization.authorizer import Authorizer
from services.machinery.field_errors import quoted

Json = dict[str, Any]
GROUP = "certificates.k8s.io"
API_CLIENT = "kubernetes.io/kube-apiserver-client"


def guard(
    authorizer: Authorizer, user: User, resource: Resource, subresource: str
) -> Callable[[Json, Json | None], None] | None:
    """What to hold a write against; ApiError (403). None where anything goes."""
    if resource.group != GROUP or resource.kind != "CertificateSigningRequest":
        return None

    def check(new: Json, old: Json | None) -> None:
        name, signer = new["metadata"].get("name", ""), (old or new)["spec"].get("signerName", "")
        if old is None:
            if signer == API_CLIENT and MASTERS in _organizations(new["spec"].get("request", "")):
                why = f"use of {API_CLIENT} signer with {MASTERS} group is not allowed"
                raise errors.forbidden(resource, name, why)
            return
        verb = _verb(subresource, new.get("status") or {}, old.get("status") or {})
        if verb and not _may(authorizer, user, verb, signer):
            why = f"user not permitted to {verb} requests with signerName {quoted(signer)}"
            raise errors.forbidden(resource, name, why)

    return check


def _verb(subresource: str, new: Json, old: Json) -> str:
    if subresource == "approval":
        return "approve"
    changed = any(new.get(field) != old.get(field) for field in ("certificate", "conditions"))
    return "sign" if subresource == "status" and changed else ""


def _may(authorizer: Authorizer, user: User, verb: str, signer: str) -> bool:
    if MASTERS in user.groups:
        return True
    names = (signer, f"{signer.partition('/')[0]}/*")
    asked = (Attributes(user, verb, "", GROUP, "*", "signers", "", name) for name in names)
    return any(authorizer.decide(each).allowed for each in asked)


def _organizations(request: str) -> list[str]:
    """Of whom the certificate is to be; none where the request cannot be read, which is refused elsewhere."""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    try:
        found = x509.load_pem_x509_csr(base64.b64decode(request, validate=True))
        return [str(each.value) for each in found.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    except (binascii.Error, ValueError):
        return []
