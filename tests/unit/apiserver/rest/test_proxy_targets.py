"""Where a proxied request goes, and what of it is passed on."""

from __future__ import annotations

import random
from typing import Any

import pytest

from services.api.errors import ApiError
from services.apiserver.fronts.rest.streams import channels, proxy_targets
from services.apiserver.fronts.rest.streams.proxy_targets import Backend, Named

POD: dict[str, Any] = {
    "spec": {"containers": [{}, {"ports": [{"containerPort": 8080}]}]},
    "status": {"podIP": "10.1.0.5"},
}
SERVICE: dict[str, Any] = {"spec": {"ports": [{"port": 80, "name": "web"}, {"port": 443, "name": "tls"}]}}


def endpoint(name: str, kind: str = "Pod", **conditions: bool) -> dict[str, Any]:
    target = {"kind": kind, "name": name}
    return {"addresses": ["10.1.0.6"], "targetRef": target, "conditions": conditions}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a", Named("http", "a", "")),
        ("a:80", Named("http", "a", "80")),
        ("a:web", Named("http", "a", "web")),
        ("https:a:", Named("https", "a", "")),
        (":a:80", Named("http", "a", "80")),
    ],
)
def test_names(text: str, found: Named) -> None:
    assert proxy_targets.split(text, "pod") == found


@pytest.mark.parametrize("text", ["", ":", "ftp:a:80", "a:b:c:d", "::"])
def test_names_that_are_none(text: str) -> None:
    with pytest.raises(ApiError, match="invalid pod request"):
        proxy_targets.split(text, "pod")


def test_ports_of_pods() -> None:
    assert proxy_targets.of_pod(Named("http", "p", ""), POD) == Backend("p", 8080, "10.1.0.5:8080", False)
    bare: dict[str, Any] = {"spec": {"containers": [{}]}}
    assert proxy_targets.of_pod(Named("https", "p", ""), bare) == Backend("p", 443, "p:443", True)
    for port in ("x", "0", "65536", "9" * 5000, "-1", "٣"):
        with pytest.raises(ApiError, match="invalid port"):
            proxy_targets.of_pod(Named("http", "p", port), POD)


def test_ports_of_services() -> None:
    named = [Named("http", "s", port) for port in ("80", "tls", "")]
    assert [proxy_targets.service_port(each, SERVICE) for each in named] == ["web", "tls", ""]
    with pytest.raises(ApiError, match='no service port 81 found for service "s"'):
        proxy_targets.service_port(Named("http", "s", "81"), SERVICE)


def test_only_pods_that_are_ready_answer() -> None:
    ports = [{"name": "web", "port": 8080}]
    endpoints = [endpoint("no", ready=False), endpoint("yes", ready=True), endpoint("host", "Node")]
    slices: list[dict[str, Any]] = [
        {"ports": ports, "endpoints": endpoints},
        {"ports": None, "endpoints": None},
    ]
    named = Named("http", "s", "")
    for seed in range(5):
        found = proxy_targets.of_service(named, "web", slices, random.Random(seed))
        assert found == Backend("yes", 8080, "10.1.0.6:8080", False)
    with pytest.raises(ApiError, match='no endpoints available for service "s"'):
        proxy_targets.of_service(named, "tls", slices, random.Random(0))


def test_what_concerns_one_connection_is_not_passed_on() -> None:
    headers = [
        ("Connection", "close, X-Mine"),
        ("x-mine", "1"),
        ("TE", "a"),
        ("Authorization", "b"),
        ("A", "c"),
    ]
    assert proxy_targets.headers_to_pass(headers) == [("A", "c")]
    assert not proxy_targets.headers_to_pass([("Impersonate-User", "eve"), ("impersonate-extra-x", "y")])


@pytest.mark.parametrize(
    ("location", "seen"),
    [
        ("/a", "/p/a"),
        ("http://h:1/a", "/p/a"),
        ("https://h:1", "/p/"),
        ("http://h:12/a", "http://h:12/a"),
        ("//other/a", "//other/a"),
        ("relative", "relative"),
    ],
)
def test_redirects(location: str, seen: str) -> None:
    assert proxy_targets.relocated(location, "h:1", "/p") == seen


def test_sizes_of_a_terminal() -> None:
    assert channels.size_of(b'{"Width":80,"Height":24}') == (80, 24)
    for nonsense in (b"", b"{", b"1", b"{}", b'{"Width":0,"Height":1}', b'{"Width":1e9,"Height":1}', b"\xff"):
        assert channels.size_of(nonsense) is None
    sizes, rest = channels.sizes_of(b'{"Width":1,"Height":2}\n{"Width":3,"Height":4}\n{"Wid')
    assert (sizes, rest) == ([(1, 2), (3, 4)], b'\n{"Wid')
