"""What a kubelet relies on in a container runtime, asked over the unix socket."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import grpc.aio
import pytest

from services.pb.runtime.v1 import api_pb2 as pb
from services.pb.runtime.v1 import streaming_pb2
from tests.contract.cri_bench import Cri, cri

ID = re.compile(r"[0-9a-f]{64}")


@pytest.fixture
async def endpoint(tmp_path: Path) -> AsyncIterator[Cri]:
    async with cri(tmp_path) as one:
        yield one


async def refusal(call) -> grpc.aio.AioRpcError:  # type: ignore[no-untyped-def]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


class TestRuntime:
    async def test_says_what_it_is(self, endpoint: Cri) -> None:
        version = await endpoint.runtime.Version(pb.VersionRequest(version="0.1.0"))
        assert (version.runtime_name, version.runtime_api_version) == ("containerd", "v1")

    async def test_network_is_ready_once_it_has_a_range(self, tmp_path: Path, endpoint: Cri) -> None:
        other = (("orrery-node", "node-without-range"),)
        before = await endpoint.runtime.Status(pb.StatusRequest(), metadata=other)
        conditions = {condition.type: condition for condition in before.status.conditions}
        assert conditions["RuntimeReady"].status
        assert not conditions["NetworkReady"].status
        assert conditions["NetworkReady"].reason == "NetworkPluginNotReady"
        await endpoint.configure("10.9.0.0/24", other)
        after = await endpoint.runtime.Status(pb.StatusRequest(), metadata=other)
        assert all(condition.status for condition in after.status.conditions)

    async def test_cgroup_driver(self, endpoint: Cri) -> None:
        answer = await endpoint.runtime.RuntimeConfig(pb.RuntimeConfigRequest())
        assert answer.linux.cgroup_driver == pb.SYSTEMD


class TestSandbox:
    async def test_life(self, endpoint: Cri) -> None:
        identifier = await endpoint.sandbox()
        assert ID.fullmatch(identifier)
        request = pb.PodSandboxStatusRequest(pod_sandbox_id=identifier)
        status = (await endpoint.runtime.PodSandboxStatus(request)).status
        assert status.state == pb.SANDBOX_READY
        assert status.network.ip == "10.244.1.2"
        assert status.metadata.name == "web"
        for _ in range(2):  # both are idempotent
            await endpoint.runtime.StopPodSandbox(pb.StopPodSandboxRequest(pod_sandbox_id=identifier))
        status = (await endpoint.runtime.PodSandboxStatus(request)).status
        assert status.state == pb.SANDBOX_NOTREADY
        assert status.network.ip == ""
        for _ in range(2):
            await endpoint.runtime.RemovePodSandbox(pb.RemovePodSandboxRequest(pod_sandbox_id=identifier))
        error = await refusal(endpoint.runtime.PodSandboxStatus(request))
        assert error.code() is grpc.StatusCode.NOT_FOUND

    async def test_addresses_differ(self, endpoint: Cri) -> None:
        ids = [await endpoint.sandbox(name) for name in ("a", "b", "c")]
        answers = [
            await endpoint.runtime.PodSandboxStatus(pb.PodSandboxStatusRequest(pod_sandbox_id=one))
            for one in ids
        ]
        assert len({answer.status.network.ip for answer in answers}) == 3

    async def test_list_filters(self, endpoint: Cri) -> None:
        first, second = await endpoint.sandbox("a"), await endpoint.sandbox("b")
        await endpoint.runtime.StopPodSandbox(pb.StopPodSandboxRequest(pod_sandbox_id=second))

        async def ids(**wanted: object) -> set[str]:
            request = pb.ListPodSandboxRequest(filter=pb.PodSandboxFilter(**wanted))  # type: ignore[arg-type]
            return {item.id for item in (await endpoint.runtime.ListPodSandbox(request)).items}

        assert await ids() == {first, second}
        assert await ids(state=pb.PodSandboxStateValue(state=pb.SANDBOX_READY)) == {first}
        assert await ids(label_selector={"io.kubernetes.pod.name": "b"}) == {second}
        assert await ids(id=first) == {first}

    async def test_removing_takes_running_containers_along(self, endpoint: Cri) -> None:
        sandbox = await endpoint.sandbox()
        await endpoint.start(sandbox, "luksa/kubia")
        await endpoint.runtime.RemovePodSandbox(pb.RemovePodSandboxRequest(pod_sandbox_id=sandbox))
        assert not (await endpoint.runtime.ListContainers(pb.ListContainersRequest())).containers

    async def test_machines_on_one_socket_do_not_see_each_other(self, endpoint: Cri) -> None:
        for name in ("node-1", "node-2"):
            await endpoint.configure("10.1.1.0/24", (("orrery-node", name),))
        await endpoint.sandbox("web", metadata=(("orrery-node", "node-1"),))
        seen = {
            name: len(
                (
                    await endpoint.runtime.ListPodSandbox(
                        pb.ListPodSandboxRequest(), metadata=(("orrery-node", name),)
                    )
                ).items
            )
            for name in ("node-1", "node-2")
        }
        assert seen == {"node-1": 1, "node-2": 0}


class TestContainer:
    async def test_life(self, endpoint: Cri) -> None:
        sandbox = await endpoint.sandbox()
        container = await endpoint.create(sandbox, "busybox", "sh", "-c", "echo hi; exit 3")
        created = await endpoint.status(container)
        assert (created.state, created.started_at) == (pb.CONTAINER_CREATED, 0)
        await endpoint.runtime.StartContainer(pb.StartContainerRequest(container_id=container))
        status = await endpoint.ended(container)
        assert (status.state, status.exit_code, status.reason) == (pb.CONTAINER_EXITED, 3, "Error")
        assert 0 < status.created_at <= status.started_at < status.finished_at
        assert status.image.image == "docker.io/library/busybox:latest"
        assert re.fullmatch(r"docker\.io/library/busybox@sha256:[0-9a-f]{64}", status.image_ref)
        await endpoint.runtime.RemoveContainer(pb.RemoveContainerRequest(container_id=container))
        await endpoint.runtime.RemoveContainer(pb.RemoveContainerRequest(container_id=container))
        error = await refusal(endpoint.status(container))
        assert error.code() is grpc.StatusCode.NOT_FOUND

    async def test_success_is_completed(self, endpoint: Cri) -> None:
        container = await endpoint.start(await endpoint.sandbox(), "busybox", "true")
        assert (await endpoint.ended(container)).reason == "Completed"

    async def test_log_is_in_the_format_of_the_cri(self, endpoint: Cri) -> None:
        container = await endpoint.start(
            await endpoint.sandbox(), "busybox", "sh", "-c", "echo out; echo err >&2"
        )
        path = Path((await endpoint.ended(container)).log_path)
        lines = (await asyncio.to_thread(path.read_text)).splitlines()
        form = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z (stdout|stderr) [FP] (.*)")
        assert [form.fullmatch(line).groups() for line in lines] == [("stdout", "out"), ("stderr", "err")]  # type: ignore[union-attr]
        assert path.is_relative_to(endpoint.root)

    async def test_stop_gives_time_then_kills(self, endpoint: Cri) -> None:
        sandbox = await endpoint.sandbox()
        polite = await endpoint.start(
            sandbox, "busybox", "sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.1; done", name="polite"
        )
        stubborn = await endpoint.start(sandbox, "busybox", "sleep", "1000", name="stubborn")
        await endpoint.runtime.StopContainer(pb.StopContainerRequest(container_id=polite, timeout=30))
        assert (await endpoint.status(polite)).exit_code == 5
        await endpoint.runtime.StopContainer(pb.StopContainerRequest(container_id=stubborn, timeout=1))
        assert (await endpoint.status(stubborn)).exit_code == 137
        await endpoint.runtime.StopContainer(pb.StopContainerRequest(container_id="nobody", timeout=1))

    async def test_command_that_does_not_exist(self, endpoint: Cri) -> None:
        container = await endpoint.create(await endpoint.sandbox(), "busybox", "nosuchcommand")
        error = await refusal(
            endpoint.runtime.StartContainer(pb.StartContainerRequest(container_id=container))
        )
        assert error.details() == (
            "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc "
            "create failed: unable to start container process: error during container init: "
            'exec: "nosuchcommand": '
            "executable file not found in $PATH: unknown"
        )
        status = await endpoint.status(container)
        assert (status.state, status.exit_code, status.reason) == (pb.CONTAINER_EXITED, 128, "StartError")
        assert status.message == error.details()

    async def test_the_same_name_twice_is_refused(self, endpoint: Cri) -> None:
        sandbox = await endpoint.sandbox()
        await endpoint.create(sandbox, "busybox", "true")
        error = await refusal(endpoint.create(sandbox, "busybox", "true"))
        assert "failed to reserve container name" in (error.details() or "")
        assert await endpoint.create(sandbox, "busybox", "true", attempt=1)

    async def test_needs_a_sandbox_and_an_image(self, endpoint: Cri) -> None:
        error = await refusal(endpoint.create("nobody", "busybox", "true"))
        assert error.code() is grpc.StatusCode.NOT_FOUND
        config = pb.ContainerConfig(
            metadata=pb.ContainerMetadata(name="x"), image=pb.ImageSpec(image="nginx")
        )
        request = pb.CreateContainerRequest(pod_sandbox_id=await endpoint.sandbox(), config=config)
        error = await refusal(endpoint.runtime.CreateContainer(request))
        assert error.code() is grpc.StatusCode.NOT_FOUND

    async def test_list_filters(self, endpoint: Cri) -> None:
        sandbox = await endpoint.sandbox()
        first = await endpoint.start(sandbox, "luksa/kubia", name="first")
        second = await endpoint.create(sandbox, "busybox", "true", name="second")

        async def ids(**wanted: object) -> set[str]:
            request = pb.ListContainersRequest(filter=pb.ContainerFilter(**wanted))  # type: ignore[arg-type]
            return {item.id for item in (await endpoint.runtime.ListContainers(request)).containers}

        assert await ids(pod_sandbox_id=sandbox) == {first, second}
        assert await ids(state=pb.ContainerStateValue(state=pb.CONTAINER_RUNNING)) == {first}
        assert await ids(label_selector={"io.kubernetes.container.name": "second"}) == {second}

    async def test_events_tell_every_change(self, endpoint: Cri) -> None:
        stream = endpoint.runtime.GetContainerEvents(pb.GetEventsRequest())
        await stream.initial_metadata()
        sandbox = await endpoint.sandbox()
        container = await endpoint.start(sandbox, "busybox", "true")
        await endpoint.runtime.RemovePodSandbox(pb.RemovePodSandboxRequest(pod_sandbox_id=sandbox))
        seen = []
        async for event in stream:
            seen.append((event.container_id, event.container_event_type))
            if seen[-1] == (sandbox, pb.CONTAINER_DELETED_EVENT):
                break
        created, started, stopped, deleted = range(4)
        assert seen == [
            (sandbox, created), (sandbox, started), (container, created), (container, started),
            (container, stopped), (sandbox, stopped), (container, deleted), (sandbox, deleted),
        ]  # fmt: skip
        stream.cancel()

    async def test_stats(self, endpoint: Cri) -> None:
        container = await endpoint.start(await endpoint.sandbox(), "luksa/kubia")
        answer = await endpoint.runtime.ContainerStats(pb.ContainerStatsRequest(container_id=container))
        assert answer.stats.memory.working_set_bytes.value == 12 * 1024 * 1024
        listed = await endpoint.runtime.ListPodSandboxStats(pb.ListPodSandboxStatsRequest())
        assert listed.stats[0].linux.process.process_count.value == 1


class TestExec:
    async def test_to_its_end(self, endpoint: Cri) -> None:
        container = await endpoint.start(await endpoint.sandbox(), "luksa/kubia")
        answer = await endpoint.exec(container, "sh", "-c", "hostname; echo oops >&2; exit 4")
        assert (answer.stdout, answer.stderr, answer.exit_code) == (b"web\n", b"oops\n", 4)

    async def test_what_does_not_exist(self, endpoint: Cri) -> None:
        container = await endpoint.start(await endpoint.sandbox(), "busybox", "sleep", "100")
        error = await refusal(endpoint.exec(container, "bash"))
        assert re.fullmatch(
            r'failed to exec in container: failed to start exec "[0-9a-f]{64}": OCI runtime exec failed: '
            r"exec failed: unable to start container process: "
            r'exec: "bash": executable file not found in \$PATH: unknown',
            error.details() or "",
        )

    async def test_too_long(self, endpoint: Cri) -> None:
        container = await endpoint.start(await endpoint.sandbox(), "luksa/kubia")
        error = await refusal(endpoint.exec(container, "sleep", "100", timeout=1))
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED

    async def test_in_a_dead_container(self, endpoint: Cri) -> None:
        container = await endpoint.start(await endpoint.sandbox(), "busybox", "true")
        await endpoint.ended(container)
        error = await refusal(endpoint.exec(container, "ls"))
        assert error.details() == "failed to exec in container: container is in CONTAINER_EXITED state"

    async def test_stream(self, endpoint: Cri) -> None:
        container = await endpoint.start(await endpoint.sandbox(), "luksa/kubia")
        answer = await endpoint.runtime.Exec(
            pb.ExecRequest(container_id=container, cmd=["cat"], stdin=True, stdout=True)
        )
        socket, _, token = answer.url.partition("#")
        assert socket == f"unix://{endpoint.socket}"
        message = streaming_pb2.StreamRequest

        async def requests() -> AsyncIterator[streaming_pb2.StreamRequest]:
            yield message(token=token)
            yield message(stdin=b"hello\n")
            yield message(stdin_closed=True)

        answers, call = [], endpoint.streams.Exec(requests())
        async for one in call:
            answers.append(one)
            if one.WhichOneof("message") == "exit_code":
                break
        call.cancel()
        assert b"".join(one.stdout for one in answers) == b"hello\n"

    async def test_a_token_is_good_once(self, endpoint: Cri) -> None:
        container = await endpoint.start(await endpoint.sandbox(), "luksa/kubia")
        answer = await endpoint.runtime.Exec(
            pb.ExecRequest(container_id=container, cmd=["true"], stdout=True)
        )
        token = answer.url.partition("#")[2]

        async def requests() -> AsyncIterator[streaming_pb2.StreamRequest]:
            yield streaming_pb2.StreamRequest(token=token)

        call = endpoint.streams.Exec(requests())
        async for one in call:
            assert one.exit_code == 0
            break
        call.cancel()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            _ = [one async for one in endpoint.streams.Exec(requests())]
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND

    async def test_port_forward_carries_bytes(self, endpoint: Cri) -> None:
        sandbox = await endpoint.sandbox()
        container = await endpoint.start(sandbox, "nginx")
        await listening(endpoint, container, 80)
        answer = await endpoint.runtime.PortForward(pb.PortForwardRequest(pod_sandbox_id=sandbox, port=[80]))
        message = streaming_pb2.ConnectRequest

        async def requests() -> AsyncIterator[streaming_pb2.ConnectRequest]:
            yield message(token=answer.url.partition("#")[2], port=80)
            yield message(data=b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n")

        data = b"".join([one.data async for one in endpoint.streams.PortForward(requests())])
        assert data.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"Welcome to nginx!" in data


async def listening(endpoint: Cri, container: str, port: int) -> None:
    """Waits, inside the container, until somebody listens there."""
    url = f"http://localhost:{port}/"
    script = f"until wget -q -O /dev/null {url} || curl -s -o /dev/null {url}; do sleep 0.05; done"
    assert (await endpoint.exec(container, "sh", "-c", script)).exit_code == 0


class TestNetwork:
    async def test_pods_reach_each_other_and_themselves(self, endpoint: Cri) -> None:
        server_box = await endpoint.sandbox("server")
        server = await endpoint.start(server_box, "luksa/kubia")
        await listening(endpoint, server, 8080)
        status = await endpoint.runtime.PodSandboxStatus(
            pb.PodSandboxStatusRequest(pod_sandbox_id=server_box)
        )
        client = await endpoint.start(await endpoint.sandbox("client"), "busybox", "sleep", "100")
        answer = await endpoint.exec(client, "wget", "-qO-", f"http://{status.status.network.ip}:8080/")
        assert answer.stdout == b"You've hit server\n"
        answer = await endpoint.exec(client, "wget", "-qO-", "http://localhost:8080/")
        assert answer.exit_code == 1
        assert b"Connection refused" in answer.stderr

    async def test_http_from_the_machine(self, endpoint: Cri) -> None:
        server = await endpoint.start(await endpoint.sandbox("server"), "luksa/kubia-unhealthy")
        await listening(endpoint, server, 8080)
        request = streaming_pb2.HttpRequest(ip="10.244.1.2", port=8080, path="/")
        codes = [(await endpoint.streams.Http(request)).status for _ in range(6)]
        assert codes == [200] * 4 + [500] * 2  # one request was spent on waiting
        error = await refusal(endpoint.streams.Http(streaming_pb2.HttpRequest(ip="10.244.1.2", port=81)))
        assert error.details() == "dial tcp 10.244.1.2:81: connect: connection refused"


class TestImages:
    async def test_pull_status_list_remove(self, endpoint: Cri) -> None:
        spec = pb.ImageSpec(image="nginx:1.29")
        assert not (await endpoint.images.ImageStatus(pb.ImageStatusRequest(image=spec))).HasField("image")
        identifier = await endpoint.pull("nginx:1.29")
        image = (await endpoint.images.ImageStatus(pb.ImageStatusRequest(image=spec))).image
        assert image.id == identifier
        assert image.repo_tags == ["docker.io/library/nginx:1.29"]
        assert image.repo_digests[0].startswith("docker.io/library/nginx@sha256:")
        assert image.size > 10_000_000
        by_id = pb.ImageStatusRequest(image=pb.ImageSpec(image=identifier))
        assert (await endpoint.images.ImageStatus(by_id)).image.id == identifier
        used = (
            (await endpoint.images.ImageFsInfo(pb.ImageFsInfoRequest())).image_filesystems[0].used_bytes.value
        )
        assert used == image.size
        for _ in range(2):
            await endpoint.images.RemoveImage(pb.RemoveImageRequest(image=spec))
        assert not (await endpoint.images.ListImages(pb.ListImagesRequest())).images

    @pytest.mark.parametrize(
        ("name", "code", "words"),
        [
            (
                "crane",
                grpc.StatusCode.UNKNOWN,
                'failed to pull and unpack image "docker.io/library/crane:latest": failed to resolve '
                'reference "docker.io/library/crane:latest": pull access denied, repository does not exist '
                "or may require authorization: server message: insufficient_scope: authorization failed",
            ),
            (
                "nginx:nope",
                grpc.StatusCode.NOT_FOUND,
                'failed to pull and unpack image "docker.io/library/nginx:nope": failed to resolve reference '
                '"docker.io/library/nginx:nope": docker.io/library/nginx:nope: not found',
            ),
            (
                "Not A Name",
                grpc.StatusCode.INVALID_ARGUMENT,
                'failed to parse image reference "Not A Name": invalid reference format',
            ),
        ],
    )
    async def test_refusals(self, endpoint: Cri, name: str, code: grpc.StatusCode, words: str) -> None:
        error = await refusal(endpoint.pull(name))
        assert (error.code(), error.details()) == (code, words)
