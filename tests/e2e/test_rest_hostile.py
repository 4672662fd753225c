"""What bad clients send to the HTTPS port: the right code and Status, nothing stored, nothing left behind."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.process import keys
from tests.support.apiserver import Https, https

__all__ = ["https"]
pytestmark = pytest.mark.slow  # needs etcd and an API server of its own

Json = dict[str, Any]
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
GOOD = b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"good"}}'
PATIENCE_SECONDS = 60.0


def ask(
    https: Https,
    method: str,
    path: str,
    body: bytes = b"",
    context: ssl.SSLContext | None = None,
    **headers: str,
) -> tuple[int, Json | str, http.client.HTTPMessage]:
    host, _, port = https.base.removeprefix("https://").partition(":")
    connection = http.client.HTTPSConnection(
        host, int(port), context=context or https.context(), timeout=PATIENCE_SECONDS
    )
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body or None, named)
        answer = connection.getresponse()
        raw = answer.read()
        if answer.headers.get("Content-Encoding") == "gzip":
            raw = gzip.decompress(raw)
        text = raw.decode()
        shown: Json | str = json.loads(text) if text.startswith("{") else text
        return answer.status, shown, answer.headers
    finally:
        connection.close()


def raw_exchange(https: Https, sent: bytes, *, half_close: bool = False) -> bytes:
    """What comes back until the server closes."""
    host, _, port = https.base.removeprefix("https://").partition(":")
    with (
        socket.create_connection((host, int(port)), PATIENCE_SECONDS) as plain,
        https.context().wrap_socket(plain, server_hostname=host) as secure,
    ):
        secure.sendall(sent)
        if half_close:
            plain_fd = secure.detach()
            socket.socket(fileno=plain_fd).close()
            return b""
        found = b""
        try:
            while chunk := secure.recv(65536):
                found += chunk
                if b"\r\n\r\n" in found and b"Connection: close" not in sent:
                    return found
        except (ConnectionError, ssl.SSLError):
            pass
        return found


def status_of(answer: tuple[int, Json | str, http.client.HTTPMessage]) -> Json:
    code, body, _ = answer
    assert isinstance(body, dict), body
    assert body["kind"] == "Status", body
    assert body["code"] == code
    return body


def names(https: Https) -> set[str]:
    _, body, _ = ask(https, "GET", CONFIG_MAPS)
    assert isinstance(body, dict)
    return {item["metadata"]["name"] for item in body["items"]}


BAD_BODIES = [
    (b"", "application/json", 400, "unexpected end of JSON input"),
    (b"{", "application/json", 400, "unexpected end of JSON input"),
    (b"[1]", "application/json", 400, "cannot unmarshal array"),
    (b'{"kind":"ConfigMap"', "application/json", 400, "json parse error"),
    (b"\xff\xfe{}", "application/json", 400, "unrecognized"),
    (b"a: b: c", "application/yaml", 400, "mapping values are not allowed"),
    (b"\tx: 1", "application/yaml", 400, "cannot start any token"),
    (b"a: &a [*a]", "application/yaml", 400, ""),
    (b"k8s\0\xff\xff", "application/vnd.kubernetes.protobuf", 400, "unrecognized"),
    (b"{}", "application/vnd.kubernetes.protobuf", 400, "does not appear to be a protobuf message"),
    (GOOD, "text/plain", 415, "unknown format"),
    (GOOD, "application/x-www-form-urlencoded", 415, "unknown format"),
    (b'{"metadata":' * 5000 + b"{}" + b"}" * 5000, "application/json", 400, ""),
    (b"[" * 20000 + b"]" * 20000, "application/yaml", 400, ""),
]


@pytest.mark.parametrize(("body", "media", "code", "words"), BAD_BODIES)
def test_bodies_that_are_none(https: Https, body: bytes, media: str, code: int, words: str) -> None:
    status = status_of(ask(https, "POST", CONFIG_MAPS, body, Content_Type=media))
    assert status["code"] == code, status
    assert words in status["message"]
    assert not names(https) - {"kube-root-ca.crt"}


def test_aliases_do_not_grow_without_bound(https: Https) -> None:
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    bomb = "\n".join(lines).encode()
    status = status_of(ask(https, "POST", CONFIG_MAPS, bomb, Content_Type="application/yaml"))
    assert "excessive aliasing" in status["message"]
    path = CONFIG_MAPS + "/bomb?fieldManager=t"
    status = status_of(ask(https, "PATCH", path, bomb, Content_Type="application/apply-patch+yaml"))
    assert "excessive aliasing" in status["message"]


def test_bodies_that_are_too_long(https: Https) -> None:
    long = b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"long"},"data":{"x":"%s"}}'
    status = status_of(ask(https, "POST", CONFIG_MAPS, long % (b"x" * 4_000_000)))
    assert (status["code"], status["reason"]) == (413, "RequestEntityTooLarge")
    assert "long" not in names(https)


BAD_QUERIES = [
    ("labelSelector=!!", 400, "unable to parse requirement"),
    ("labelSelector=a%20in%20(", 400, ""),
    ("fieldSelector=a.b.c%3Dd", 400, "not a known field selector"),
    ("continue=%00%ff", 400, "continue"),
    ("continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiIuLi8uLi9zZWNyZXRzIn0", 400, "continue"),
    ("resourceVersion=x", 400, "invalid resource version"),
    ("limit=x", 400, "invalid syntax"),
    ("limit=99999999999999999999", 400, "out of range"),
    ("timeoutSeconds=x", 400, "invalid syntax"),
    ("watch=1&resourceVersion=-1", 500, "invalid syntax"),
]


@pytest.mark.parametrize(("query", "code", "words"), BAD_QUERIES)
def test_questions_that_make_no_sense(https: Https, query: str, code: int, words: str) -> None:
    status = status_of(ask(https, "GET", f"{CONFIG_MAPS}?{query}"))
    assert status["code"] == code, status
    assert words in status["message"]


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/namespaces/default/configmaps/%2e%2e",
        "/api/v1/namespaces/%2e%2e/secrets",
        "/api/v1/namespaces/default/configmaps/a%2fb",
        "/api/v1/namespaces/default/../kube-system/secrets",
        "/api/v1/namespaces/default//configmaps",
        "/api/v1//namespaces/default/configmaps",
        "/../../etc/passwd",
        "/api/v1/namespaces/default/configmaps/good/%2e%2e/%2e%2e/secrets",
        "/api/v1/namespaces/%00/configmaps/x",
        "/api/v1/namespaces/default/configmaps/" + "x" * 5000,
    ],
)
def test_paths_lead_nowhere_else(https: Https, path: str) -> None:
    code, body, _ = ask(https, "GET", path)
    assert code in (400, 404), (code, body)
    if isinstance(body, dict):
        assert body["kind"] == "Status"
    else:
        assert body == "404 page not found\n"


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND", "OPTIONS"])
def test_methods_that_are_none(https: Https, method: str) -> None:
    sent = f"{method} {CONFIG_MAPS} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    assert raw_exchange(https, sent).split(b" ", 2)[1] in (b"400", b"403", b"405", b"501")


SMUGGLED = [
    b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /version HTTP/1.1\r\n\r\n",
    b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    b"Content-Length: -1\r\n\r\n",
    b"Content-Length: 1_0\r\n\r\n0123456789",
    b"X: a\r\n b\x00c\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
    b"Content-Length: 5, 5\r\n\r\nabcde",
    b"Content-Length: +5\r\n\r\nabcde",
    b"Content-Length: 0x5\r\n\r\nabcde",
    b"Content-Length: 99999999999999999999\r\n\r\n",
    b"Content-Length\r\n\r\n",
    b": empty\r\n\r\n",
    b"X\x00Y: a\r\n\r\n",
    b"X: a\r\n Content-Length: 5\r\n\r\nabcde",
    b"X: a\rContent-Length: 5\r\n\r\nabcde",
]


@pytest.mark.parametrize("rest", SMUGGLED)
def test_two_requests_are_never_made_of_one(https: Https, rest: bytes) -> None:
    sent = f"POST {CONFIG_MAPS} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n".encode() + rest
    found = raw_exchange(https, sent)
    assert found.count(b"HTTP/1.") <= 1, found
    assert found.split(b" ", 2)[1:2] in ([b"400"], [b"501"]), found
    assert b"Traceback" not in found


def test_headers_are_bounded(https: Https) -> None:
    sent = b"GET /version HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 200_000 + b"\r\n\r\n"
    assert raw_exchange(https, sent).split(b" ", 2)[1] in (b"400", b"431")


def _issue(folder: Path, name: str, made: datetime) -> None:
    keys.Issuer(folder, made).issue(name, "kubernetes-admin", "system:masters")


def _refused(https: Https, context: ssl.SSLContext) -> bool:
    """Whether the server ends the handshake, or the connection right after it."""
    try:
        ask(https, "GET", "/api/v1/secrets", context=context)
    except (ssl.SSLError, ConnectionError, http.client.RemoteDisconnected):
        return True
    return False


def test_certificates_of_others_and_old_ones(https: Https, tmp_path: Path) -> None:
    keys.make_missing(tmp_path, datetime.now(UTC))
    foreign = ssl.create_default_context(cafile=str(https.keys / "ca.crt"))
    foreign.load_cert_chain(str(tmp_path / "admin.crt"), str(tmp_path / "admin.key"))
    assert _refused(https, foreign)
    _issue(https.keys, "old", datetime.now(UTC) - timedelta(days=4000))
    assert _refused(https, https.context("old"))


def test_nobody_may_read(https: Https) -> None:
    status = status_of(ask(https, "GET", "/api/v1/secrets", context=https.context("")))
    assert status["code"] in (401, 403)
    status = status_of(
        ask(https, "GET", "/api/v1/secrets", context=https.context(""), Authorization="Bearer x.y.z")
    )
    assert (status["code"], status["reason"]) == (401, "Unauthorized")


def test_what_follows_a_broken_request_is_no_request(https: Https) -> None:
    """A second request behind a body that ends too early, or late, is never carried out."""
    second = f"POST {CONFIG_MAPS} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(GOOD)}\r\n\r\n".encode() + GOOD
    for first in (
        b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n",
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    ):
        head = f"POST {CONFIG_MAPS} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n".encode()
        assert raw_exchange(https, head + first + second).count(b"HTTP/1.") <= 1
    assert "good" not in names(https)


BAD_VALUES = [
    b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"bad"},"data":{"a":NaN}}',
    b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"bad"},"data":{"a":1e999}}',
    b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"bad\\u0000"}}',
    b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"../../secrets/x"}}',
    b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"bad","namespace":"../kube-system"}}',
    b'{"apiVersion":"v1","kind":"ConfigMap","metadata":' + b'{"annotations":' * 300 + b"0" + b"}" * 301,
    b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"bad","labels":{"' + b"k" * 4000 + b'":"v"}}}',
]


@pytest.mark.parametrize("body", BAD_VALUES)
def test_values_that_no_object_has(https: Https, body: bytes) -> None:
    status = status_of(ask(https, "POST", CONFIG_MAPS, body))
    assert status["code"] in (400, 422), status
    assert not names(https) - {"kube-root-ca.crt"}


BAD_PATCHES = [
    (b"[" * 5000 + b"]" * 5000, "application/json-patch+json"),
    (b'[{"op":"test","path":"' + b"/a" * 5000 + b'","value":1}]', "application/json-patch+json"),
    (b'[{"op":"copy","from":"","path":"/data"}]', "application/json-patch+json"),
    (b'{"a":' * 5000 + b"1" + b"}" * 5000, "application/merge-patch+json"),
    (b'{"$patch":"replace","data":{"$patch":"what"}}', "application/strategic-merge-patch+json"),
    (b"a: " + b"[" * 5000, "application/apply-patch+yaml"),
]


@pytest.mark.parametrize(("body", "media"), BAD_PATCHES)
def test_patches_that_are_none(https: Https, body: bytes, media: str) -> None:
    path = CONFIG_MAPS + "/none?fieldManager=t"
    status = status_of(ask(https, "PATCH", path, body, Content_Type=media))
    assert status["code"] in (400, 404, 422), status
    assert not names(https) - {"kube-root-ca.crt"}


@pytest.mark.parametrize(
    "head",
    [
        b"GET /api/v1/pods HTTP/1.1\r\n\r\n",
        b"GET /api/v1/pods HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET http://elsewhere.example/api/v1/pods HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /api/v1/pods?x=\xff\xfe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /api/v1/pods HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET  /api/v1/pods HTTP/1.1\r\nHost: x\r\n\r\n",
        b"get /api/v1/pods HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /api/v1/pods HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + b"A: b\r\n" * 5000 + b"\r\n",
    ],
)
def test_heads_that_are_odd(https: Https, head: bytes) -> None:
    """An answer or an end, and never two, nor a fault of ours."""
    found = raw_exchange(https, head)
    assert found.count(b"HTTP/1.") <= 1, found
    assert b" 500 " not in found.split(b"\r\n", 1)[0]


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "PATCH"])
def test_methods_that_a_collection_does_not_know(https: Https, method: str) -> None:
    code, body, _ = ask(https, method, CONFIG_MAPS, GOOD if method[0] == "P" else b"")
    assert code == 405
    if method != "HEAD":
        assert isinstance(body, dict)
        assert body["message"] == "the server does not allow this method on the requested resource"


def gauge(https: Https, name: str) -> int:
    _, text, _ = ask(https, "GET", "/metrics")
    assert isinstance(text, str)
    return int(float(text.partition(f"\n{name} ")[2].split("\n")[0]))


def test_slow_clients_keep_nobody_waiting(https: Https) -> None:
    """Heads and bodies that come a byte at a time, or never to their end; and their memory is given back."""
    host, _, port = https.base.removeprefix("https://").partition(":")
    ask(https, "GET", "/version")
    memory = gauge(https, "process_resident_memory_bytes")
    head = f"POST {CONFIG_MAPS} HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n".encode()
    slow = []
    try:
        for number in range(40):
            plain = socket.create_connection((host, int(port)), PATIENCE_SECONDS)
            secure = https.context().wrap_socket(plain, server_hostname=host)
            slow.append(secure)
            secure.sendall(head[:20] if number % 2 else head + b"{")
        for secure in slow:
            secure.sendall(b" ")
        assert ask(https, "GET", "/version")[0] == 200
        assert names(https) is not None
    finally:
        for secure in slow:
            secure.close()
    for _ in range(600):
        if gauge(https, "apiserver_current_inflight_requests") == 1:  # the one that asks
            break
    assert gauge(https, "apiserver_current_inflight_requests") == 1
    assert gauge(https, "process_resident_memory_bytes") < memory + 64 * 1024 * 1024


def test_a_watch_whose_client_half_closes_ends(https: Https) -> None:
    host, _, port = https.base.removeprefix("https://").partition(":")
    sent = f"GET {CONFIG_MAPS}?watch=1 HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    for _ in range(5):
        plain = socket.create_connection((host, int(port)), PATIENCE_SECONDS)
        secure = https.context().wrap_socket(plain, server_hostname=host)
        secure.sendall(sent)
        assert b"200" in secure.recv(1024)
        fd = secure.detach()
        half = socket.socket(fileno=fd)
        half.shutdown(socket.SHUT_WR)
        half.close()
    for _ in range(600):
        if gauge(https, "apiserver_longrunning_requests") == 0:
            break
    assert gauge(https, "apiserver_longrunning_requests") == 0


def _open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_watchers_leave_with_their_connections(https: Https) -> None:
    """Clients that go without a word, in the middle of anything, leave nothing open."""
    ask(https, "GET", "/version")
    before = _open_files(https.pid)
    for sent in (
        f"GET {CONFIG_MAPS}?watch=1 HTTP/1.1\r\nHost: x\r\n\r\n",
        f"POST {CONFIG_MAPS} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc",
        "GET /ver",
    ):
        for _ in range(10):
            raw_exchange(https, sent.encode(), half_close=True)
    left = _open_files(https.pid)
    for _ in range(600):
        if left <= before + 2:
            break
        ask(https, "GET", "/version")  # gives the server's loop its turns
        left = _open_files(https.pid)
    assert left <= before + 2
    assert not names(https) - {"kube-root-ca.crt"}


def test_none_of_it_was_a_fault_of_ours(https: Https) -> None:
    """Comes last: nothing that the others sent has left a stack in the log."""
    log = https.log.read_text()
    assert "Traceback" not in log, log[-3000:]
