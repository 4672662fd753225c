"""Probes as the kubelet asks them: what is called, in which order, and the words of what comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from services.api.core_v1 import Container, Pod, Probe
from services.kubelet import grpc_probe, hpack
from services.kubelet.cri import CriError, ExecResult, HttpAnswer
from services.kubelet.probe_actions import ask
from services.kubelet.probes import Answer
from tests.support.clock import ManualClock
from tests.support.fake_cri import FakeCri
from tests.unit.kubelet.node import NodeUnderTest

TARGET = "10.244.0.1"


@pytest.fixture
def node(tmp_path: Path) -> NodeUnderTest:
    return NodeUnderTest(tmp_path)


async def asked(cri: FakeCri, **probe: object) -> Answer:
    return await ask(
        cri,  # type: ignore[arg-type]  # streams are not scripted
        cri.clock,
        msgspec.convert(probe, Probe),
        Container(name="main"),
        "id",
        TARGET,
        3,
    )


@pytest.fixture
def cri() -> FakeCri:
    return FakeCri(ManualClock())


async def test_a_command_that_takes_too_long(cri: FakeCri) -> None:
    cri.exec_results = [CriError("DeadlineExceeded", "…")]
    answer = await asked(cri, exec={"command": ["sleep", "9"]})
    assert answer == Answer(False, 'command timed out: "sleep 9" timed out after 3s')


async def test_a_command_that_cannot_be_run_counts_for_nothing(cri: FakeCri) -> None:
    cri.exec_results = [CriError("Unknown", "failed to exec in container")]
    answer = await asked(cri, exec={"command": ["nope"]})
    assert answer.error
    assert answer.output == "rpc error: code = Unknown desc = failed to exec in container"


async def test_a_command_says_why_it_fails(cri: FakeCri) -> None:
    cri.exec_results = [ExecResult(stdout=b"a", stderr=b"b", exit_code=2)]
    assert await asked(cri, exec={"command": ["x"]}) == Answer(False, "ab")


async def test_redirects_on_the_same_host_are_followed(cri: FakeCri) -> None:
    cri.http_answers = [HttpAnswer(status=302, location="/login?next=1"), HttpAnswer(status=404)]
    answer = await asked(cri, httpGet={"path": "/", "port": 80})
    assert cri.calls == [f"http {TARGET}:80/", f"http {TARGET}:80/login?next=1"]
    assert answer == Answer(False, "HTTP probe failed with statuscode: 404")


async def test_redirects_to_elsewhere_are_a_warning(cri: FakeCri) -> None:
    cri.http_answers = [HttpAnswer(status=301, location="http://example.com/", body=b"gone")]
    answer = await asked(cri, httpGet={"path": "/", "port": 80})
    assert (answer.success, answer.warning) == (True, True)
    assert answer.output == "Probe terminated redirects, Response body: gone"


async def test_redirects_in_a_circle_end(cri: FakeCri) -> None:
    cri.http_answers = [HttpAnswer(status=302, location="/")] * 20
    answer = await asked(cri, httpGet={"path": "/", "port": 80})
    assert answer == Answer(False, f'Get "http://{TARGET}:80/": stopped after 10 redirects')


async def test_nobody_listens(cri: FakeCri) -> None:
    refused = f"dial tcp {TARGET}:80: connect: connection refused"
    cri.http_answers = [CriError("Unavailable", refused)]
    assert (await asked(cri, httpGet={"path": "/ok", "port": 80})).output == (
        f'Get "http://{TARGET}:80/ok": {refused}'
    )
    cri.dial_errors[TARGET, 80] = CriError("Unavailable", refused)
    assert (await asked(cri, tcpSocket={"port": 80})).output == refused
    cri.dial_errors[TARGET, 80] = CriError("DeadlineExceeded", "Deadline Exceeded")
    assert (await asked(cri, tcpSocket={"port": 80})).output == f"dial tcp {TARGET}:80: i/o timeout"


# ---- gRPC ------------------------------------------------------------------------------------


class Server:
    """Answers what it is told to, whatever it is asked."""

    def __init__(self, *frames: bytes) -> None:
        self.received = b""
        self._frames = frames
        self.closed = False

    async def send(self, data: bytes) -> None:
        self.received += data

    async def end(self) -> None: ...

    async def receive(self) -> AsyncIterator[bytes]:
        yield grpc_probe._frame(grpc_probe.SETTINGS, 0, 0)
        for frame in self._frames:
            # In pieces, as networks do.
            yield frame[:5]
            yield frame[5:]
        if not self._frames:
            await asyncio.Event().wait()

    def close(self) -> None:
        self.closed = True


HEAD = grpc_probe._frame(
    grpc_probe.HEADERS, grpc_probe.END_HEADERS, 1, b"\x88" + hpack.encode([("content-type", "grpc")])
)


def message(status: int) -> bytes:
    return grpc_probe._frame(grpc_probe.DATA, 0, 1, b"\0\0\0\0\2\x08" + bytes((status,)))


def trailer(code: str, text: str = "") -> bytes:
    fields = hpack.encode([("grpc-status", code), ("grpc-message", text)])
    return grpc_probe._frame(grpc_probe.HEADERS, grpc_probe.END_HEADERS | grpc_probe.END_STREAM, 1, fields)


@pytest.mark.parametrize(
    ("frames", "success", "output"),
    [
        ((HEAD, message(1), trailer("0")), True, "service healthy"),
        ((HEAD, message(2), trailer("0")), False, 'service unhealthy (responded with "NOT_SERVING")'),
        (
            (trailer("12", "unknown service"),),
            False,
            "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): "
            "unknown service",
        ),
        (
            (trailer("5", "unknown service"),),
            False,
            "error: health rpc probe failed: rpc error: code = NotFound desc = unknown service",
        ),
        (
            (b"HTTP/1.1 400 Bad Request\r\n\r\n",),
            False,
            "error: health rpc probe failed: rpc error: code = Unavailable desc = connection closed",
        ),
    ],
)
async def test_grpc_health(cri: FakeCri, frames: tuple[bytes, ...], success: bool, output: str) -> None:
    server = Server(*frames)
    cri.connections = [server]
    assert await asked(cri, grpc={"port": 9000, "service": "db"}) == Answer(success, output)
    assert b"/grpc.health.v1.Health/Check" in server.received
    assert b"\0\0\0\0\4\n\2db" in server.received
    assert server.closed


async def test_grpc_that_does_not_answer(cri: FakeCri) -> None:
    server = Server()
    cri.connections = [server]
    asking = asyncio.ensure_future(asked(cri, grpc={"port": 9000}))
    assert isinstance(cri.clock, ManualClock)
    await cri.clock.advance(4)
    assert (await asking).output == "timeout: health rpc did not complete within 3s"
    assert server.closed


async def test_grpc_where_nobody_listens(cri: FakeCri) -> None:
    cri.dial_errors[TARGET, 9000] = CriError("Unavailable", "connection refused")
    answer = await asked(cri, grpc={"port": 9000})
    assert answer.output.startswith(f'timeout: failed to connect service "{TARGET}:9000" within 3s')


def test_huffman_strings_and_indexed_names() -> None:
    # RFC 7541, C.4.1 and C.4.2: two requests on one connection.
    decoder = hpack.Decoder()
    first = decoder.decode(bytes.fromhex("828684418cf1e3c2e5f23a6ba0ab90f4ff"))
    assert "www.example.com" in first.values()
    second = decoder.decode(bytes.fromhex("828684be5886a8eb10649cbf"))
    assert {"www.example.com", "no-cache"} & {*second.values()}


# ---- In a Pod --------------------------------------------------------------------------------


async def test_nothing_else_is_asked_before_startup_has_passed(node: NodeUnderTest) -> None:
    node.cri.exec_results = [ExecResult(exit_code=1), ExecResult()]
    async with node.running():
        await node.run_pod(
            {
                "startupProbe": {"exec": {"command": ["up"]}, "periodSeconds": 5},
                "readinessProbe": {"httpGet": {"port": 80}, "periodSeconds": 60},
            }
        )
        await node.clock.advance(5)
        assert not [call for call in node.cri.calls if call.startswith("http")]
        await node.clock.advance(1)
        assert node.pod().status.container_statuses[0].ready, "readiness is asked at once"


async def test_a_startup_probe_that_gives_up(node: NodeUnderTest) -> None:
    node.cri.exec_results = [ExecResult(exit_code=1)] * 2
    probe = {"exec": {"command": ["up"]}, "periodSeconds": 1, "failureThreshold": 2}
    async with node.running():
        await node.run_pod({"startupProbe": probe})
        await node.clock.advance(2)
        assert "Normal Killing Container main failed startup probe, will be restarted" in node.events()
        assert "Warning Unhealthy Startup probe failed: " in node.events()


async def test_readiness_is_asked_while_the_pod_is_stopped(node: NodeUnderTest) -> None:
    async with node.running():
        await node.run_pod({"readinessProbe": {"httpGet": {"port": 80}, "periodSeconds": 1}})
        await node.clock.advance(2)
        node.cri.hold_stops.clear()
        await node.client.delete(Pod, "kubia", "default", grace_seconds=60)
        await node.clock.advance(0)
        before = len(node.cri.calls)
        node.cri.http_answers = [HttpAnswer(status=503)] * 9
        await node.clock.advance(5)
        assert len(node.cri.calls) > before
        assert not node.pod().status.container_statuses[0].ready


async def test_a_restarted_kubelet_believes_what_it_has_said_before(node: NodeUnderTest) -> None:
    async with node.running():
        await node.run_pod({"readinessProbe": {"httpGet": {"port": 80}, "periodSeconds": 60}})
        await node.clock.advance(2)
        assert node.pod().status.container_statuses[0].ready
    async with node.running():
        assert node.pod().status.container_statuses[0].ready
