"""What the answers of webhooks may be, and what becomes of those that are none."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest

from services.apiserver.admission import reviews

Json = dict[str, Any]


def verified(mutating: bool = True, **response: Any) -> reviews.Answer:
    review = {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {"uid": "1", "allowed": True, **response},
    }
    return reviews.verified(review, "1", "v1", mutating=mutating)


@pytest.mark.parametrize(
    ("response", "why"),
    [
        ({"allowed": "yes"}, "cannot unmarshal string into Go struct field allowed"),
        ({"status": "no"}, "cannot unmarshal string into Go struct field status"),
        ({"status": {"reason": {}}}, "cannot unmarshal object into Go struct field reason"),
        ({"status": {"details": "x"}}, "cannot unmarshal string into Go struct field details"),
        ({"status": {"code": "403"}}, "cannot unmarshal string into Go struct field code"),
        ({"warnings": "x"}, "cannot unmarshal string into Go struct field warnings"),
        ({"auditAnnotations": []}, "cannot unmarshal array into Go struct field auditAnnotations"),
        ({"patch": 5}, "cannot unmarshal number into Go struct field patch"),
        ({"uid": 1}, "cannot unmarshal number into Go struct field uid"),
    ],
)
def test_an_answer_of_other_types_is_none(response: Json, why: str) -> None:
    with pytest.raises(reviews.BadAnswer, match=why):
        verified(**response)


def test_nothing_in_place_of_something_is_fine() -> None:
    answer = verified(status=None, warnings=None, patch=None, patchType=None, auditAnnotations=None)
    assert (answer.allowed, answer.patch, answer.warnings) == (True, b"", ())


def test_a_patch_that_copies_what_it_copied_has_an_end() -> None:
    again = [{"op": "copy", "from": "/data", "path": f"/data/x{number}"} for number in range(40)]
    with pytest.raises(reviews.BadAnswer, match="what is copied is larger than"):
        reviews.patched({"data": {"a": "b" * 1000}}, orjson.dumps(again))


@pytest.mark.parametrize("patch", [b"{", b"{}", b"5", b"[5]", b'["a"]'])
def test_what_is_no_patch_cannot_be_read(patch: bytes) -> None:
    with pytest.raises(reviews.BadAnswer):
        reviews.operations_of(patch)


def test_a_patch_changes_a_copy() -> None:
    obj = {"data": {"a": "b"}}
    patch = orjson.dumps([{"op": "replace", "path": "/data/new", "value": "c"}])
    assert reviews.patched(obj, patch) == {"data": {"a": "b", "new": "c"}}
    assert obj == {"data": {"a": "b"}}
    with pytest.raises(reviews.BadAnswer):
        reviews.patched(obj, orjson.dumps([{"op": "remove", "path": "/data/none"}]))


def test_a_patch_comes_in_base64() -> None:
    answer = verified(patch=base64.b64encode(b"[]").decode(), patchType="JSONPatch")
    assert reviews.operations_of(answer.patch) == []
