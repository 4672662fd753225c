"""What our runtime and a real containerd both do when they are asked the same over the CRI.

containerd is Debian's (1.6); where a later one differs, or ours does, the test says so. Without containerd on
the machine the half of the tests that needs it is skipped with the reason.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from services.pb.runtime.v1 import api_pb2 as pb
from tests.contract.cri_pair import IMAGE, Runtime, our_runtime, refusal, their_runtime
from tests.support.containerd import Containerd, containerd, why_not

WHERE_IT_CAN = pytest.mark.skipif(bool(why_not()), reason=why_not())
ID = re.compile(r"[0-9a-f]{64}")
NOBODY = "f" * 64


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containerd]:
    with containerd(tmp_path_factory.mktemp("containerd")) as one:
        yield one


@pytest.fixture(params=["ours", pytest.param("containerd", marks=[pytest.mark.slow, WHERE_IT_CAN])])
async def runtime(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Runtime]:
    if request.param == "ours":
        async with our_runtime(tmp_path) as one:
            yield one
    else:
        async with their_runtime(request.getfixturevalue("real"), tmp_path) as one:
            yield one


class TestRuntimeItself:
    async def test_version_and_status(self, runtime: Runtime) -> None:
        version = await runtime.cri.Version(pb.VersionRequest(version="v1"))
        assert (version.version, version.runtime_name) == ("0.1.0", "containerd")
        assert version.runtime_api_version == "v1"
        status = await runtime.cri.Status(pb.StatusRequest())
        assert [c.type for c in status.status.conditions][:2] == ["RuntimeReady", "NetworkReady"]
        assert status.status.conditions[0].status
        assert not status.info
        assert {"config", "lastCNILoadStatus"} <= {
            *(await runtime.cri.Status(pb.StatusRequest(verbose=True))).info
        }

    async def test_checkpoints_are_not_made(self, runtime: Runtime) -> None:
        assert await refusal(runtime.cri.CheckpointContainer(pb.CheckpointContainerRequest())) == (
            "UNIMPLEMENTED",
            "method CheckpointContainer not implemented",
        )

    async def test_pod_cidr_may_be_told(self, runtime: Runtime) -> None:
        network = pb.NetworkConfig(pod_cidr="10.244.1.0/24")
        request = pb.UpdateRuntimeConfigRequest(runtime_config=pb.RuntimeConfig(network_config=network))
        await runtime.cri.UpdateRuntimeConfig(request)

    async def test_images(self, runtime: Runtime) -> None:
        spec = pb.ImageSpec(image=IMAGE)
        image = (await runtime.images.ImageStatus(pb.ImageStatusRequest(image=spec))).image
        assert IMAGE in image.repo_tags
        assert re.fullmatch(r"sha256:[0-9a-f]{64}", image.id)
        short = await runtime.images.ImageStatus(pb.ImageStatusRequest(image=pb.ImageSpec(image="busybox")))
        assert short.image.id == image.id
        missing = pb.ImageStatusRequest(image=pb.ImageSpec(image="docker.io/library/nothing:1"))
        assert not (await runtime.images.ImageStatus(missing)).HasField("image")
        usage = (await runtime.images.ImageFsInfo(pb.ImageFsInfoRequest())).image_filesystems[0]
        assert usage.used_bytes.value > 0 or not runtime.ours  # containerd measures now and then
        assert usage.fs_id.mountpoint


class TestSandbox:
    async def test_life(self, runtime: Runtime) -> None:
        pod = await runtime.sandbox()
        assert ID.fullmatch(pod.id)
        request = pb.PodSandboxStatusRequest(pod_sandbox_id=pod.id, verbose=True)
        answer = await runtime.cri.PodSandboxStatus(request)
        status = answer.status
        assert status.state == pb.SANDBOX_READY
        assert status.metadata == pod.config.metadata
        assert dict(status.labels) == dict(pod.config.labels)
        assert dict(status.annotations) == {"note": "kept"}
        assert bool(status.network.ip) is not runtime.host_network
        assert "info" in answer.info
        for _ in range(2):  # idempotent, both
            await runtime.cri.StopPodSandbox(pb.StopPodSandboxRequest(pod_sandbox_id=pod.id))
        status = (await runtime.cri.PodSandboxStatus(request)).status
        assert (status.state, status.network.ip) == (pb.SANDBOX_NOTREADY, "")
        for _ in range(2):
            await runtime.cri.RemovePodSandbox(pb.RemovePodSandboxRequest(pod_sandbox_id=pod.id))
        code, words = await refusal(runtime.cri.PodSandboxStatus(request))
        assert (code, words) == ("NOT_FOUND", "an error occurred when try to find sandbox: not found")

    async def test_names_are_reserved(self, runtime: Runtime) -> None:
        config = runtime.config("twice")
        pod = await runtime.sandbox(config)
        code, words = await refusal(runtime.sandbox(config))
        name = "twice_default_uid-twice_0"
        assert (code, words) == (
            "UNKNOWN",
            f'failed to reserve sandbox name "{name}": name "{name}" is reserved for "{pod.id}"',
        )
        await runtime.cri.RemovePodSandbox(pb.RemovePodSandboxRequest(pod_sandbox_id=pod.id))
        again = await runtime.sandbox(config)
        assert again.id != pod.id

    async def test_refusals(self, runtime: Runtime) -> None:
        for config in (None, pb.PodSandboxConfig()):
            request = pb.RunPodSandboxRequest(config=config)
            assert await refusal(runtime.cri.RunPodSandbox(request)) == (
                "UNKNOWN",
                "sandbox config must include metadata",
            )
        request = pb.RunPodSandboxRequest(config=runtime.config(), runtime_handler="kata")
        assert await refusal(runtime.cri.RunPodSandbox(request)) == (
            "UNKNOWN",
            'failed to get sandbox runtime: no runtime for "kata" is configured',
        )
        for call in (
            runtime.cri.StopPodSandbox(pb.StopPodSandboxRequest()),
            runtime.cri.RemovePodSandbox(pb.RemovePodSandboxRequest()),
        ):
            code, words = await refusal(call)
            assert (code, "Prefix can't be empty" in words) == ("UNKNOWN", True)

    async def test_list(self, runtime: Runtime) -> None:
        pod, other = await runtime.sandbox(), await runtime.sandbox()
        await runtime.cri.StopPodSandbox(pb.StopPodSandboxRequest(pod_sandbox_id=other.id))

        async def found(**wanted: object) -> set[str]:
            request = pb.ListPodSandboxRequest(filter=pb.PodSandboxFilter(**wanted))  # type: ignore[arg-type]
            return {item.id for item in (await runtime.cri.ListPodSandbox(request)).items}

        assert {pod.id, other.id} <= await found()
        ready = await found(state=pb.PodSandboxStateValue(state=pb.SANDBOX_READY))
        assert pod.id in ready
        assert other.id not in ready
        assert await found(label_selector={"pod": other.config.metadata.name}) == {other.id}
        assert await found(id=pod.id[:20]) == {pod.id}
        assert await found(id=pod.id, label_selector={"pod": "neither"}) == set()

    async def test_its_end_takes_containers_along(self, runtime: Runtime) -> None:
        pod = await runtime.sandbox()
        container = await pod.start("sleep", "1000")
        await runtime.cri.StopPodSandbox(pb.StopPodSandboxRequest(pod_sandbox_id=pod.id))
        status = await pod.status(container)
        assert (status.state, status.exit_code) == (pb.CONTAINER_EXITED, 137)
        await runtime.cri.RemovePodSandbox(pb.RemovePodSandboxRequest(pod_sandbox_id=pod.id))
        code, _ = await refusal(pod.status(container))
        assert code == "NOT_FOUND"

    async def test_a_stopped_one_takes_nothing_in(self, runtime: Runtime) -> None:
        pod = await runtime.sandbox()
        await runtime.cri.StopPodSandbox(pb.StopPodSandboxRequest(pod_sandbox_id=pod.id))
        await refusal(pod.create("true"))  # the words of 1.6 speak of its inside
        forward = pb.PortForwardRequest(pod_sandbox_id=pod.id, port=[80])
        assert await refusal(runtime.cri.PortForward(forward)) == (
            "UNKNOWN",
            "sandbox container is not running",
        )


class TestContainer:
    async def test_life(self, runtime: Runtime) -> None:
        pod = await runtime.sandbox()
        container = await pod.create("sh", "-c", "exit 3")
        created = await pod.status(container)
        assert (created.state, created.started_at, created.finished_at) == (pb.CONTAINER_CREATED, 0, 0)
        assert created.created_at > 0
        await runtime.cri.StartContainer(pb.StartContainerRequest(container_id=container))
        status = await pod.ended(container)
        assert (status.exit_code, status.reason) == (3, "Error")
        assert 0 < status.created_at <= status.started_at
        assert status.image.image == IMAGE
        assert status.metadata.name == "main"
        assert dict(status.labels) == {"container": "main"}
        for _ in range(2):
            await runtime.cri.StopContainer(pb.StopContainerRequest(container_id=container, timeout=1))
        for _ in range(2):
            await runtime.cri.RemoveContainer(pb.RemoveContainerRequest(container_id=container))
        assert await refusal(pod.status(container)) == (
            "NOT_FOUND",
            f'an error occurred when try to find container "{container}": not found',
        )

    async def test_success_is_completed(self, runtime: Runtime) -> None:
        pod = await runtime.sandbox()
        status = await pod.ended(await pod.start("true"))
        assert (status.exit_code, status.reason) == (0, "Completed")

    async def test_starts_once(self, runtime: Runtime) -> None:
        pod = await runtime.sandbox()
        container = await pod.start("sleep", "1000")
        again = pb.StartContainerRequest(container_id=container)
        prefix = f'failed to set starting state for container "{container}": container is in '
        assert await refusal(runtime.cri.StartContainer(again)) == (
            "UNKNOWN",
            f"{prefix}CONTAINER_RUNNING state",
        )
        await runtime.cri.StopContainer(pb.StopContainerRequest(container_id=container, timeout=0))
        assert await refusal(runtime.cri.StartContainer(again)) == (
            "UNKNOWN",
            f"{prefix}CONTAINER_EXITED state",
        )

    async def test_stop_asks_first_and_kills_then(self, runtime: Runtime) -> None:
        pod = await runtime.sandbox()
        script = "trap 'exit 5' TERM; echo ready; while :; do sleep 0.1; done"
        polite = await pod.start("sh", "-c", script, name="polite")
        await pod.says(polite, b"ready")
        await runtime.cri.StopContainer(pb.StopContainerRequest(container_id=polite, timeout=30))
        assert (await pod.status(polite)).exit_code == 5
        stubborn = await pod.start("sleep", "1000", name="stubborn")  # process 1 has no handler
        await runtime.cri.StopContainer(pb.StopContainerRequest(container_id=stubborn, timeout=1))
        assert (await pod.status(stubborn)).exit_code == 137

    async def test_removing_a_running_one_ends_it(self, runtime: Runtime) -> None:
        pod = await runtime.sandbox()
        container = await pod.start("sleep", "1000")
        await runtime.cri.RemoveContainer(pb.RemoveContainerRequest(container_id=container))
        request = pb.ListContainersRequest(filter=pb.ContainerFilter(pod_sandbox_id=pod.id))
        assert not (await runtime.cri.ListContainers(request)).containers

    @pytest.mark.parametrize(
        ("command", "words"),
        [
            ("nosuchcommand", 'exec: "nosuchcommand": executable file not found in $PATH: unknown'),
            ("/no/such", 'exec: "/no/such": stat /no/such: no such file or directory: unknown'),
            ("/etc", 'exec: "/etc": (permission denied|is a directory): unknown'),  # runc 1.1, later
        ],
    )
    async def test_a_command_that_does_not_exist(self, runtime: Runtime, command: str, words: str) -> None:
        pod = await runtime.sandbox()
        container = await pod.create(command)
        start = runtime.cri.StartContainer(pb.StartContainerRequest(container_id=container))
        code, said = await refusal(start)
        # "error during container init" is of runc since 1.2.
        prefix = (
            "failed to create containerd task: failed to create shim task: OCI runtime create failed: "
            "runc create failed: unable to start container process: (error during container init: )?"
        )
        pattern = prefix + words.replace("$", r"\$")
        assert code == "UNKNOWN"
        assert re.fullmatch(pattern, said)
        status = await pod.status(container)
        assert (status.state, status.exit_code, status.reason) == (pb.CONTAINER_EXITED, 128, "StartError")
        assert status.message == said
        assert status.started_at == 0
        assert status.finished_at > 0

    async def test_a_shell_says_127_itself(self, runtime: Runtime) -> None:
        pod = await runtime.sandbox()
        container = await pod.start("sh", "-c", "nosuchcommand")
        status = await pod.ended(container)
        assert (status.exit_code, status.reason) == (127, "Error")
        assert b"nosuchcommand: not found" in await pod.says(container, b"\n")

    async def test_refusals(self, runtime: Runtime) -> None:
        pod = await runtime.sandbox()
        taken = await pod.create("true")
        name = pod.config.metadata.name
        full = f"main_{name}_default_uid-{name}_0"
        assert await refusal(pod.create("true")) == (
            "UNKNOWN",
            f'failed to reserve container name "{full}": name "{full}" is reserved for "{taken}"',
        )

        def create(sandbox: str, image: str, named: bool = True) -> object:
            config = pb.ContainerConfig(image=pb.ImageSpec(image=image))
            if named:
                config.metadata.name = "other"
            return runtime.cri.CreateContainer(
                pb.CreateContainerRequest(pod_sandbox_id=sandbox, config=config, sandbox_config=pod.config)
            )

        missing = "docker.io/library/nothing:1"
        assert await refusal(create(pod.id, missing)) == (  # type: ignore[arg-type]
            "NOT_FOUND",
            f'failed to resolve image "{missing}": not found',
        )
        assert await refusal(create(NOBODY, IMAGE)) == (  # type: ignore[arg-type]
            "NOT_FOUND",
            f'failed to find sandbox id "{NOBODY}": not found',
        )
        assert await refusal(create(pod.id, IMAGE, named=False)) == (  # type: ignore[arg-type]
            "UNKNOWN",
            "container config must include metadata",
        )
        start = runtime.cri.StartContainer(pb.StartContainerRequest(container_id=NOBODY))
        code, words = await refusal(start)
        assert (code, words) == (
            "NOT_FOUND",
            f'an error occurred when try to find container "{NOBODY}": not found',
        )

    async def test_list(self, runtime: Runtime) -> None:
        pod = await runtime.sandbox()
        first = await pod.start("sleep", "1000", name="first")
        second = await pod.create("true", name="second")

        async def found(**wanted: object) -> set[str]:
            wanted["pod_sandbox_id"] = pod.id
            request = pb.ListContainersRequest(filter=pb.ContainerFilter(**wanted))  # type: ignore[arg-type]
            return {item.id for item in (await runtime.cri.ListContainers(request)).containers}

        assert await found() == {first, second}
        assert await found(state=pb.ContainerStateValue(state=pb.CONTAINER_RUNNING)) == {first}
        assert await found(label_selector={"container": "second"}) == {second}
        assert await found(id=second) == {second}

    async def test_environment_directory_and_arguments(self, runtime: Runtime) -> None:
        pod = await runtime.sandbox()
        container = await pod.start(
            "sh", "-c", 'echo "$A $(pwd) $0 $1"', args=["zero", "one"], working_dir="/tmp",
            envs=[pb.KeyValue(key="A", value=b"a b")],
        )  # fmt: skip
        assert b"stdout F a b /tmp zero one\n" in await pod.says(container, b"\n")

    async def test_mounts(self, runtime: Runtime) -> None:
        pod = await runtime.sandbox()
        # Ours knows only of folders below its root, where the kubelet keeps volumes.
        folder = runtime.logs.parent / "volume"
        await asyncio.to_thread(folder.mkdir, parents=True)
        await asyncio.to_thread((folder / "greeting").write_text, "hello")
        script = "cat /data/greeting; echo; echo x > /data/new; echo y > /fixed/new || echo refused"
        mounts = [
            pb.Mount(container_path="/data", host_path=str(folder)),
            pb.Mount(container_path="/fixed", host_path=str(folder), readonly=True),
        ]
        container = await pod.start("sh", "-c", script, mounts=mounts)
        await pod.ended(container)
        log = await pod.says(container, b"refused")
        assert b"stdout F hello" in log
        assert b"Read-only file system" in log
        assert await asyncio.to_thread((folder / "new").read_text) == "x\n"

    async def test_users(self, runtime: Runtime) -> None:
        pod = await runtime.sandbox()
        linux = pb.LinuxContainerConfig(
            security_context=pb.LinuxContainerSecurityContext(
                run_as_user=pb.Int64Value(value=1000), run_as_group=pb.Int64Value(value=2000),
                readonly_rootfs=True,
            )
        )  # fmt: skip
        script = "id -u; id -g; touch /tmp/x || echo refused"
        container = await pod.start("sh", "-c", script, linux=linux)
        await pod.ended(container)
        said = await pod.says(container, b"refused")
        assert [line.split(b" F ")[1] for line in said.splitlines() if b"stdout" in line] == [
            b"1000", b"2000", b"refused",
        ]  # fmt: skip

    async def test_resources_are_updated_in_part(self, runtime: Runtime) -> None:
        pod = await runtime.sandbox()
        linux = pb.LinuxContainerConfig(
            resources=pb.LinuxContainerResources(cpu_shares=512, memory_limit_in_bytes=100_000_000)
        )
        container = await pod.start("sleep", "1000", linux=linux)
        update = pb.LinuxContainerResources(memory_limit_in_bytes=200_003_584)
        await runtime.cri.UpdateContainerResources(
            pb.UpdateContainerResourcesRequest(container_id=container, linux=update)
        )
        now = (await pod.status(container)).resources.linux
        assert (now.cpu_shares, now.memory_limit_in_bytes) == (512, 200_003_584)

    async def test_stats(self, runtime: Runtime) -> None:
        pod = await runtime.sandbox()
        container = await pod.start("sleep", "1000")
        stats = (await runtime.cri.ContainerStats(pb.ContainerStatsRequest(container_id=container))).stats
        assert stats.attributes.id == container
        assert dict(stats.attributes.labels) == {"container": "main"}
        assert stats.cpu.timestamp > 0
        assert stats.memory.working_set_bytes.value > 0
        request = pb.ListContainerStatsRequest(filter=pb.ContainerStatsFilter(pod_sandbox_id=pod.id))
        listed = (await runtime.cri.ListContainerStats(request)).stats
        assert [one.attributes.id for one in listed] == [container]


class TestExec:
    async def test_to_its_end(self, runtime: Runtime) -> None:
        pod = await runtime.sandbox()
        container = await pod.start("sleep", "1000")
        answer = await pod.exec(container, "sh", "-c", "echo out; echo err >&2; exit 4")
        assert (answer.stdout, answer.stderr, answer.exit_code) == (b"out\n", b"err\n", 4)

    async def test_refusals(self, runtime: Runtime) -> None:
        pod = await runtime.sandbox()
        container = await pod.create("sleep", "1000")
        assert await refusal(pod.exec(container, "ls")) == (
            "UNKNOWN",
            "failed to exec in container: container is in CONTAINER_CREATED state",
        )
        await runtime.cri.StartContainer(pb.StartContainerRequest(container_id=container))
        unable = (
            r'failed to exec in container: failed to start exec "[0-9a-f]{64}": OCI runtime exec failed: '
            r"exec failed: (unable to start container process: )?"
        )
        for command, words in (
            (("bash",), r'exec: "bash": executable file not found in \$PATH: unknown'),
            (("/no/such",), r'exec: "/no/such": stat /no/such: no such file or directory: unknown'),
            ((), r"args must not be empty: unknown"),
        ):
            code, said = await refusal(pod.exec(container, *command))
            assert code == "UNKNOWN"
            assert re.fullmatch(unable + words, said)
        assert await refusal(pod.exec(container, "sleep", "100", timeout=1)) == (
            "DEADLINE_EXCEEDED",
            "failed to exec in container: timeout 1s exceeded: context deadline exceeded",
        )
        await runtime.cri.StopContainer(pb.StopContainerRequest(container_id=container, timeout=0))
        assert await refusal(pod.exec(container, "ls")) == (
            "UNKNOWN",
            "failed to exec in container: container is in CONTAINER_EXITED state",
        )

    async def test_streams_must_make_sense(self, runtime: Runtime) -> None:
        pod = await runtime.sandbox()
        container = await pod.start("sleep", "1000")
        cri = runtime.cri
        for call, words in (
            (
                cri.Exec(pb.ExecRequest(container_id=container, cmd=["ls"])),
                "one of stdin, stdout, or stderr must be set",
            ),
            (
                cri.Exec(pb.ExecRequest(container_id=container, cmd=["ls"], tty=True, stderr=True)),
                "tty and stderr cannot both be true",
            ),
            (
                cri.Attach(pb.AttachRequest(container_id=container)),
                "one of stdin, stdout, and stderr must be set",
            ),
        ):
            assert await refusal(call) == ("INVALID_ARGUMENT", words)
        await cri.StopContainer(pb.StopContainerRequest(container_id=container, timeout=0))
        for dead in (
            cri.Exec(pb.ExecRequest(container_id=container, cmd=["ls"], stdout=True)),
            cri.Attach(pb.AttachRequest(container_id=container, stdout=True)),
        ):
            assert await refusal(dead) == ("UNKNOWN", "container is in CONTAINER_EXITED state")


class TestLogs:
    @pytest.mark.parametrize(
        ("script", "lines"),
        [
            ("printf hello", [("P", b"hello")]),
            (r"printf 'a\n\nb\n'", [("F", b"a"), ("F", b""), ("F", b"b")]),
            ("head -c 40000 /dev/zero | tr '\\0' x; echo", [("P", 16384), ("P", 16384), ("F", 7232)]),
            ("head -c 16384 /dev/zero | tr '\\0' x; echo", [("F", 16384)]),
            ("head -c 16385 /dev/zero | tr '\\0' x; echo", [("P", 16384), ("F", 1)]),
            ("head -c 20000 /dev/zero | tr '\\0' x", [("P", 16384), ("P", 3616)]),
            (r"printf '\001\r\nx'", [("F", b"\x01"), ("P", b"x")]),
            ("printf abc; sleep 0.2; echo def", [("F", b"abcdef")]),
        ],
    )
    async def test_format(self, runtime: Runtime, script: str, lines: list[tuple[str, bytes | int]]) -> None:
        pod = await runtime.sandbox()
        container = await pod.start("sh", "-c", script)
        await pod.ended(container)
        # The last line of containerd may come after the end.
        data = await pod.says(container, b"", len(lines))
        # Go leaves the zeros at the end of a fraction out.
        stamp = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)"
        form = re.compile(stamp + rb" stdout ([FP]) (.*)", re.S)
        found = [form.fullmatch(line) for line in data.split(b"\n")[:-1]]
        seen = [(one[1].decode(), one[2]) for one in found if one is not None]
        assert [(tag, len(text) if isinstance(want, int) else text)
                for (tag, text), (_, want) in zip(seen, lines, strict=True)] == lines  # fmt: skip

    async def test_a_terminal_has_one_stream(self, runtime: Runtime) -> None:
        pod = await runtime.sandbox()
        container = await pod.start("sh", "-c", "echo out; echo err >&2", tty=True)
        await pod.ended(container)
        log = await pod.says(container, b"err")
        assert [line.split(b" ", 1)[1] for line in log.splitlines()] == [b"stdout F out", b"stdout F err"]

    async def test_reopened_after_a_rotation(self, runtime: Runtime) -> None:
        pod = await runtime.sandbox()
        script = "echo one; while [ ! -e /tmp/go ]; do sleep 0.05; done; echo two; sleep 1000"
        container = await pod.start("sh", "-c", script)
        await pod.says(container, b"one")
        path = Path((await pod.status(container)).log_path)
        await asyncio.to_thread(path.rename, path.with_suffix(".rotated"))
        await runtime.cri.ReopenContainerLog(pb.ReopenContainerLogRequest(container_id=container))
        await pod.exec(container, "touch", "/tmp/go")
        assert b"one" not in await pod.says(container, b"two")
        assert b"two" not in await asyncio.to_thread(path.with_suffix(".rotated").read_bytes)
        await runtime.cri.StopContainer(pb.StopContainerRequest(container_id=container, timeout=0))
        reopen = runtime.cri.ReopenContainerLog(pb.ReopenContainerLogRequest(container_id=container))
        assert await refusal(reopen) == ("UNKNOWN", "container is not running")
