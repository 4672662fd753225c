"""The kubelet's own seam (`services.kubelet.cri.Cri`), the same over our runtime and over containerd."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from services.kubelet.cri import ContainerConfig, ContainerState, Cri, CriError, SandboxConfig
from services.kubelet.cri_grpc import GrpcCri, runtime_channel
from services.kubelet.cri_plain import PlainCri, speaks_streams
from services.kubelet.log_rotation import LogRotator, rotated_files
from services.process.clock import SystemClock
from services.process.logging import get_logger
from tests.contract.cri_bench import cri
from tests.support.containerd import BUSYBOX, Containerd, containerd, why_not

WHERE_IT_CAN = pytest.mark.skipif(bool(why_not()), reason=why_not())
PATIENCE_SECONDS = 60.0
_numbers = count(1)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containerd]:
    with containerd(tmp_path_factory.mktemp("containerd")) as one:
        yield one


@pytest.fixture(params=["ours", pytest.param("containerd", marks=[pytest.mark.slow, WHERE_IT_CAN])])
async def node(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Node]:
    if request.param == "ours":
        async with cri(tmp_path) as one, runtime_channel(f"unix://{one.socket}") as channel:
            assert await speaks_streams(channel)
            await one.pull("busybox")
            yield Node(GrpcCri(channel), host_network=False)
        return
    found: Containerd = request.getfixturevalue("real")
    async with runtime_channel(f"unix://{found.socket}") as channel:
        assert not await speaks_streams(channel)
        plain = PlainCri(channel, SystemClock(), tmp_path / "logs")
        yield Node(plain, host_network=not found.has_network)


class Node:
    def __init__(self, cri: Cri, *, host_network: bool) -> None:
        self.cri, self._host_network = cri, host_network

    async def run(self, *command: str, stdin: bool = False) -> tuple[str, str]:
        """A sandbox, and a running container in it."""
        name = f"kubelet-{next(_numbers)}"
        sandbox = SandboxConfig(
            name=name, namespace="default", uid=name, attempt=0, hostname=name,
            log_directory=f"/var/log/pods/default_{name}_{name}", labels={}, annotations={},
            host_network=self._host_network,
        )  # fmt: skip
        identifier = await self.cri.run_sandbox(sandbox)
        config = ContainerConfig(
            name="main", attempt=0, image=BUSYBOX, user_image="busybox", command=command,
            log_path="main/0.log", stdin=stdin, labels={"io.kubernetes.pod.uid": name},
        )  # fmt: skip
        container = await self.cri.create_container(identifier, config, sandbox)
        await self.cri.start_container(container)
        return identifier, container

    async def address(self, sandbox: str) -> str:
        return (await self.cri.pod(sandbox)).sandbox.ip or "127.0.0.1"


async def test_what_a_relist_finds(node: Node) -> None:
    sandbox, container = await node.run("sleep", "1000")
    for _ in range(2):  # the second may come out of what is known already
        found = {pod.sandbox.id: pod for pod in await node.cri.list_pods()}[sandbox]
        assert found.sandbox.ready
        (one,) = found.containers
        assert (one.id, one.name, one.state) == (container, "main", ContainerState.RUNNING)
        assert one.image == BUSYBOX
        assert one.log_path.endswith("/main/0.log")
    await node.cri.stop_container(container, 0)
    found = {pod.sandbox.id: pod for pod in await node.cri.list_pods()}[sandbox]
    assert (found.containers[0].state, found.containers[0].exit_code) == (ContainerState.EXITED, 137)
    for _ in range(2):
        await node.cri.stop_container(container, 0)
        await node.cri.remove_container(container)
        await node.cri.stop_sandbox(sandbox)
        await node.cri.remove_sandbox(sandbox)
    assert sandbox not in {pod.sandbox.id for pod in await node.cri.list_pods()}


async def test_commands(node: Node) -> None:
    _, container = await node.run("sleep", "1000")
    for status in (0, 4):
        script = f"echo out; echo err >&2; exit {status}"
        terminal = await node.cri.exec(container, ["sh", "-c", script], stdin=False, tty=False, stderr=True)
        seen = [one async for one in terminal.output()]
        assert b"".join(data for stream, data, _ in seen if stream == "stdout") == b"out\n"
        assert b"".join(data for stream, data, _ in seen if stream == "stderr") == b"err\n"
        assert seen[-1] == ("exit", b"", status)


async def test_a_command_that_does_not_exist(node: Node) -> None:
    _, container = await node.run("sleep", "1000")

    async def run() -> None:
        terminal = await node.cri.exec(container, ["bash"], stdin=False, tty=False, stderr=True)
        _ = [one async for one in terminal.output()]

    with pytest.raises(CriError, match='exec: "bash": executable file not found in'):
        await run()


async def test_input_of_a_command(node: Node) -> None:
    _, container = await node.run("sleep", "1000")
    script = "read line; echo got $line"
    terminal = await node.cri.exec(container, ["sh", "-c", script], stdin=True, tty=False, stderr=True)
    await terminal.stdin(b"something\n")
    assert [one async for one in terminal.output()] == [("stdout", b"got something\n", 0), ("exit", b"", 0)]


async def test_attaching(node: Node) -> None:
    _, container = await node.run("sh", "-c", "while read line; do echo got $line; done", stdin=True)
    for word in (b"one", b"two"):  # the second client after the first has left
        terminal = await node.cri.attach(container, stdin=True, tty=False, stderr=True)
        await terminal.stdin(word + b"\n")
        output: Any = terminal.output()
        async with aclosing(output):
            assert await anext(output) == ("stdout", b"got " + word + b"\n", 0)


async def test_probes_of_a_port(node: Node) -> None:
    sandbox, _ = await node.run("sleep", "1000")
    ip = await node.address(sandbox)
    refused = f"dial tcp {ip}:9: connect: connection refused"
    with pytest.raises(CriError, match=refused):
        await node.cri.dial(ip, 9, 5)
    with pytest.raises(CriError, match=refused):
        await node.cri.http(ip, 9, "/", scheme="HTTP", headers=(), timeout_seconds=5)


async def test_usage(node: Node) -> None:
    _, container = await node.run("sleep", "1000")
    usage = {one.container_id: one for one in await node.cri.usage()}[container]
    assert usage.memory_bytes > 0
    assert (await node.cri.image_filesystem()).used_bytes >= 0
    await node.cri.sandbox_usage()  # containerd 1.6 has none to tell of


async def test_a_log_through_its_rotation(node: Node) -> None:
    """All that a container says arrives, in order, at who follows; the kubelet rotates meanwhile."""
    # After each ten lines it waits until it has been looked at, which a slow machine does late.
    seen = "if [ $((i % 10)) = 0 ] && [ $i -lt 40 ]; then while [ ! -e /tmp/$i ]; do sleep 0.05; done; fi"
    script = f"i=0; while [ $i -lt 40 ]; do echo line $i; i=$((i+1)); {seen}; done"
    _, container = await node.run("sh", "-c", script)
    (record,) = [one for pod in await node.cri.list_pods() for one in pod.containers if one.id == container]
    rotator = LogRotator(
        lambda: [(node.cri, record)], SystemClock(), get_logger("test"), size_max=100, files_max=3
    )
    said, due = b"", 10
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for data in node.cri.read_log(container, follow=True):
            said += data
            if due <= said.count(b"\n") < 40:  # the last lines stay, for what follows
                await rotator.look()
                await node.cri.exec_sync(container, ["touch", f"/tmp/{due}"], 60)
                due += 10
    lines = [line.split(b" F ", 1)[1] for line in said.splitlines()]
    assert lines == [b"line %d" % number for number in range(40)]
    assert 1 <= len(rotated_files(Path(record.log_path))) <= 2
    tail = b"".join([data async for data in node.cri.read_log(container, follow=False, tail_lines=1)])
    assert tail.endswith(b" F line 39\n")
    assert tail.count(b"\n") == 1


async def test_what_is_not_there(node: Node) -> None:
    with pytest.raises(CriError) as caught:
        await node.cri.pod("f" * 64)
    assert caught.value.code == "NotFound"
    assert await node.cri.image("docker.io/library/nothing:1") is None
    with pytest.raises(CriError):
        _ = [data async for data in node.cri.read_log("f" * 64, follow=False)]
