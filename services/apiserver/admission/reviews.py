"""AdmissionReview: how a webhook is asked, and what its answer may say. Pure.

Upstream: `apiserver/pkg/admission/plugin/webhook/request`. An answer that is not to the question, or says
what its kind of webhook may not, counts as no answer.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from services.api.errors import ApiError
from services.apiserver.admission.attributes import Attributes, GroupVersionKind
from services.apiserver.admission.conditions import request_of
from services.machinery.patch.json_patch import OPERATIONS_MAX, NotApplicable, applied

Json = dict[str, Any]
VERSIONS = ("v1", "v1beta1")
PATCH_BYTES_MAX = 3 * 1024 * 1024


class NotAnswered(Exception):
    """A webhook gave no answer; the text says why."""


class Ask(Protocol):
    async def __call__(self, config: Json, review: Json, seconds: int) -> Json:
        """The webhook's answer. NotAnswered."""
        ...


class BadAnswer(Exception):
    """What is wrong with what a webhook said, in upstream's words."""


@dataclass(frozen=True, slots=True)
class Answer:
    allowed: bool
    status: Json
    patch: bytes = b""
    warnings: tuple[str, ...] = ()
    annotations: Json | None = None


def review(asked: Attributes, uid: str, version: str, seen: Attributes) -> Json:
    """`seen` is the request in the version that the webhook knows."""
    request = {
        **request_of(seen),
        "uid": uid,
        "requestKind": asked.kind._asdict(),
        "requestResource": {
            "group": asked.resource.group,
            "version": asked.resource.version,
            "resource": asked.resource.plural,
        },
        "object": seen.obj,
        "oldObject": seen.old,
    }
    return {"kind": "AdmissionReview", "apiVersion": f"admission.k8s.io/{version}", "request": request}


def verified(answer: Any, uid: str, version: str, *, mutating: bool) -> Answer:
    """BadAnswer."""
    given = answer if isinstance(answer, dict) else {}
    if version == "v1":
        _check_kind(given, version)
    response = given.get("response")
    if not isinstance(response, dict):
        raise BadAnswer("webhook response was absent")
    _check_types(response)
    if version == "v1" and response.get("uid") != uid:
        raise BadAnswer(f'expected response.uid="{uid}", got "{response.get("uid", "")}"')
    patch = _patch(response, version, mutating=mutating)
    status = response.get("status")
    warnings = response.get("warnings")
    return Answer(
        response.get("allowed") is True,
        status if isinstance(status, dict) else {},
        patch,
        tuple(str(each) for each in warnings) if isinstance(warnings, list) else (),
        response.get("auditAnnotations") if isinstance(response.get("auditAnnotations"), dict) else None,
    )


def _check_kind(given: Json, version: str) -> None:
    wanted = f"admission.k8s.io/{version}, Kind=AdmissionReview"
    got = f"{given.get('apiVersion', '')}, Kind={given.get('kind', '')}"
    if got != wanted:
        raise BadAnswer(f"expected webhook response of {wanted}, got {got if given else '/, Kind='}")


def _check_types(response: Json) -> None:
    """That what is of another type than it should be reaches nobody. BadAnswer."""
    status = response.get("status")
    known = ((response, _TYPES), (status if isinstance(status, dict) else {}, _STATUS_TYPES))
    for part, types in known:
        for name, kind in types.items():
            if not isinstance(part.get(name), kind | None):
                raise BadAnswer(
                    f"json: cannot unmarshal {_json_kind(part[name])} into Go struct field {name}"
                )


_TYPES = {
    "uid": str, "allowed": bool, "status": dict, "patch": str, "patchType": str, "warnings": list,
    "auditAnnotations": dict,
}  # fmt: skip
_STATUS_TYPES = {"status": str, "message": str, "reason": str, "details": dict, "code": int}
_JSON_KINDS = {bool: "bool", str: "string", int: "number", float: "number", list: "array", dict: "object"}


def _json_kind(value: Any) -> str:
    return _JSON_KINDS.get(type(value), "value")


def _patch(response: Json, version: str, *, mutating: bool) -> bytes:
    raw, kind = response.get("patch"), response.get("patchType")
    if not mutating:
        if raw and version == "v1":
            raise BadAnswer("validating webhook may not return response.patch")
        if kind and version == "v1":
            raise BadAnswer("validating webhook may not return response.patchType")
        return b""
    if raw and not kind and version == "v1":
        raise BadAnswer("webhook returned response.patch but not response.patchType")
    if kind and not raw:
        raise BadAnswer("webhook returned response.patchType but not response.patch")
    if kind and kind != "JSONPatch":
        raise BadAnswer(f'webhook returned invalid response.patchType of "{kind}"')
    if not raw:
        return b""
    try:
        return base64.b64decode(str(raw), validate=True)[: PATCH_BYTES_MAX + 1]
    except (ValueError, binascii.Error) as error:
        raise BadAnswer(f"illegal base64 data in response.patch: {error}") from None


def operations_of(patch: bytes) -> list[Json]:
    """BadAnswer where they cannot be read."""
    if len(patch) > PATCH_BYTES_MAX:
        raise BadAnswer("the patch is too long")
    try:
        operations = orjson.loads(patch)
    except orjson.JSONDecodeError as error:
        raise BadAnswer(str(error)) from None
    if not isinstance(operations, list) or not all(isinstance(each, dict) for each in operations):
        raise BadAnswer("json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    if len(operations) > OPERATIONS_MAX:
        raise BadAnswer(f"a patch has at most {OPERATIONS_MAX} operations")
    return operations


def patched(obj: Json, patch: bytes) -> Json:
    """The object as the webhook wants it. BadAnswer."""
    try:
        return applied(obj, operations_of(patch))
    except NotApplicable as error:
        raise BadAnswer(str(error)) from None


def refused(webhook: str, status: Json) -> ApiError:
    """What the caller reads where a webhook says no."""
    by = f'admission webhook "{webhook}" denied the request'
    message, reason, code = status.get("message"), status.get("reason"), status.get("code")
    if message or reason:
        text = f"{by}: {message or reason}"
    else:
        text = f"{by} without explanation"
    known = {key: value for key, value in status.items() if key in ("reason", "details") and value}
    code = code if isinstance(code, int) and 400 <= code < 600 else 400
    return ApiError(
        {
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": text, **known, "code": code,
        }
    )  # fmt: skip


__all__ = [
    "VERSIONS",
    "Answer",
    "BadAnswer",
    "GroupVersionKind",
    "operations_of",
    "patched",
    "refused",
    "review",
    "verified",
]
