"""Process numbers, /proc, the control group's files, and memory that is held."""

from __future__ import annotations

import pytest

from services.runtime.model import POD_MODE, TARGET_MODE, ContainerState, Resources
from services.runtime.usage import MEBIBYTE, Usage
from tests.unit.runtime.harness import PROGRAM, Bench


async def app(it: Bench, *, resources: Resources | None = None, **behaviour: object):  # type: ignore[no-untyped-def]
    it.registry.add(
        "docker.io/me/app:latest",
        {"sha256:app": {"/app": PROGRAM, **{f"/bin/{name}": PROGRAM for name in ("sh", "cat", "ps", "ls")}}},
        entrypoint=("/app",),
        behaviour={"program": "/app", **behaviour},
    )
    return await it.start("me/app", resources=resources or Resources())


class TestProc:
    async def test_who_looks_finds_itself(self, it: Bench) -> None:
        container = await it.start("busybox", "sleep", "1000")
        _, out, _ = await it.run(container, "cat", "/proc/self/comm")
        assert out == "cat\n"
        _, out, _ = await it.shell(
            container, "cat /proc/1/comm; cat /proc/1/cmdline | tr '\\0' ' '; ls /proc/1"
        )
        assert out.startswith("sleep\nsleep 1000 ")
        assert "environ" in out

    async def test_environment_of_process_1(self, it: Bench) -> None:
        container = await it.start("busybox", "sleep", "1000", envs=(("COLOUR", "blue"),))
        _, out, _ = await it.shell(container, "cat /proc/1/environ | tr '\\0' '\\n' | grep COLOUR")
        assert out == "COLOUR=blue\n"

    @pytest.mark.parametrize(
        "path", ["meminfo", "cpuinfo", "loadavg", "uptime", "stat", "mounts", "version", "1/status", "1/stat"]
    )
    async def test_files_have_something_to_say(self, it: Bench, path: str) -> None:
        container = await it.start("busybox", "sleep", "1000")
        status, out, err = await it.run(container, "cat", f"/proc/{path}")
        assert (status, err) == (0, "")
        assert out

    async def test_nothing_of_it_can_be_written(self, it: Bench) -> None:
        container = await it.start("busybox", "sleep", "1000")
        status, _, _ = await it.shell(container, "echo 1 > /proc/meminfo")
        assert status != 0
        status, _, _ = await it.shell(container, "echo max > /sys/fs/cgroup/memory.max")
        assert status != 0

    async def test_every_path_below_is_harmless(self, it: Bench) -> None:
        container = await it.start("busybox", "sleep", "1000")
        status, out, _ = await it.shell(
            container, "find /proc /sys | while read f; do cat $f; done 2>&1 | wc -l"
        )
        assert status == 0
        assert int(out) > 50
        assert container.state is ContainerState.RUNNING


class TestControlGroup:
    async def test_limits_show(self, it: Bench) -> None:
        limits = Resources(cpu_quota=50_000, cpu_period=100_000, memory_limit_bytes=64 * MEBIBYTE)
        container = await it.start("busybox", "sleep", "1000", resources=limits)
        _, out, _ = await it.shell(container, "cd /sys/fs/cgroup; cat memory.max cpu.max pids.max")
        assert out == f"{64 * MEBIBYTE}\n50000 100000\n256\n"

    async def test_without_limits(self, it: Bench) -> None:
        container = await it.start("busybox", "sleep", "1000")
        _, out, _ = await it.shell(container, "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max")
        assert out == "max\nmax 100000\n"

    async def test_a_load_beyond_the_quota_is_capped_and_counted(self, it: Bench) -> None:
        container = await app(it, cpu={"millicores": 2000}, resources=Resources(cpu_quota=50_000))
        assert container.usage.cpu_nanocores == 500_000_000
        await it.clock.advance(10)
        now = container.now_seconds()
        assert container.usage.cpu_time(now) == pytest.approx(5e9)
        told = container.usage.throttling(now)
        assert (told.periods, told.throttled_periods) == (100, 100)
        assert told.throttled_nanoseconds == pytest.approx(15e9)

    async def test_a_quota_that_is_lifted_counts_from_then_on(self, it: Bench) -> None:
        container = await app(it, cpu={"millicores": 1000}, resources=Resources(cpu_quota=50_000))
        await it.clock.advance(2)
        container.resources = Resources()
        await it.clock.advance(2)
        assert container.usage.cpu_time(container.now_seconds()) == pytest.approx(3e9)
        assert container.usage.throttling(container.now_seconds()).throttled_periods == 20


