"""Tables as a real API server answered them, for the kinds that we serve.

Rows are made from the recorded objects: the folder's own lists where it has them, else kubectl's
recorded output of the same objects (see test_kubectl).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from services.api import kinds
from services.apiserver.tables import table
from tests.golden.normal import normal

GOLDEN = Path(os.environ.get("ORRERY_GOLDEN", Path(__file__).parents[2] / ".." / "shared" / "golden"))
if not (GOLDEN / "tables").is_dir():
    pytest.skip(f"no golden data at {GOLDEN}", allow_module_level=True)


def exchanges() -> Iterator[tuple[str, kinds.Resource, dict[str, Any]]]:
    for file in sorted((GOLDEN / "tables").glob("*.json")):
        for index, exchange in enumerate(json.loads(file.read_text())["exchanges"]):
            path = exchange["request"]["path"].partition("?")[0].strip("/").split("/")
            group = "" if path[0] == "api" else path[1]
            rest = path[2:] if path[0] == "api" else path[3:]
            if rest[:1] == ["namespaces"] and len(rest) > 2:
                rest = rest[2:]
            resource = kinds.resource_named(group, "v1", rest[0]) if rest else None
            is_table = exchange["response"].get("body", {}).get("kind") == "Table"
            if file.name != "setup.json" and resource and is_table:
                yield f"{file.stem}-{index}", resource, exchange


CASES = list(exchanges())


def objects() -> dict[str, dict[str, dict[str, Any]]]:
    lists = json.loads((GOLDEN / "kubectl" / "objects.json").read_text())["lists"]
    return {kind: {item["metadata"]["name"]: item for item in body["items"]} for kind, body in lists.items()}


@pytest.mark.parametrize(("resource", "exchange"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_table(resource: kinds.Resource, exchange: dict[str, Any]) -> None:
    expected = exchange["response"]["body"]
    path = exchange["request"]["path"]
    kind = "Scale" if path.endswith("/scale") else ""
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    named = objects().get(resource.kind, {})
    found = []
    for row in expected["rows"]:
        name = next((c for c in row["cells"] if isinstance(c, str) and c in named), None)
        if name:
            found.append({"apiVersion": resource.api_version, "kind": resource.kind, **named[name]})
    ours = table(resource, found, expected["metadata"], "None", now, kind=kind)
    assert ours["columnDefinitions"] == expected["columnDefinitions"]
    if kind or len(found) != len(expected["rows"]):
        return
    aging = ("Age", "Last Seen", "First Seen", "Created At")
    ages = [i for i, c in enumerate(ours["columnDefinitions"]) if c["name"] in aging]
    for row, wanted in zip(ours["rows"], expected["rows"], strict=True):
        for index in ages:
            row["cells"][index] = wanted["cells"][index]
        assert normal(row["cells"]) == normal(wanted["cells"])
        assert row.get("conditions") == wanted.get("conditions")
