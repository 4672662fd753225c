"""Custom resources in the OpenAPI documents."""

from __future__ import annotations

from typing import Any

import orjson

from services.api.kinds import SERVED
from services.apiserver.custom.entries import resources_of
from services.apiserver.openapi.documents import Documents
from tests.support.custom import SCHEMA, definition, version
from tests.unit.apiserver.custom.test_conditions import judged

Json = dict[str, Any]


def served(schema: Json, **more: Any) -> tuple[Any, ...]:
    body = definition("widgets", "Widget", version("v1", storage=True, schema=schema, **more))
    body["metadata"]["uid"] = "u"
    body["spec"]["names"] |= {"singular": "widget", "listKind": "WidgetList"}
    return tuple(resources_of(judged(body)))


def third(schema: Json, **more: Any) -> Json:
    resources = (*SERVED, *served(schema, **more))
    document = Documents(lambda: resources).third("apis/example.com/v1")
    assert document is not None
    found: Json = orjson.loads(document.body)
    return found


def second(schema: Json) -> Json:
    resources = served(schema)
    found: Json = orjson.loads(Documents(lambda: resources).second().body)
    return found


def test_the_schema_with_what_every_object_has() -> None:
    document = third(SCHEMA, subresources={"status": {}})
    found = document["components"]["schemas"]["com.example.v1.Widget"]
    assert set(found["properties"]) == {"apiVersion", "kind", "metadata", "spec", "status"}
    assert found["properties"]["spec"]["properties"]["size"] == {"type": "integer", "default": 1}
    assert found["x-kubernetes-group-version-kind"] == [
        {"group": "example.com", "version": "v1", "kind": "Widget"}
    ]
    assert "com.example.v1.WidgetList" in document["components"]["schemas"]
    status = document["paths"]["/apis/example.com/v1/namespaces/{namespace}/widgets/{name}/status"]
    assert set(status) >= {"get", "put", "patch"}
    assert status["get"]["operationId"] == "readExampleComV1NamespacedWidgetStatus"
    assert "application/strategic-merge-patch+json" not in status["patch"]["requestBody"]["content"]


def test_the_second_edition_leaves_out_what_it_cannot_say() -> None:
    spec = {
        "type": "object",
        "required": ["none", "some"],
        "properties": {
            "none": {"type": "string", "nullable": True},
            "some": {"anyOf": [{"type": "integer"}], "x-kubernetes-int-or-string": True},
            "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": True,
                     "properties": {"a": {"type": "string"}}},
        },
    }  # fmt: skip
    document = second({"type": "object", "properties": {"spec": spec}})
    found = document["definitions"]["com.example.v1.Widget"]["properties"]["spec"]
    assert found["required"] == ["some"]
    assert found["properties"] == {
        "none": {},
        "some": {"x-kubernetes-int-or-string": True},
        "open": {"x-kubernetes-preserve-unknown-fields": True},
    }


def test_what_is_open_names_no_fields_in_the_second_edition() -> None:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    assert "properties" not in second(schema)["definitions"]["com.example.v1.Widget"]
    assert "metadata" in third(schema)["components"]["schemas"]["com.example.v1.Widget"]["properties"]


def test_an_object_inside_has_a_header() -> None:
    inner = {
        "type": "object",
        "x-kubernetes-embedded-resource": True,
        "x-kubernetes-preserve-unknown-fields": True,
    }
    document = third({"type": "object", "properties": {"template": inner}})
    found = document["components"]["schemas"]["com.example.v1.Widget"]["properties"]["template"]
    assert set(found["properties"]) == {"apiVersion", "kind", "metadata"}
    assert found["required"] == ["kind", "apiVersion"]


def test_documents_are_kept_until_what_they_tell_of_changes() -> None:
    resources: list[Any] = [(*SERVED, *served(SCHEMA))]
    documents = Documents(lambda: resources[0])
    custom, core = documents.third("apis/example.com/v1"), documents.third("api/v1")
    resources[0] = (*SERVED, *served({**SCHEMA, "description": "Another"}))
    assert documents.third("api/v1") is core
    changed = documents.third("apis/example.com/v1")
    assert changed is not None
    assert custom is not None
    assert changed.hash != custom.hash