class TestMemory:
    async def test_what_a_tool_holds_counts_and_kills(self, it: Bench) -> None:
        async def hungry(process):  # type: ignore[no-untyped-def]
            for mebibytes in range(0, 1000, 10):
                process.hold(mebibytes * MEBIBYTE)
                await process.sleep(1)
            return 0

        it.machine.programs = {**it.machine.programs, "hungry": hungry}
        it.registry.add("docker.io/me/hungry:latest", {"sha256:h": {"/bin/hungry": PROGRAM}}, cmd=("hungry",))
        container = await it.start("me/hungry", resources=Resources(memory_limit_bytes=45 * MEBIBYTE))
        await it.clock.advance(4)
        assert container.memory() == 41 * MEBIBYTE
        await it.clock.advance(2)
        assert (container.exit_code, container.reason) == (137, "OOMKilled")

    async def test_a_process_gives_back_what_it_held(self, it: Bench) -> None:
        async def brief(process):  # type: ignore[no-untyped-def]
            process.hold(20 * MEBIBYTE)
            await process.sleep(1)
            return 0

        it.machine.programs = {**it.machine.programs, "brief": brief}
        container = await it.start("busybox", "sleep", "1000")
        before = container.memory()
        process = container.start_process(("brief",), brief, None, {}, "/", {})
        assert container.memory() == before + 20 * MEBIBYTE
        await it.clock.advance(1)
        assert process.exit.done
        assert container.memory() == before
        assert container.usage.peak_bytes == before + 20 * MEBIBYTE

    async def test_files_in_memory_count(self, it: Bench) -> None:
        container = await it.start("busybox", "sleep", "1000")
        before = container.memory()
        await it.shell(container, "printf '%03000d' 0 > /dev/shm/big")
        assert container.memory() == before + 3_000
        _, out, _ = await it.shell(container, "ls /dev/shm; rm /dev/shm/big; ls /dev/shm")
        assert out == "big\n"
        assert container.memory() == before

    def test_seconds_until_a_limit_count_what_is_held(self) -> None:
        usage = Usage()
        usage.set_memory(0, 10, 5)
        usage.hold(10)
        assert usage.seconds_until(30, 0) == 2


class TestSharedProcesses:
    async def test_containers_of_a_pod_see_each_other(self, it: Bench) -> None:
        sandbox = it.sandbox(pid_mode=POD_MODE)
        shared = {"sandbox": sandbox, "pid_mode": POD_MODE}
        first = await it.start("busybox", "sleep", "1000", name="a", **shared)
        second = await it.start("busybox", "sleep", "2000", name="b", **shared)
        _, out, _ = await it.run(second, "ps")
        assert [line.split(maxsplit=3)[3] for line in out.splitlines()[1:]] == [
            "/pause", "sleep 1000", "sleep 2000", "ps",
        ]  # fmt: skip
        # Not process 1 any more: TERM ends it, even from next door.
        await it.shell(second, "kill 2")
        await it.clock.advance(0)
        assert (first.state, first.exit_code) == (ContainerState.EXITED, 143)
        assert second.state is ContainerState.RUNNING

    async def test_an_ephemeral_container_joins_its_target(self, it: Bench) -> None:
        sandbox = it.sandbox()
        target = await it.start("busybox", "sleep", "1000", sandbox=sandbox)
        debugger = await it.start(
            "busybox",
            "sleep",
            "7",
            sandbox=sandbox,
            name="debugger",
            pid_mode=TARGET_MODE,
            pid_target=target.id,
        )
        _, out, _ = await it.run(debugger, "ps")
        assert "sleep 1000" in out
        await it.clock.advance(7)
        assert debugger.state is ContainerState.EXITED
        assert target.state is ContainerState.RUNNING
        assert [process.argv for process in target.processes.alive.values()] == [("sleep", "1000")]

    async def test_by_default_each_is_alone(self, it: Bench) -> None:
        sandbox = it.sandbox()
        await it.start("busybox", "sleep", "1000", sandbox=sandbox, name="a")
        second = await it.start("busybox", "sleep", "2000", sandbox=sandbox, name="b")
        _, out, _ = await it.run(second, "ps")
        assert "sleep 1000" not in out

    async def test_orphans_go_to_process_1_and_are_reaped(self, it: Bench) -> None:
        container = await it.start("busybox", "sleep", "1000")
        await it.shell(container, "(sleep 5 &) ; true")
        rows = [one for one in container.processes.alive.values() if one.argv == ("sleep", "5")]
        assert [one.parent for one in rows] == [1]
        await it.clock.advance(5)
        assert len(container.processes.alive) == 1
