"""The OpenAPI documents, item by item, against the facts recorded from a real server."""

from __future__ import annotations

import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest

from services.api.kinds import RESOURCES
from services.apiserver.openapi.documents import Documents

Json = dict[str, Any]
GOLDEN = Path(os.environ.get("ORRERY_GOLDEN", Path(__file__).parents[2] / ".." / "shared" / "golden"))
DISCOVERY = GOLDEN / "discovery"
if not DISCOVERY.is_dir():
    pytest.skip(f"no golden data at {GOLDEN}", allow_module_level=True)

MERGING = ("patch-merge-key", "patch-strategy", "list-type", "list-map-keys", "map-type", "unions")


def recorded(name: str) -> Any:
    return json.loads((DISCOVERY / f"{name}.json").read_text())


@cache
def documents() -> Documents:
    return Documents(lambda: RESOURCES)


@cache
def second() -> Json:
    found: Json = orjson.loads(documents().second().body)
    return found


def notation(value: Json) -> str:
    """As the recording writes a type: `[]->Ref`, `map:string`, `integer:int32`."""
    if "$ref" in value:
        return "->" + str(value["$ref"]).rpartition("/")[2]
    if value["type"] == "array":
        return "[]" + notation(value["items"])
    if "additionalProperties" in value:
        return "map:" + notation(value["additionalProperties"])
    return f"{value['type']}:{value['format']}" if "format" in value else str(value["type"])


def test_types_have_upstreams_fields() -> None:
    expected = recorded("openapi_v2_definitions")
    for name, ours in second()["definitions"].items():
        theirs = expected[name]
        fields = {key: notation(value) for key, value in ours.get("properties", {}).items()}
        assert fields == theirs.get("fields", {}), name
        assert sorted(ours.get("required", [])) == sorted(theirs.get("required", [])), name
        enums = {key: value["enum"] for key, value in ours.get("properties", {}).items() if "enum" in value}
        assert enums == theirs.get("enums", {}), name


def test_types_merge_as_upstreams() -> None:
    expected = recorded("openapi_v2_extensions")
    for name, ours in second()["definitions"].items():
        for key, value in [("", ours), *ours.get("properties", {}).items()]:
            facts = {
                each: value[f"x-kubernetes-{each}"] for each in MERGING if f"x-kubernetes-{each}" in value
            }
            assert facts == expected.get(f"{name}.{key}" if key else name, {}), (name, key)


def test_types_name_their_kinds() -> None:
    expected = recorded("openapi_v2_gvk")
    for name, ours in second()["definitions"].items():
        kinds = ours.get("x-kubernetes-group-version-kind", [])
        if name.rpartition(".")[2] in ("DeleteOptions", "WatchEvent"):
            # Also of versions that are not served here.
            assert all(each in expected[name] for each in kinds)
        else:
            assert kinds == expected.get(name, []), name


def test_operations_are_upstreams() -> None:
    expected = recorded("openapi_v2_operations")
    document = second()
    for path, item in document["paths"].items():
        for method, ours in item.items():
            if method != "parameters":
                assert _operation(document, item, ours) == _recorded_operation(expected[path][method]), path


def _operation(document: Json, item: Json, ours: Json) -> Json:
    kind = ours.get("x-kubernetes-group-version-kind")
    parameters = ours.get("parameters", []) + item.get("parameters", [])
    return {
        "operationId": ours["operationId"],
        "action": ours.get("x-kubernetes-action"),
        "kind": f"{kind['group']}/{kind['version']}/{kind['kind']}" if kind else None,
        "consumes": sorted(ours["consumes"]),
        "produces": sorted(ours["produces"]),
        "responses": sorted(ours["responses"]),
        "params": sorted(_name(document, each) for each in parameters),
    }


def _name(document: Json, parameter: Json) -> str:
    if "$ref" in parameter:
        parameter = document["parameters"][parameter["$ref"].rpartition("/")[2]]
    return str(parameter["name"])


def _recorded_operation(theirs: Json) -> Json:
    lists = ("consumes", "produces", "responses", "params")
    return {key: sorted(value or []) if key in lists else value for key, value in theirs.items()}


def test_third_edition_has_upstreams_defaults_and_enumerations() -> None:
    expected = recorded("openapi_v3_defaults_enums")
    for path in documents().paths():
        found = documents().third(path)
        assert found is not None
        for name, schema in orjson.loads(found.body)["components"]["schemas"].items():
            ours = {}
            for key, value in schema.get("properties", {}).items():
                facts = {each: value[each] for each in ("default", "enum") if each in value}
                if facts:
                    ours[key] = facts
            assert ours == expected.get(name, {}), name


def test_every_reference_leads_somewhere() -> None:
    for path in documents().paths():
        found = documents().third(path)
        assert found is not None
        document = orjson.loads(found.body)
        schemas = document["components"]["schemas"]
        for name in re.findall(r'"#/components/schemas/([^"]+)"', found.body.decode()):
            assert name in schemas


def test_the_index_names_each_group_version_by_the_hash_of_its_document() -> None:
    theirs = recorded("openapi_v3_paths")["paths"]
    ours = documents().index()["paths"]
    assert set(ours) <= set(theirs)
    for path, entry in ours.items():
        assert re.fullmatch(
            rf"/openapi/v3/{re.escape(path)}\?hash=[0-9A-F]{{128}}", entry["serverRelativeURL"]
        )
    assert len({entry["serverRelativeURL"].partition("=")[2] for entry in ours.values()}) == len(ours)
