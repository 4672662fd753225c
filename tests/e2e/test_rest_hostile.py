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
    keys._issue(folder, name, made, "kubernetes-admin", "system:masters")


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
