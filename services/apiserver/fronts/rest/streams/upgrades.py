"""Which protocol a client wants to go on with, and the change to it.

kubectl before 1.30 asks for SPDY/3.1 with its stream protocols in headers of their own; later ones, and other
clients, for a WebSocket with sub-protocols. Refusals are in the words of upstream's `httpstream`.
"""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from services.api import errors
from services.api.errors import ApiError
from services.apiserver.fronts.kubelets import KubeletRefusal
from services.apiserver.fronts.rest.streams import wires
from services.apiserver.fronts.rest.streams.channels import NONE, choose, framed

SPDY = "SPDY/3.1"
VERSION_HEADER = "X-Stream-Protocol-Version"
MESSAGE_BYTES = 32 * 1024


class PlainRefusal(Exception):
    """An answer that is text and not a Status; clients show it after `unable to upgrade connection: `."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


@dataclass(frozen=True, slots=True)
class Upgrade:
    websocket: bool
    protocol: str  # a WebSocket's sub-protocol, or the version of the streams in SPDY


def of(request: web.Request, sub_protocols: tuple[str, ...], versions: tuple[str, ...]) -> Upgrade:
    """ApiError (400), PlainRefusal (403)."""
    connection, protocol = request.headers.get("Connection", "").lower(), request.headers.get("Upgrade", "")
    if "upgrade" not in connection or not protocol:
        raise errors.bad_request("Upgrade request required")
    if protocol.lower() == "websocket":
        offered = _listed(request, "Sec-WebSocket-Protocol")
        chosen = choose(offered, sub_protocols)
        if not chosen and (offered or NONE not in sub_protocols):
            raise PlainRefusal(400, f"client requested unsupported protocols: {_words(offered)}")
        return Upgrade(True, chosen)
    if protocol.lower() != SPDY.lower():
        shown = request.headers.getall("Upgrade")
        raise PlainRefusal(400, f"unable to upgrade: missing upgrade headers in request: {_words(shown)}")
    offered = _listed(request, VERSION_HEADER)
    if not offered:
        raise PlainRefusal(400, f"unable to upgrade: {VERSION_HEADER} header is required")
    if chosen := choose(offered, versions):
        return Upgrade(False, chosen)
    raise PlainRefusal(
        403,
        "unable to upgrade: unable to negotiate protocol: client supports "
        f"{_words(offered)}, server accepts {_words(versions)}",
    )


async def websocket(request: web.Request, upgrade: Upgrade) -> web.WebSocketResponse:
    return await wires.websocket(request, upgrade.protocol)


async def send(socket: web.WebSocketResponse, protocol: str, channel: int, data: bytes) -> None:
    """In pieces of upstream's size, beyond which some clients refuse a message. ConnectionError."""
    for start in range(0, len(data) or 1, MESSAGE_BYTES):
        message = framed(protocol, channel, data[start : start + MESSAGE_BYTES])
        if isinstance(message, str):
            await socket.send_str(message)
        else:
            await socket.send_bytes(message)


async def spdy(request: web.Request, upgrade: Upgrade) -> tuple[wires.RawWire, web.StreamResponse]:
    return await wires.switch(request, {"Upgrade": SPDY, VERSION_HEADER: upgrade.protocol})


def not_upgraded(error: ApiError) -> Exception:
    """How a refusal leaves before there is a stream: what a kubelet says is text, as upstream's does."""
    return PlainRefusal(error.code, error.message) if isinstance(error, KubeletRefusal) else error


def _listed(request: web.Request, name: str) -> list[str]:
    values = request.headers.getall(name, [])
    return [part.strip() for value in values for part in value.split(",") if part.strip()]


def _words(values: list[str] | tuple[str, ...]) -> str:
    return f"[{' '.join(values)}]"
