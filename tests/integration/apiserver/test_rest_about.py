"""What the server says of itself over HTTPS: how long it may be kept, in which form, who is refused."""

from __future__ import annotations

import gzip
import http.client
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest

from tests.support.apiserver import Https, https

__all__ = ["https"]

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
OLDER = AGGREGATED.replace("v=v2", "v=v2beta1")
PROTOBUF = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"


class Api:
    def __init__(self, https: Https) -> None:
        where = urlsplit(https.base)
        self.connection = http.client.HTTPSConnection(
            where.hostname or "", where.port, context=https.context()
        )

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request(method, path, headers=named)
        response = self.connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()


@pytest.fixture(scope="module")
def api(https: Https) -> Iterator[Api]:
    api = Api(https)
    yield api
    api.connection.close()


def test_every_answer_has_the_headers_that_upstreams_have(api: Api) -> None:
    for path in ("/version", "/api/v1/namespaces", "/api/v1/namespaces/none", "/nothing"):
        _, headers, _ = api.get(path)
        assert "Server" not in headers
        assert headers["Cache-Control"] == "no-cache, private"
        assert len(headers["Audit-Id"]) == 36
        assert {"X-Kubernetes-PF-FlowSchema-UID", "X-Kubernetes-PF-PriorityLevel-UID"} <= headers.keys()
    assert api.get("/version", Audit_ID="mine")[1]["Audit-Id"] == "mine"


@pytest.mark.parametrize("path", ["/api", "/apis"])
def test_all_groups_in_one_document_that_may_be_kept(api: Api, path: str) -> None:
    status, headers, body = api.get(path, Accept=f"{AGGREGATED},{OLDER},application/json")
    assert (status, headers["Content-Type"]) == (200, AGGREGATED)
    assert orjson.loads(body)["kind"] == "APIGroupDiscoveryList"
    status, again, body = api.get(path, Accept=AGGREGATED, If_None_Match=headers["ETag"])
    assert (status, body, again["ETag"]) == (304, b"", headers["ETag"])


def test_older_clients_get_the_pieces(api: Api) -> None:
    status, headers, body = api.get("/apis", Accept=f"{OLDER},application/json")
    assert (status, orjson.loads(body)["kind"]) == (200, "APIGroupList")
    assert headers["Content-Type"].startswith("application/json")
    status, _, body = api.get("/apis", Accept=OLDER)
    assert (status, orjson.loads(body)["reason"]) == (406, "NotAcceptable")
    status, headers, body = api.get("/apis/apps/v1", Accept="application/yaml")
    assert headers["Content-Type"].startswith("application/yaml")
    assert b"groupVersion: apps/v1\n" in body


def test_a_document_asked_for_by_its_hash_may_be_kept_for_ever(api: Api) -> None:
    _, _, body = api.get("/openapi/v3")
    url = orjson.loads(body)["paths"]["apis/apps/v1"]["serverRelativeURL"]
    status, headers, packed = api.get(url, Accept_Encoding="gzip")
    assert status == 200
    assert "immutable" in headers["Cache-Control"]
    assert headers["ETag"] == f'"{url.partition("hash=")[2]}"'
    assert orjson.loads(gzip.decompress(packed))["openapi"] == "3.0.0"
    status, headers, _ = api.get("/openapi/v3/apis/apps/v1?hash=OLD")
    assert (status, headers["Location"]) == (301, url)
    status, headers, plain = api.get("/openapi/v3/apis/apps/v1")
    assert (status, plain) == (200, gzip.decompress(packed))
    assert "immutable" not in headers["Cache-Control"]
    assert api.get("/openapi/v3/apis/apps/v1", If_None_Match=headers["ETag"])[0] == 304


def test_the_second_edition_in_the_form_that_is_asked_for(api: Api) -> None:
    status, headers, body = api.get("/openapi/v2", Accept=f"application/json, {PROTOBUF}")
    assert (status, headers["Content-Type"], orjson.loads(body)["swagger"]) == (
        200,
        "application/json",
        "2.0",
    )
    status, headers, body = api.get("/openapi/v2", Accept=PROTOBUF)
    assert (status, headers["Content-Type"]) == (200, PROTOBUF.replace("v2@v1.0", "v2.v1.0"))
    assert body.startswith(b"\x0a\x032.0")
    status, _, body = api.get("/openapi/v2", Accept="text/html")
    assert (status, orjson.loads(body)["reason"]) == (406, "NotAcceptable")


@pytest.mark.parametrize(
    "path",
    [
        "/apis/nope",
        "/apis/apps/v9",
        "/api/v9",
        "/openapi/v3/apis/nope/v1",
        "/openapi/v1",
        "/livez/nope",
        "/nope",
    ],
)
def test_nothing_else_is_there(api: Api, path: str) -> None:
    assert api.get(path)[0] == 404


def test_what_is_routed_is_only_got_and_the_rest_answers_to_any_method(api: Api) -> None:
    """As upstream: its router knows methods, other handlers do not look; nobody is told which are allowed."""
    for path in ("/version", "/api", "/api/v1", "/apis/apps/v1", "/openid/v1/jwks"):
        for method in ("POST", "HEAD", "OPTIONS"):
            status, headers, body = api.get(path, method=method)
            assert (status, "Allow" in headers) == (405, False), path
            assert method == "HEAD" or orjson.loads(body)["reason"] == "MethodNotAllowed"
    for path in ("/apis", "/apis/apps", "/openapi/v2", "/livez", "/metrics", "/"):
        assert {api.get(path, method=method)[0] for method in ("POST", "HEAD")} == {200}, path


def test_health(api: Api) -> None:
    assert api.get("/healthz")[2] == b"ok"
    assert api.get("/readyz/etcd")[2] == b"ok"
    lines = api.get("/readyz?verbose&exclude=log&exclude=nope")[2].decode().splitlines()
    assert lines[:2] == ["[+]ping ok", "[+]log excluded: ok"]
    assert lines[-2] == 'warn: some health checks cannot be excluded: no matches for "nope"'
    assert lines[-1] == "readyz check passed"


def test_numbers(api: Api) -> None:
    def counted() -> dict[str, Any]:
        lines = api.get("/metrics")[2].decode().splitlines()
        return dict(line.rsplit(" ", 1) for line in lines if line[0] != "#")

    labels = 'group="",version="v1",resource="configmaps",subresource="",scope="namespace",verb="LIST"'
    name = f'apiserver_request_total{{code="200",{labels}}}'
    before = int(counted().get(name, 0))
    api.get("/api/v1/namespaces/default/configmaps")
    api.get("/api/v1/namespaces/default/nonsense-that-nobody-serves")
    found = counted()
    assert int(found[name]) == before + 1
    assert int(found[f'apiserver_request_duration_seconds_bucket{{{labels},le="+Inf"}}']) == before + 1
    assert not any("nonsense" in each for each in found)
