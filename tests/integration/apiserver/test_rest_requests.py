"""Requests made from the server's own OpenAPI, right and wrong: each path and method, and what goes with it.

Query parameters, bodies, patches of all kinds, rubbish instead of protobuf, media types nobody has heard of.
Objects are really written, so that the next request finds them. Whatever comes, the server answers, and not
with a fault of its own. What is tried is the same in each run; `ORRERY_REQUESTS=100000` tries more of it, and
`ORRERY_SEED=2` other things.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from random import Random
from typing import Any

import orjson
import pytest

from tests.integration.apiserver.test_rest_anything import (
    ANYTHING,
    NUMBERS,
    TEXTS,
    UPSTREAMS_OWN,
    Api,
    Maker,
    orjson_any,
)
from tests.support.apiserver import Https, https

__all__ = ["https"]

Json = dict[str, Any]
REQUESTS = int(os.environ.get("ORRERY_REQUESTS", "3000"))
SEED = int(os.environ.get("ORRERY_SEED", "1"))
AT_ONCE = 500  # requests of one test
# What connects to containers, of which there are none here, or never ends.
LEFT_OUT = re.compile(r"/watch/|/(proxy|exec|attach|portforward|log)(/|$)")
# What else upstream answers with 500 and no reason, in these words.
UPSTREAMS_OWN_TOO = (
    *UPSTREAMS_OWN,
    "target.name: Required value",
    "target.kind: Unsupported value: ",
    "resourceVersion: Invalid value: ",
    "unknown patch type ",
)
METHODS = ("get", "put", "post", "delete", "patch")
MEDIA = (
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "application/json; charset=latin1",
    "application/json;as=Table;v=v1;g=meta.k8s.io",
    "application/json;as=Table;v=v9;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json",
    "application/yaml;q=0.9,application/json;q=0.1",
    "application/json;q=x",
    "application/cbor",
    "text/plain",
    "*/*",
    ";;;,,,",
    "a",
    "",
    "x" * 500,
)
PATCHES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)
NAMES = ("a", "b", "default", "kube-system", "cluster-admin", "system:masters", "v1.apps")
SELECTORS = (
    "a=b", "a in (b,c)", "!a", "a", "=", "a=b=c", ",", "metadata.name=a", "spec.nodeName=x", "x.y!=1", "(",
)  # fmt: skip
POINTERS = (
    "/metadata/labels/a", "/metadata/name", "/metadata", "/metadata/finalizers/-", "/spec", "/spec/replicas",
    "/spec/containers/0/image", "/spec/containers/99999999999", "/status", "/kind", "", "/", "/a~2b",
)  # fmt: skip
ODD_QUERIES = ("dryRun=All&dryRun=All", "pretty", "&&", "%zz=%", "=", "a=" + "b" * 5000)
DIRECTIVES = ("$patch", "$retainKeys", "$setElementOrder/x", "$deleteFromPrimitiveList/x")
OPERATIONS = ("add", "remove", "replace", "test", "copy", "move", "nope", None)


class Requests:
    """Draws one request after another."""

    def __init__(self, seed: int, api: Api) -> None:
        self._random, self._api = Random(seed), api
        self._documents: dict[str, Json] = {}
        _, index = api.ask("GET", "/openapi/v3")
        self._groups = sorted(path for path in index["paths"] if path.count("/") > 0)

    def _document(self, group: str) -> Json:
        if group not in self._documents:
            status, document = self._api.ask("GET", f"/openapi/v3/{group}")
            assert status == 200, document
            document["paths"] = {
                path: each for path, each in sorted(document["paths"].items()) if not LEFT_OUT.search(path)
            }
            self._documents[group] = document
        return self._documents[group]

    def draw(self) -> tuple[str, str, bytes, dict[str, str]]:
        """Method, path, body, headers."""
        chance = self._random
        document = self._document(chance.choice(self._groups))
        if not document["paths"]:
            return "GET", "/", b"", {}
        path = chance.choice(list(document["paths"]))
        described = document["paths"][path]
        method = chance.choice([name for name in METHODS if name in described] or ["get"])
        if chance.randrange(30) == 0:
            method = chance.choice((*METHODS, "head", "options", "trace", "brew"))
        operation = described.get(method, {})
        where = re.sub(r"{(\w+)}", self._part, path)
        query = self._query([*described.get("parameters", ()), *operation.get("parameters", ())])
        headers = {"Accept": chance.choice(MEDIA)} if chance.randrange(3) == 0 else {}
        body, media = self._body(document, method, operation)
        if body:
            headers["Content-Type"] = media
        return method.upper(), f"{where}?{query}", body, headers

    def _part(self, match: re.Match[str]) -> str:
        if match[1] == "namespace" and self._random.randrange(10):
            return "default"
        name = self._random.choice(NAMES if self._random.randrange(10) else TEXTS)
        return quoted(name) or "a"

    def _query(self, parameters: list[Json]) -> str:
        chance, words = self._random, []
        for parameter in parameters:
            if parameter.get("in") != "query" or chance.randrange(6):
                continue
            name = parameter["name"]
            if name == "watch":
                continue  # `test_watches_of_any_kind`
            words.append(f"{name}={quoted(self._value(name, parameter.get('schema', {})))}")
        if chance.randrange(20) == 0:
            words.append(
                chance.choice(("dryRun=All&dryRun=All", "pretty", "&&", "%zz=%", "=", "a=" + "b" * 5000))
            )
        return "&".join(words)

    def _value(self, name: str, schema: Json) -> str:
        chance = self._random
        if name.endswith("Selector"):
            return chance.choice(SELECTORS)
        if chance.randrange(3) == 0:
            return chance.choice(TEXTS)
        match schema.get("type"):
            case "integer":
                return str(chance.choice(NUMBERS))
            case "boolean":
                return chance.choice(("true", "false", "1", "", "maybe"))
        return chance.choice({
            "dryRun": ("All", "None"),
            "fieldManager": ("x", "x" * 200, "\x00"),
            "fieldValidation": ("Strict", "Warn", "Ignore", "Loose"),
            "propagationPolicy": ("Foreground", "Background", "Orphan", "None"),
            "resourceVersion": ("0", "1", "-1", "x", "99999999999999999999"),
            "resourceVersionMatch": ("Exact", "NotOlderThan", "x"),
            "continue": ("eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MX0", "x"),
        }.get(name, TEXTS))  # fmt: skip

    def _body(self, document: Json, method: str, operation: Json) -> tuple[bytes, str]:
        chance = self._random
        if method not in ("post", "put", "patch", "delete") or (method == "delete" and chance.randrange(2)):
            return b"", ""
        kind = operation.get("x-kubernetes-group-version-kind", {})
        made = self._object(document, kind)
        if method == "patch":
            return self._patch(made)
        if chance.randrange(15) == 0:
            return b"k8s\x00" + chance.randbytes(chance.randrange(60)), "application/vnd.kubernetes.protobuf"
        if chance.randrange(15) == 0:
            return chance.choice((b"{", b"[]", b"null", b"\xff\xfe", b"a: [b", b"--- \n---\n", b"1" * 400)), (
                chance.choice(MEDIA)
            )
        return orjson_any(made), chance.choice(MEDIA) if chance.randrange(20) == 0 else "application/json"

    def _object(self, document: Json, kind: Json) -> Any:
        chance, schemas = self._random, document["components"]["schemas"]
        maker = Maker(chance.randrange(2**32), schemas)
        known = [
            name for name, each in schemas.items() if kind in each.get("x-kubernetes-group-version-kind", ())
        ]
        if not known or chance.randrange(40) == 0:
            return chance.choice(ANYTHING)
        made = maker.object(schemas[known[0]], 0)
        made["kind"] = kind["kind"]
        made["apiVersion"] = f"{kind['group']}/{kind['version']}" if kind["group"] else kind["version"]
        if chance.randrange(10):
            metadata = made.get("metadata")
            made["metadata"] = {
                **(metadata if isinstance(metadata, dict) else {}),
                "name": chance.choice(NAMES),
            }
            made["metadata"].pop("namespace", None)
            made["metadata"].pop("resourceVersion", None)
        return made

    def _patch(self, made: Any) -> tuple[bytes, str]:
        chance = self._random
        media = chance.choice(PATCHES if chance.randrange(20) else MEDIA)
        if "json-patch" in media and chance.randrange(10):
            operations = [self._operation() for _ in range(chance.randrange(4))]
            return orjson_any(operations), media
        if "strategic" in media and isinstance(made, dict) and chance.randrange(2):
            made[
                chance.choice(("$patch", "$retainKeys", "$setElementOrder/x", "$deleteFromPrimitiveList/x"))
            ] = chance.choice(("replace", "delete", "merge", ["a"], None, 1))
        return orjson_any(made), media

    def _operation(self) -> Json:
        chance = self._random
        found: Json = {"op": chance.choice(OPERATIONS), "path": chance.choice(POINTERS)}
        if chance.randrange(4):
            found["value"] = chance.choice(ANYTHING)
        if chance.randrange(3) == 0:
            found["from"] = chance.choice(POINTERS)
        return found


def quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")


@pytest.fixture(scope="module")
def requests(https: Https) -> Iterator[Requests]:
    api = Api(https.base, https.context())
    yield Requests(SEED, api)
    api.close()


@pytest.fixture(scope="module")
def plain(https: Https) -> Iterator[Api]:
    api = Api(https.base, https.context())
    yield api
    api.close()


@pytest.mark.slow
@pytest.mark.timeout(max(300, REQUESTS // 10))
@pytest.mark.parametrize("part", range(max(1, REQUESTS // AT_ONCE)))
def test_no_request_meets_a_fault(https: Https, plain: Api, requests: Requests, part: int) -> None:
    for number in range(min(AT_ONCE, REQUESTS)):
        method, path, body, headers = requests.draw()
        status, answer = send(plain, method, path, body, headers)
        request = f"#{part * AT_ONCE + number} {method} {path} {headers} {body!r:.3000}"
        assert is_an_answer(status, answer), f"{request}\n→ {status} {answer}"


@pytest.mark.slow
def test_watches_of_any_kind(https: Https, plain: Api) -> None:
    chance = Random(SEED)
    for _ in range(60):
        words = [f"{name}={quoted(chance.choice(values))}" for name, values in {
            "watch": ("true", "1", ""), "resourceVersion": ("", "0", "1", "x"),
            "resourceVersionMatch": ("", "NotOlderThan", "Exact"),
            "sendInitialEvents": ("true", "false", "x"), "allowWatchBookmarks": ("true", ""),
            "labelSelector": SELECTORS, "fieldSelector": SELECTORS,
        }.items() if name == "watch" or chance.randrange(2)]  # fmt: skip
        headers = {"Accept": chance.choice(MEDIA)}
        path = f"/api/v1/namespaces/default/configmaps?timeoutSeconds=1&{'&'.join(words)}"
        status, answer = send(plain, "GET", path, b"", headers)
        assert is_an_answer(status, answer), f"{path} {headers}\n→ {status} {answer}"


def send(api: Api, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
    connection = api._connection
    connection.request(method, path, body or None, headers)
    response = connection.getresponse()
    content = response.read()
    return response.status, orjson.loads(content) if content[
        :1
    ] == b"{" and b"\n{" not in content else content


def is_an_answer(status: int, answer: Any) -> bool:
    if status < 500:
        return True
    if not isinstance(answer, dict) or answer.get("kind") != "Status":
        return b"YAML" in bytes(answer) if isinstance(answer, bytes) else False
    if answer.get("reason") == "Timeout" and "Too large resource version" in answer["message"]:
        return True
    return str(answer.get("message", "")).startswith(UPSTREAMS_OWN_TOO)


def test_requests_are_the_same_in_each_run(https: Https, plain: Api) -> None:
    first, second = (Requests(7, plain) for _ in range(2))
    assert [first.draw() for _ in range(20)] == [second.draw() for _ in range(20)]
