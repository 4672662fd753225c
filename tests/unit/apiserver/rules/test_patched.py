"""What is said of patches that cannot be read, or that make what cannot be decoded."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from services.api.errors import ApiError
from services.apiserver.rules import decode, patched
from services.machinery.patch import JSON, MERGE, STRATEGIC, apply_patch


def refused(patch: Any, patch_type: str) -> ApiError:
    target = decode.target_for("apps/v1", "Deployment")
    current = {"metadata": {"name": "w"}, "spec": {"replicas": 1}}
    body = orjson.dumps(patch)
    made = apply_patch(patch_type, current, body, target.schema)
    with pytest.raises(ApiError) as found:
        decode.decode_object(made, target, "Strict")
    return patched.refusal(found.value, body, patch_type, made)


@pytest.mark.parametrize(
    ("patch", "shown", "why"),
    [
        ({"spec": {"replicas": "x"}}, "map[spec:map[replicas:x]]", "unrecognized type: int32"),
        ({"spec": 1}, "map[spec:1]", "cannot restore struct from: int64"),
        (
            {"metadata": {"labels": {"b": 2, "a": None}}},
            "map[metadata:map[labels:map[a:<nil> b:2]]]",
            "cannot convert int64 to string",
        ),
        ({"bogus": [True, 1.5]}, "map[bogus:[true 1.5]]", 'strict decoding error: unknown field "bogus"'),
    ],
)
def test_a_strategic_patch_is_shown(patch: Any, shown: str, why: str) -> None:
    error = refused(patch, STRATEGIC)
    assert (error.code, error.reason) == (422, "Invalid")
    assert error.message == f' "" is invalid: patch: Invalid value: "{shown}": {why}'
    assert error.status["details"]["causes"][0]["field"] == "patch"


@pytest.mark.parametrize("patch_type", [MERGE, JSON])
def test_otherwise_what_it_makes_is_shown(patch_type: str) -> None:
    patch: Any = {"spec": {"replicas": "x"}}
    if patch_type == JSON:
        patch = [{"op": "replace", "path": "/spec/replicas", "value": "x"}]
    assert refused(patch, patch_type).message == (
        ' "" is invalid: patch: Invalid value: '
        '"{\\"metadata\\":{\\"name\\":\\"w\\"},\\"spec\\":{\\"replicas\\":\\"x\\"}}": '
        "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"
    )


def test_what_is_no_json_is_said_as_go_says_it() -> None:
    wrong = "invalid character 's' looking for beginning of object key string"
    for patch_type, prefix in ((STRATEGIC, ""), (MERGE, "error decoding patch: ")):
        with pytest.raises(ApiError) as found:
            patched.check_text(b"{spec:1}", patch_type)
        assert (found.value.code, found.value.message) == (400, prefix + wrong)
    patched.check_text(b"[]", JSON)
