"""`certificate approve|deny`: says of requests for certificates whether they may be signed."""

from __future__ import annotations

from typing import Any

from services.api import kinds
from services.api.errors import ApiError, is_conflict
from services.kubectl import manifests
from services.kubectl.commands.registry import Command
from services.kubectl.errors import Fail, quote, raise_all
from services.kubectl.flags import Flag, boolean, text, texts
from services.kubectl.output.results import PRINT_FLAGS, Results
from services.kubectl.session import Session
from services.machinery.clock import rfc3339

Json = dict[str, Any]
ATTEMPTS_MAX = 10

FLAGS: tuple[Flag, ...] = (
    *PRINT_FLAGS,
    texts("filename", "Files that name the requests", short="f"),
    boolean("force", "Write even what was decided so already"),
    text("kustomize", "Not supported", short="k"),
    boolean("recursive", "Read directories with all that is in them", short="R"),
)
_OPPOSITE = {"Approved": "Denied", "Denied": "Approved"}
_REASONS = {
    "Approved": ("KubectlApprove", "This CSR was approved by kubectl certificate approve."),
    "Denied": ("KubectlDeny", "This CSR was denied by kubectl certificate deny."),
}


async def approve(session: Session) -> None:
    await _decide(session, "Approved")


async def deny(session: Session) -> None:
    await _decide(session, "Denied")


async def _decide(session: Session, decision: str) -> None:
    resource = kinds.resource_of_kind("certificates.k8s.io/v1", "CertificateSigningRequest")
    assert resource is not None
    if not session.args and not session.flags["filename"]:
        raise Fail("one or more CSRs must be specified as <name> or -f <filename>")
    names = [each.name for each in manifests.references(session)] if session.flags["filename"] else []
    results, errors = Results(session, decision.lower()), list[Exception]()
    for name in (*names, *session.args):
        try:
            results.show(await _write(session, resource, name, decision))
        except (ApiError, Fail) as error:
            errors.append(error)
    raise_all(errors)


async def _write(session: Session, resource: kinds.Resource, name: str, decision: str) -> Json:
    """Again where somebody else wrote meanwhile."""
    for attempt in range(ATTEMPTS_MAX + 1):
        request = await session.client.get(resource, name)
        conditions = request.setdefault("status", {}).setdefault("conditions", [])
        present = [condition.get("type") for condition in conditions]
        if _OPPOSITE[decision] in present:
            raise Fail(f"certificate signing request {quote(name)} is already {_OPPOSITE[decision]}")
        if decision not in present:
            reason, message = _REASONS[decision]
            now = rfc3339(session.world.clock.now())
            conditions.append(
                {
                    "type": decision,
                    "status": "True",
                    "reason": reason,
                    "message": message,
                    "lastUpdateTime": now,
                }
            )
        elif not session.flags["force"]:
            return request
        try:
            answer = await session.client.update(resource, request, name, subresource="approval")
        except ApiError as error:
            if attempt == ATTEMPTS_MAX or not is_conflict(error):
                raise
            continue
        return session.took(answer)
    raise AssertionError("unreachable")


CERTIFICATE = Command(
    "certificate",
    "certificate SUBCOMMAND",
    "Modify certificate resources.",
    children=(
        Command(
            "approve",
            "approve (-f FILENAME | NAME)",
            "Approve a certificate signing request.\n\n A signer may then sign it: look before what the"
            " certificate would let its owner do.",
            run=approve,
            flags=FLAGS,
            examples="  # Approve CSR 'csr-sqgzp'\n  kubectl certificate approve csr-sqgzp",
        ),
        Command(
            "deny",
            "deny (-f FILENAME | NAME)",
            "Deny a certificate signing request.\n\n No signer will sign it.",
            run=deny,
            flags=FLAGS,
            examples="  # Deny CSR 'csr-sqgzp'\n  kubectl certificate deny csr-sqgzp",
        ),
    ),
)
