"""The rules of CertificateSigningRequests: who asked is written down, and nobody else says it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from services.apiserver.authentication.acting import acting
from services.apiserver.rules.kind_rules import Rules, of_status
from services.apiserver.rules.validation import certificates
from services.machinery.clock import rfc3339

Json = dict[str, Any]
_SAID = ("username", "uid", "groups", "extra")


def create(obj: Json) -> None:
    obj["status"] = {}
    spec = obj["spec"]
    for field in _SAID:
        spec.pop(field, None)
    spec.update(acting().info())


def keep_all(new: Json, old: Json) -> None:
    new["spec"], new["status"] = old["spec"], old["status"]


def approval(new: Json, old: Json) -> None:
    """Decides, and changes nothing else."""
    conditions = (new.get("status") or {}).get("conditions") or []
    new["spec"] = old["spec"]
    new["status"] = {**old["status"], **({"conditions": conditions} if conditions else {})}
    if not conditions:
        new["status"].pop("conditions", None)


def status(new: Json, old: Json) -> None:
    new["spec"] = old["spec"]


def note_times(new: Json, old: Json, now: datetime) -> None:
    """When each condition was written, and since when it is so."""
    moment = rfc3339(now)
    for condition in (new.get("status") or {}).get("conditions") or ():
        if not condition.get("lastUpdateTime"):
            condition["lastUpdateTime"] = moment
        if not condition.get("lastTransitionTime"):
            before = certificates.of(old, condition.get("type", ""))
            same = [each for each in before if each.get("status") == condition.get("status")]
            since = next((each["lastTransitionTime"] for each in same if each.get("lastTransitionTime")), "")
            condition["lastTransitionTime"] = since or moment


KINDS: dict[str, Rules] = {
    "CertificateSigningRequest": Rules(certificates.request, certificates.update, create, keep_all)
}
SUBRESOURCES: dict[tuple[str, str], Rules] = {
    ("CertificateSigningRequest", "status"): of_status(certificates.status_update, status),
    ("CertificateSigningRequest", "approval"): Rules(
        validate_update=certificates.approval_update, prepare_update=approval, is_status=True
    ),
}
