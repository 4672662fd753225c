"""Which backend a request goes to: the table of the API's documentation, and ingress-nginx' additions."""

from __future__ import annotations

from typing import Any

import pytest

from services.api.meta_v1 import ObjectMeta
from services.api.networking_v1 import (
    HTTPIngressPath,
    HTTPIngressRuleValue,
    Ingress,
    IngressBackend,
    IngressRule,
    IngressServiceBackend,
    IngressSpec,
    IngressTLS,
    ServiceBackendPort,
)
from services.api.object import ObjectKey
from services.ingress.annotations import PREFIX
from services.ingress.routing import Routing, build, decide
from services.node.network.ingress import compiled


def backend(service: str) -> IngressBackend:
    return IngressBackend(service=IngressServiceBackend(name=service, port=ServiceBackendPort(number=80)))


def path(text: str, service: str, kind: str = "Prefix") -> HTTPIngressPath:
    return HTTPIngressPath(path=text, path_type=kind, backend=backend(service))


def ingress(
    name: str, *rules: tuple[str, list[HTTPIngressPath]], age: str = "2026-01-01T00:00:00Z", **more: Any
) -> Ingress:
    made = [IngressRule(host=host or None, http=HTTPIngressRuleValue(paths=paths)) for host, paths in rules]
    annotations = {PREFIX + key: value for key, value in more.pop("annotations", {}).items()}
    metadata = ObjectMeta(name=name, namespace="default", creation_timestamp=age, annotations=annotations)
    return Ingress(metadata=metadata, spec=IngressSpec(rules=made, **more))


def service(routing: Routing, host: str, target: str, *, secure: bool = False) -> str:
    """The Service that is asked, or the status of an answer at once."""
    found = decide(routing, host, target, secure=secure)
    return found.backend.service.name if found.backend else str(found.status)


@pytest.mark.parametrize(
    ("kind", "rule", "asked", "matches"),
    [
        ("Prefix", "/", "/any/thing", True),
        ("Exact", "/foo", "/foo", True),
        ("Exact", "/foo", "/bar", False),
        ("Exact", "/foo", "/foo/", False),
        ("Exact", "/foo/", "/foo", False),
        ("Prefix", "/foo", "/foo/", True),
        ("Prefix", "/foo/", "/foo", True),
        ("Prefix", "/aaa/bb", "/aaa/bbb", False),
        ("Prefix", "/aaa/bbb/", "/aaa/bbb", True),
        ("Prefix", "/aaa/bbb", "/aaa/bbb/ccc", True),
        ("Prefix", "/aaa/bbb", "/aaa/bbbxyz", False),
        ("Prefix", "/foo", "/FOO", False),
        ("Prefix", "/foo", "/foo?x=/bar", True),
        ("ImplementationSpecific", "/foo", "/foobar", True),
    ],
)
def test_paths(kind: str, rule: str, asked: str, matches: bool) -> None:
    routing = build([ingress("a", ("h", [path(rule, "web", kind)]))], compiled)
    assert service(routing, "h", asked) == ("web" if matches else "404")


def test_the_longest_path_wins_and_an_exact_one_before_a_prefix() -> None:
    paths = [path("/", "root"), path("/a", "a"), path("/a/b", "ab"), path("/a/b", "exact", "Exact")]
    routing = build([ingress("a", ("h", paths))], compiled)
    assert [service(routing, "h", target) for target in ("/x", "/a/x", "/a/b/c", "/a/b")] == [
        "root", "a", "ab", "exact",
    ]  # fmt: skip


def test_hosts() -> None:
    one = ingress(
        "a",
        ("foo.com", [path("/x", "exact")]),
        ("*.foo.com", [path("/", "wild")]),
        ("", [path("/", "any")]),
    )
    routing = build([one], compiled)
    assert service(routing, "foo.com", "/x") == "exact"
    assert service(routing, "FOO.com:8080", "/x") == "exact"
    assert service(routing, "foo.com", "/") == "404"  # what a host does not have nobody else has for it
    assert service(routing, "bar.foo.com", "/") == "wild"
    assert service(routing, "a.bar.foo.com", "/") == "any"
    assert service(routing, "", "/") == "any"
    assert service(build([], compiled), "foo.com", "/") == "404"


def test_default_backends() -> None:
    routing = build([ingress("a", default_backend=backend("all"))], compiled)
    assert service(routing, "any.com", "/x") == "all"
    routing = build([ingress("a", ("h", [path("/x", "x")]), default_backend=backend("rest"))], compiled)
    assert (service(routing, "h", "/y"), service(routing, "other", "/y")) == ("rest", "404")


def test_what_two_claim_belongs_to_the_older() -> None:
    young = ingress("a", ("h", [path("/", "young"), path("/new", "young")]), age="2026-01-02T00:00:00Z")
    routing = build([young, ingress("b", ("h", [path("/", "old")]))], compiled)
    assert (service(routing, "h", "/"), service(routing, "h", "/new")) == ("old", "young")


def test_tls_redirects_and_names_the_secret() -> None:
    tls = [IngressTLS(hosts=["s.com", "*.w.com"], secret_name="cert")]
    routing = build([ingress("a", ("s.com", [path("/", "web")]), tls=tls)], compiled)
    found = decide(routing, "s.com:30080", "/a?b=c", secure=False)
    assert (found.status, found.location) == (308, "https://s.com/a?b=c")
    assert service(routing, "s.com", "/", secure=True) == "web"
    assert routing.secret("s.com") == routing.secret("x.w.com") == ObjectKey("default", "cert")
    assert routing.secret("w.com") is None
    plain = ingress("a", ("s.com", [path("/", "web")]), tls=tls, annotations={"ssl-redirect": "false"})
    assert service(build([plain], compiled), "s.com", "/") == "web"
    forced = ingress("a", ("h", [path("/", "web")]), annotations={"force-ssl-redirect": "true"})
    assert service(build([forced], compiled), "h", "/") == "308"


def asked(annotations: dict[str, str], rule: str, target: str) -> str:
    one = ingress("a", ("h", [path(rule, "web", "ImplementationSpecific")]), annotations=annotations)
    found = decide(build([one], compiled), "h", target, secure=False)
    return found.path or f"{found.status} {found.location}".strip()


def test_annotations_that_rewrite_and_redirect() -> None:
    rewrite = {"rewrite-target": "/$2", "use-regex": "true"}
    assert asked(rewrite, "/api(/|$)(.*)", "/api/v1/x?q=1") == "/v1/x?q=1"
    assert asked(rewrite, "/api(/|$)(.*)", "/api") == "/"
    assert asked(rewrite, "/api(/|$)(.*)", "/apix") == "404"
    assert asked({"rewrite-target": "/"}, "/old", "/old/x") == "/"
    assert asked({"rewrite-target": "/"}, "/(", "/(") == "/"  # no pattern: taken as it is written
    assert asked({"app-root": "/app"}, "/", "/") == "302 http://h/app"
    assert asked({"permanent-redirect": "https://o"}, "/", "/x") == "301 https://o"
    assert asked({"temporal-redirect": "https://o"}, "/", "/x") == "302 https://o"


def test_a_pattern_cannot_take_for_ever() -> None:
    assert asked({"use-regex": "true"}, "/(a+)+$", "/" + "a" * 4000 + "b") == "404"
    assert asked({}, "/", "/" + "a" * 9000) == "404"
