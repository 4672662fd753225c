"""The second edition put together out of several servers' documents."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from services.apiserver.openapi.merging import Unreadable, merged, part_of

Json = dict[str, Any]
PREFIX = "/apis/example.com/v1/"


def refers(name: str, *parameters: str) -> Json:
    answer = {"description": "OK", "schema": {"$ref": f"#/definitions/{name}"}}
    given = [{"$ref": f"#/parameters/{each}"} for each in parameters]
    return {"get": {"responses": {"200": answer}, "parameters": given}}


def parameter(name: str, kind: str = "string") -> Json:
    return {"name": name, "in": "query", "type": kind}


OURS: Json = {
    "swagger": "2.0",
    "paths": {"/api/v1/pods": refers("Pod", "limit")},
    "definitions": {"Pod": {"type": "object"}, "Meta": {"type": "object", "required": ["name"]}},
    "parameters": {"limit": parameter("limit")},
}


def part(paths: Json, definitions: Json, parameters: Json | None = None) -> Json:
    body = {"paths": paths, "definitions": definitions, "parameters": parameters or {}}
    return part_of(orjson.dumps(body), PREFIX)


def test_only_what_its_own_paths_refer_to() -> None:
    theirs = {
        "Thing": {"properties": {"meta": {"$ref": "#/definitions/Meta"}}},
        "Meta": {"type": "string"},
        "Other": {"type": "object"},
    }
    paths = {f"{PREFIX}things": refers("Thing"), "/apis/apps/v1/": refers("Other")}
    found = part(paths, theirs)
    assert (list(found["paths"]), sorted(found["definitions"])) == ([f"{PREFIX}things"], ["Meta", "Thing"])


def test_what_means_something_else_gets_another_name() -> None:
    theirs = {
        "Thing": {"properties": {"meta": {"$ref": "#/definitions/Meta"}}},
        "Meta": {"type": "string"},
    }
    given = part(
        {f"{PREFIX}things": refers("Thing", "limit")}, theirs, {"limit": parameter("limit", "integer")}
    )
    made = merged(OURS, [given])
    assert made["definitions"]["Meta"] == OURS["definitions"]["Meta"]
    assert made["definitions"]["Meta_v2"] == {"type": "string"}
    assert made["definitions"]["Thing"] == {"properties": {"meta": {"$ref": "#/definitions/Meta_v2"}}}
    assert made["parameters"]["limit_v2"]["type"] == "integer"
    operation = made["paths"][f"{PREFIX}things"]["get"]
    assert operation["parameters"] == [{"$ref": "#/parameters/limit_v2"}]
    assert OURS["definitions"].keys() == {"Pod", "Meta"}  # unchanged


def test_a_name_that_is_taken_on_either_side_is_passed_over() -> None:
    theirs = {"Meta": {"type": "string"}, "Meta_v2": {"type": "integer"}}
    paths = {f"{PREFIX}a": refers("Meta"), f"{PREFIX}b": refers("Meta_v2")}
    made = merged(OURS, [part(paths, theirs)])
    assert made["definitions"]["Meta_v2"] == {"type": "integer"}
    assert made["definitions"]["Meta_v3"] == {"type": "string"}


def test_what_is_the_same_stays_one_and_is_of_both_kinds() -> None:
    kind, other = {"kind": "A"}, {"kind": "B"}
    key = "x-kubernetes-group-version-kind"
    ours = {**OURS, "definitions": {"Meta": {"type": "object", key: [kind]}}}
    made = merged(
        ours, [part({f"{PREFIX}a": refers("Meta")}, {"Meta": {"type": "object", key: [other, kind]}})]
    )
    assert made["definitions"] == {"Meta": {"type": "object", key: [kind, other]}}


def test_our_own_path_stays() -> None:
    ours = {**OURS, "paths": {f"{PREFIX}a": refers("Pod")}}
    made = merged(ours, [part({f"{PREFIX}a": refers("Thing")}, {"Thing": {"type": "object"}})])
    assert made["paths"] == ours["paths"]
    assert "Thing" not in made["definitions"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"paths": []}',
        b'{"paths": {"/apis/example.com/v1/a": 5}}',
        orjson.dumps({"paths": {f"{PREFIX}a": refers("Nobody")}}),
        orjson.dumps({"paths": {f"{PREFIX}a": {"get": {"responses": {"200": []}}}}}),
        b"[" * 100_000,
    ],
)
def test_what_cannot_be_read_is_left_out(body: bytes) -> None:
    with pytest.raises(Unreadable):
        part_of(body, PREFIX)
