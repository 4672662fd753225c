"""Objects made from the server's own OpenAPI, right and wrong, sent to every collection as dry runs.

Whatever comes, the answer is a Status or the object, never a fault of the server's own. What is tried is the
same in each run: examples are not random from one run to the next.
"""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator
from random import Random
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from services.api.kinds import RESOURCES, Resource
from tests.support.apiserver import Https, https

__all__ = ["https"]

Json = dict[str, Any]
DEPTH_MAX = 7
EXAMPLES = 10  # of each kind
# A seed makes an object; a smaller seed makes no smaller object, so there is nothing to shrink.
PROMISES = settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, phases=(Phase.generate,)
)

TEXTS = (
    "", "a", "web", "default", "kube-system", "A_b", "-", "x" * 64, "x" * 300, "a/b", "example.com/x", "a b",
    "\x00", "é", "../..", "10.0.0.1", "10.0.0.0/8", "2001:db8::1", "1Gi", "100m", "-1", "1e400", "TCP",
    "http", "$(X)", "{{x}}", "a=b,c in (d)", "2026-01-01T00:00:00Z", "YQ==", "25%", "101%",
)  # fmt: skip
NUMBERS = (0, 1, 2, 80, 65535, 65536, -1, 2**31 - 1, -(2**31), 2**31, 2**63 - 1, 2**63, 10**30)
ANYTHING: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1.5,
    1e300,
    "",
    "x",
    [],
    {},
    [None],
    [[]],
    {"a": None},
    {"": {}},
    [{"name": 1}],
)

# What upstream calls an internal error though the client is to blame: recorded, and answered alike.
UPSTREAMS_OWN = (
    "failed to create typed patch object (",
    "resourceVersion should not be set on objects to be created",
)


class Api:
    """One connection, kept; and the documents of the third edition."""

    def __init__(self, base: str, context: ssl.SSLContext) -> None:
        where = urlsplit(base)
        self._connection = http.client.HTTPSConnection(where.hostname or "", where.port, context=context)
        self._schemas: dict[str, Json] = {}

    def ask(
        self, method: str, path: str, body: bytes = b"", media: str = "application/json"
    ) -> tuple[int, Any]:
        self._connection.request(method, path, body, {"Content-Type": media} if body else {})
        response = self._connection.getresponse()
        content = response.read()
        return response.status, orjson.loads(content) if content[:1] == b"{" else content

    def close(self) -> None:
        self._connection.close()

    def schemas(self, resource: Resource) -> Json:
        group = f"apis/{resource.api_version}" if resource.group else f"api/{resource.version}"
        if group not in self._schemas:
            status, document = self.ask("GET", f"/openapi/v3/{group}")
            assert status == 200, document
            self._schemas[group] = document["components"]["schemas"]
        return self._schemas[group]


@pytest.fixture(scope="module")
def api(https: Https) -> Iterator[Api]:
    api = Api(https.base, https.context())
    yield api
    api.close()


class Maker:
    """Values of a schema's form, most of the time."""

    def __init__(self, seed: int, schemas: Json) -> None:
        self._random, self._schemas = Random(seed), schemas

    def once_in(self, many: int) -> bool:
        return self._random.randrange(many) == 0

    def value(self, schema: Json, depth: int = 0) -> Any:
        if self.once_in(40):
            return self._random.choice(ANYTHING)
        if "allOf" in schema:
            return self.value(schema["allOf"][0], depth)
        if "$ref" in schema:
            return self.value(self._schemas[schema["$ref"].rpartition("/")[2]], depth)
        if "oneOf" in schema:
            return self.value(self._random.choice(schema["oneOf"]), depth)
        if "enum" in schema and not self.once_in(10):
            return self._random.choice(schema["enum"])
        match schema.get("type"):
            case "object":
                return self.object(schema, depth)
            case "array":
                count = 0 if depth > DEPTH_MAX else self._random.randrange(3)
                return [self.value(schema["items"], depth + 1) for _ in range(count)]
            case "integer" | "number":
                return self._random.choice(NUMBERS)
            case "boolean":
                return self.once_in(2)
        return self._random.choice(TEXTS)

    def object(self, schema: Json, depth: int) -> Json:
        if inner := schema.get("additionalProperties"):
            names = self._random.sample(TEXTS, self._random.randrange(3))
            return {name: self.value(inner, depth + 1) for name in names}
        required = schema.get("required", ())
        made = {}
        for name, field in schema.get("properties", {}).items():
            wanted = not self.once_in(20) if name in required else depth < DEPTH_MAX and self.once_in(4)
            if wanted:
                made[name] = self.value(field, depth + 1)
        if self.once_in(30):
            made["unknown"] = self._random.choice(ANYTHING)
        return made


def schema_name(schemas: Json, resource: Resource) -> str:
    wanted = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    return next(
        name for name, each in schemas.items() if wanted in each.get("x-kubernetes-group-version-kind", ())
    )


def collection(resource: Resource) -> str:
    root = f"/apis/{resource.api_version}" if resource.group else f"/api/{resource.version}"
    return (
        f"{root}/namespaces/default/{resource.plural}" if resource.namespaced else f"{root}/{resource.plural}"
    )


def made_object(maker: Maker, schemas: Json, resource: Resource) -> Json:
    """An object of the kind whose head is right more often than chance would make it."""
    schema = schemas[schema_name(schemas, resource)]
    made = maker.object(schema, 0)
    for name in ("spec", "data"):
        if name in schema["properties"] and name not in made:
            made[name] = maker.value(schema["properties"][name], 1)
    if not maker.once_in(10):
        made["apiVersion"], made["kind"] = resource.api_version, resource.kind
    metadata = made.get("metadata")
    if not maker.once_in(4):
        made["metadata"] = {**(metadata if isinstance(metadata, dict) else {}), "name": "anything"}
        made["metadata"].pop("namespace", None)
    return made


@pytest.mark.parametrize(
    "resource", [each for each in RESOURCES if "create" in each.verbs], ids=lambda each: each.qualified
)
@PROMISES
@given(seed=st.integers(0, 2**32))
def test_no_object_meets_a_fault(api: Api, resource: Resource, seed: int) -> None:
    schemas = api.schemas(resource)
    body = made_object(Maker(seed, schemas), schemas, resource)
    path, sent = collection(resource), orjson_any(body)
    check(*api.ask("POST", f"{path}?dryRun=All&fieldValidation=Strict", sent))
    check(*api.ask("POST", f"{path}?dryRun=All&fieldValidation=Warn", sent))
    if "patch" in resource.verbs:
        apply = f"{path}/anything?dryRun=All&fieldManager=x&force=true"
        check(*api.ask("PATCH", apply, sent, "application/apply-patch+yaml"))


def check(status: int, answer: Any) -> None:
    assert status < 500 or answer["message"].startswith(UPSTREAMS_OWN), answer
    if status >= 400:
        assert answer["kind"] == "Status", answer
        assert answer["code"] == status, answer
        assert answer["message"], answer


def orjson_any(value: Any) -> bytes:
    """orjson refuses integers of more than 64 bits, which clients do send."""

    return json.dumps(value).encode()
