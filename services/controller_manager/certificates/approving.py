"""Approving controller: a kubelet's request for its own client certificate needs nobody to look at it.

Where RBAC says so: who asked must be allowed to create `certificatesigningrequests/nodeclient`, or
`…/selfnodeclient` where he asks for a certificate of the name that he has. Every other request waits for
`kubectl certificate approve`. Upstream: `pkg/controller/certificates/approver`.
"""

from __future__ import annotations

from msgspec.structs import replace

from services.api.authorization_v1 import ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec
from services.api.certificates_v1 import CertificateSigningRequest, CertificateSigningRequestCondition
from services.api.errors import failure
from services.client.controller import Controller, For
from services.controller_manager.certificates import requests

# Subresource: message.
_SELF = "selfnodeclient", "Auto approving self kubelet client certificate after SubjectAccessReview."
_NODE = "nodeclient", "Auto approving kubelet client certificate after SubjectAccessReview."


def _open(request: CertificateSigningRequest) -> bool:
    return (
        request.spec.signer_name == requests.KUBELET_CLIENT
        and not request.status.certificate
        and not any(requests.has(request, each) for each in ("Approved", "Denied"))
    )


class ApprovingController(Controller[CertificateSigningRequest]):
    name = "certificatesigningrequest-approving"
    watches = (For(CertificateSigningRequest, when=lambda old, new: new is not None and _open(new)),)

    async def reconcile(self, request: CertificateSigningRequest) -> None:
        if not _open(request):
            return
        try:
            asked = requests.read(request)
        except ValueError:
            return
        if requests.kubelet_client_fault(asked, request.spec.usages):
            return
        tried = []
        for subresource, message in (_SELF, _NODE):
            if subresource == _SELF[0] and request.spec.username != asked.name:
                continue
            tried.append(subresource)
            if await self._may(request, subresource):
                await self._approve(request, message)
                return
        # Rights may yet be given: asked again, less and less often.
        why = f"recognized csr {request.key.name!r} as {tried} but subject access review was not approved"
        raise failure(403, "Forbidden", why)

    async def _may(self, request: CertificateSigningRequest, subresource: str) -> bool:
        wanted = ResourceAttributes(
            group="certificates.k8s.io",
            resource="certificatesigningrequests",
            subresource=subresource,
            verb="create",
            version="*",
        )
        spec = SubjectAccessReviewSpec(
            user=request.spec.username,
            uid=request.spec.uid,
            groups=request.spec.groups,
            extra=request.spec.extra,
            resource_attributes=wanted,
        )
        answer = await self.client.create(SubjectAccessReview(spec=spec))
        return bool(answer.status.allowed)

    async def _approve(self, request: CertificateSigningRequest, message: str) -> None:
        approved = CertificateSigningRequestCondition(
            type="Approved", status="True", reason="AutoApproved", message=message
        )
        status = replace(request.status, conditions=[*request.status.conditions, approved])
        await self.client.update(replace(request, status=status), subresource="approval")
        self.log.info(
            "Approved a kubelet's request for a certificate", kind=request.kind, name=request.key.name
        )
