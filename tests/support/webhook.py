"""A webhook that tests answer for: a real HTTPS server, with a certificate of its own."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Json = dict[str, Any]
Handler = Callable[[Json], Json | web.Response | Awaitable[Json | web.Response]]


def certificate(folder: Path, names: tuple[str, ...] = ("localhost",)) -> tuple[ssl.SSLContext, str]:
    """A server's context, and the CA bundle, in base64, of those who are to trust it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "webhook")])
    now = datetime.now(UTC)
    known: list[x509.GeneralName] = [x509.DNSName(each) for each in names]
    known.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(known), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "webhook.pem").write_bytes(secret + pem)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "webhook.pem")
    return context, base64.b64encode(pem).decode()


class WebhookServer:
    """`answers` by path; each request's review is kept in `asked`."""

    def __init__(self, port: int, bundle: str) -> None:
        self.port, self.bundle = port, bundle
        self.answers: dict[str, Handler] = {}
        self.asked: list[Json] = []
        self.connections: set[Any] = set()

    def url(self, path: str) -> str:
        return f"https://127.0.0.1:{self.port}{path}"

    def client(self, path: str) -> Json:
        return {"url": self.url(path), "caBundle": self.bundle}

    async def handle(self, request: web.Request) -> web.Response:
        self.connections.add(request.transport)
        review = orjson.loads(await request.read())
        self.asked.append(review)
        answer = self.answers[request.path](review)
        if asyncio.iscoroutine(answer):
            answer = await answer
        return answer if isinstance(answer, web.Response) else web.json_response(answer)


@asynccontextmanager
async def webhook_server(folder: Path) -> AsyncIterator[WebhookServer]:
    context, bundle = certificate(folder)
    app = web.Application()
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    server = WebhookServer(0, bundle)
    app.router.add_post("/{rest:.*}", server.handle)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        await runner.cleanup()


def answer(review: Json, *, allowed: bool = True, **more: Any) -> Json:
    response = {"uid": review["request"]["uid"], "allowed": allowed, **more}
    return {"apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": response}


def patching(*operations: Json) -> Handler:
    patch = base64.b64encode(orjson.dumps(list(operations))).decode()
    return lambda review: answer(review, patch=patch, patchType="JSONPatch")


def allow(review: Json) -> Json:
    return answer(review)


def deny(message: str, **status: Any) -> Handler:
    return lambda review: answer(review, allowed=False, status={"message": message, **status})
