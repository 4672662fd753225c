"""Custom objects as a real server answered for them: what their schema makes of them, in its words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.apiserver.crd import CompiledVersion, compile_version
from tests.golden.runner import GOLDEN, available

pytestmark = pytest.mark.skipif(not available("errors"), reason=f"no recordings at {GOLDEN}")


def _exchanges() -> list[dict[str, Any]]:
    if not available("errors"):
        return []
    found: list[dict[str, Any]] = json.loads((GOLDEN / "errors/crd-validation.json").read_bytes())[
        "exchanges"
    ]
    return found


def _compiled() -> CompiledVersion:
    return compile_version(_exchanges()[2]["request"]["body"], "v1")


_CREATED = [
    pytest.param(each, id=json.dumps(each["request"]["body"].get("spec")))
    for each in _exchanges()[3:]
    if each["request"]["method"] == "POST" and each["response"]["status"] in (201, 422)
]


@pytest.mark.parametrize("exchange", _CREATED)
def test_create(exchange: dict[str, Any]) -> None:
    version, obj = _compiled(), exchange["request"]["body"]
    obj["metadata"]["namespace"] = "default"
    version.coerce(obj)
    version.prepare_create(obj)
    found = version.validate_create(obj)
    answer = exchange["response"]["body"]
    if exchange["response"]["status"] == 422:
        assert found == answer["details"]["causes"]
    else:
        assert found == []
        assert obj.get("spec") == answer.get("spec")
