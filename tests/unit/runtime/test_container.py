from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from services.runtime.filesystem import Entry
from services.runtime.model import ContainerState, MountConfig, Resources, RuntimeFault
from tests.unit.runtime.harness import PROGRAM, Bench

MEBIBYTE = 1024 * 1024


def app(it: Bench, **behaviour: object) -> str:
    """An image whose only program behaves so."""
    it.registry.add(
        "docker.io/me/app:latest",
        {"sha256:app": {"/app": PROGRAM, "/bin/sh": PROGRAM}},
        entrypoint=("/app",),
        behaviour={"program": "/app", **behaviour},
    )
    return "me/app"


class TestEnds:
    async def test_exit_code_and_reason(self, it: Bench) -> None:
        container = await it.start("busybox", "sh", "-c", "echo hi && sleep 5; exit 3")
        assert container.state is ContainerState.RUNNING
        await it.clock.advance(5)
        assert (container.exit_code, container.reason) == (3, "Error")
        assert it.log(container) == ["hi"]

    async def test_process_1_ignores_what_it_does_not_handle(self, it: Bench) -> None:
        container = await it.start("busybox", "sleep", "1000")
        stopping = it.kernel.spawn(container.stop(30))
        await it.clock.advance(29)
        assert container.state is ContainerState.RUNNING
        await it.clock.advance(1)
        assert stopping.finished.done
        assert container.exit_code == 137

    async def test_trap_ends_it_at_once(self, it: Bench) -> None:
        container = await it.start("busybox", "sh", "-c", "trap 'echo bye; exit 0' TERM; sleep 1000 & wait")
        it.kernel.spawn(container.stop(30))
        await it.clock.advance(0)
        assert (container.state, container.exit_code) == (ContainerState.EXITED, 0)
        assert it.log(container) == ["bye"]

    async def test_children_die_with_process_1(self, it: Bench) -> None:
        container = await it.start("busybox", "sh", "-c", "sleep 1000 & sleep 1; exit 0")
        await it.clock.advance(1)
        assert container.state is ContainerState.EXITED
        assert container.processes.alive == {}

    async def test_out_of_memory(self, it: Bench) -> None:
        image = app(it, memory={"mebibytes": 10, "growMebibytesPerSecond": 5})
        container = await it.start(image, resources=Resources(memory_limit_bytes=30 * MEBIBYTE))
        await it.clock.advance(3.9)
        assert container.state is ContainerState.RUNNING
        await it.clock.advance(0.2)
        assert (container.exit_code, container.reason) == (137, "OOMKilled")

    async def test_a_limit_lowered_under_use_kills(self, it: Bench) -> None:
        container = await it.start(app(it, memory={"mebibytes": 50}))
        container.resources = Resources(memory_limit_bytes=20 * MEBIBYTE)
        container.watch_memory()
        await it.clock.advance(0.1)
        assert container.reason == "OOMKilled"

    async def test_a_broken_program_of_ours_is_a_crash_of_the_container_only(self, it: Bench) -> None:
        async def broken(process):  # type: ignore[no-untyped-def]
            raise TypeError("a bug of ours")

        it.machine.programs = {**it.machine.programs, "broken": broken}
        it.registry.add("docker.io/me/broken:latest", {"sha256:b": {"/bin/broken": PROGRAM}}, cmd=("broken",))
        container = await it.start("me/broken")
        assert container.exit_code == 139

    async def test_starts_once(self, it: Bench) -> None:
        container = await it.start("busybox", "true")
        with pytest.raises(RuntimeFault, match="CONTAINER_EXITED"):
            container.start()


class TestStartErrors:
    @pytest.mark.parametrize(
        ("command", "words"),
        [
            ("nosuch", 'exec: "nosuch": executable file not found in $PATH'),
            ("/bin/nosuch", 'exec: "/bin/nosuch": stat /bin/nosuch: no such file or directory'),
            ("/etc/passwd", 'exec: "/etc/passwd": permission denied'),
            ("/tmp", 'exec: "/tmp": is a directory'),
        ],
    )
    async def test_words(self, it: Bench, command: str, words: str) -> None:
        with pytest.raises(RuntimeFault, match="error during container init") as caught:
            await it.start("busybox", command)
        assert f": {words}: unknown" in str(caught.value)

    async def test_a_foreign_binary_says_so(self, it: Bench) -> None:
        it.registry.add("docker.io/me/x:latest", {"sha256:x": {"/usr/bin/perl": PROGRAM}}, cmd=("perl",))
        container = await it.start("me/x")
        assert container.exit_code == 126
        assert it.log(container) == ["perl: this program is not emulated"]


class TestSurroundings:
    async def test_command_and_args_as_kubernetes_has_them(self, it: Bench) -> None:
        it.registry.add(
            "docker.io/me/e:latest",
            {"sha256:e": {"/bin/echo": PROGRAM}},
            entrypoint=("echo", "entry"),
            cmd=("cmd",),
        )
        sandbox = it.sandbox()
        cases = {
            "a": ((), (), ["entry cmd"]),
            "b": ((), ("arg",), ["entry arg"]),
            "c": (("echo", "own"), (), ["own"]),
            "d": (("echo", "own"), ("arg",), ["own arg"]),
        }
        for name, (command, args, expected) in cases.items():
            container = await it.start(
                "me/e", *command, args=args, name=name, sandbox=sandbox, log_path=f"{name}/0.log"
            )
            assert it.log(container) == expected

    async def test_environment_hostname_and_files_of_etc(self, it: Bench) -> None:
        container = await it.start("busybox", "sleep", "inf", envs=(("A", "1"),))
        _, out, _ = await it.shell(
            container, "hostname; echo $HOSTNAME $A $HOME; cat /etc/hostname; grep web /etc/hosts"
        )
        assert out == "web\nweb 1 /root\nweb\n10.244.1.2\tweb\n"

    async def test_ps_shows_own_processes_only(self, it: Bench) -> None:
        container = await it.start("busybox", "sleep", "1000")
        await it.start("busybox", "sleep", "2000", sandbox=it.sandbox("other"))
        _, out, _ = await it.run(container, "ps")
        assert (
            out
            == "PID   USER     TIME  COMMAND\n    1 root       0:00 sleep 1000\n    2 root       0:00 ps\n"
        )

    async def test_containers_of_a_pod_share_localhost_not_files(self, it: Bench) -> None:
        sandbox = it.sandbox()
        await it.start(app(it, http=[{"port": 8080, "body": "ok"}]), sandbox=sandbox, name="app")
        side = await it.start("busybox", "sleep", "inf", sandbox=sandbox, name="side", log_path="side/0.log")
        assert (await it.run(side, "wget", "-qO-", "localhost:8080"))[1] == "ok"
        assert (await it.run(side, "ls", "/app"))[0] == 1

    async def test_users(self, it: Bench) -> None:
        container = await it.start("busybox", "sleep", "inf", run_as_user=65534)
        assert (await it.run(container, "whoami"))[1] == "nobody\n"


class TestMounts:
    async def test_a_folder_of_the_kubelet_shows_and_follows_its_swap_of_links(
        self, it: Bench, tmp_path: Path
    ) -> None:
        volume = tmp_path / "pods" / "volume"
        for version in ("v1", "v2"):
            (volume / f"..{version}").mkdir(parents=True)
            (volume / f"..{version}" / "key").write_text(version)
        (volume / "..data").symlink_to("..v1")
        (volume / "key").symlink_to("..data/key")
        mount = MountConfig("/config", str(volume), readonly=True)
        container = await it.start("busybox", "sleep", "inf", mounts=(mount,))
        assert (await it.shell(container, "ls /config; cat /config/key"))[1] == "key\nv1"
        (volume / "..new").symlink_to("..v2")
        (volume / "..new").rename(volume / "..data")
        assert (await it.run(container, "cat", "/config/key"))[1] == "v2"
        status, _, err = await it.shell(container, "echo x > /config/new")
        assert status == 1
        assert "Read-only file system" in err

    async def test_writes_reach_the_folder(self, it: Bench, tmp_path: Path) -> None:
        (tmp_path / "v").mkdir()
        mount = MountConfig("/data", str(tmp_path / "v"), readonly=False)
        container = await it.start(
            "busybox", "sh", "-c", "mkdir /data/d; echo hi > /data/d/f", mounts=(mount,)
        )
        assert container.exit_code == 0
        assert (tmp_path / "v" / "d" / "f").read_text() == "hi\n"

    async def test_a_link_cannot_leave_the_container(self, it: Bench, tmp_path: Path) -> None:
        (tmp_path / "v").mkdir()
        secret = tmp_path / "secret"
        secret.write_text("of the machine")
        mount = MountConfig("/data", str(tmp_path / "v"), readonly=False)
        container = await it.start("busybox", "sleep", "inf", mounts=(mount,))
        for target in (str(secret), "../secret", "../../../../../../etc/shadow"):
            await it.shell(container, f"rm -f /data/l; ln -s {target} /data/l; echo overwritten > /data/l")
            _, out, _ = await it.run(container, "cat", "/data/l")
            assert "of the machine" not in out
            assert "root:" not in out
        assert secret.read_text() == "of the machine"

    async def test_host_path_is_a_folder_inside_the_emulation(self, it: Bench, tmp_path: Path) -> None:
        mount = MountConfig("/host", "/etc/../etc", readonly=False)
        container = await it.start("busybox", "sh", "-c", "ls /host; echo x > /host/f", mounts=(mount,))
        assert it.log(container) == []
        assert (tmp_path / "machines" / "node-1" / "etc" / "f").read_text() == "x\n"

    async def test_disk_is_bounded(self, it: Bench) -> None:
        container = await it.start("busybox", "sleep", "inf")
        script = "for i in 1 2 3 4 5 6 7 8 9; do dd if=/dev/zero of=/f$i bs=1M count=10 || exit 9; done"
        big, many = (
            asyncio.ensure_future(it.shell(container, line))
            for line in ("dd if=/dev/zero of=/big bs=1M count=1000", script)
        )
        while not (big.done() and many.done()):
            await it.clock.advance(1)  # whoever copies much takes breath
        status, _, err = big.result()
        assert status == 1
        assert "File too large" in err
        assert many.result()[0] == 9


class TestBehaviour:
    async def test_needs_a_host(self, it: Bench) -> None:
        image = app(
            it,
            needs=[{"host": "db", "port": 3306, "error": ["no ${host}: ${reason}"], "exitCode": 1}],
            log=["up"],
        )
        alone = await it.start(image)
        assert (alone.exit_code, it.log(alone)) == (1, ["no db: getaddrinfo ENOTFOUND db"])
        sandbox = it.sandbox("second")
        sandbox.namespace.hosts["db"] = "10.244.1.99"
        refused = await it.start(image, sandbox=sandbox)
        assert it.log(refused) == ["no db: connect EHOSTUNREACH 10.244.1.99:3306"]
        it.registry.add(
            "docker.io/me/db:latest", {"sha256:db": {"/db": PROGRAM}}, cmd=("/db",),
            behaviour={"program": "/db", "tcp": [{"port": 3306}]},
        )  # fmt: skip
        database = it.sandbox("db")
        await it.start("me/db", sandbox=database)
        healed = it.sandbox("third")
        healed.namespace.hosts["db"] = database.ip
        container = await it.start(image, sandbox=healed)
        assert (container.state, it.log(container)) == (ContainerState.RUNNING, ["up"])

    async def test_fails_after_some_requests(self, it: Bench) -> None:
        image = app(it, http=[{"port": 80, "body": "fine", "failsAfter": {"requests": 2, "body": "sick"}}])
        container = await it.start(image)
        script = "for i in 1 2 3; do curl -s -w ' %{http_code}\\n' localhost; done"
        _, out, _ = await it.run(
            await it.start("busybox", "sleep", "inf", sandbox=container.sandbox, name="c"), "sh", "-c", script
        )
        assert out == "fine 200\nfine 200\nsick 500\n"

    async def test_exits_by_itself_and_repeats_until_then(self, it: Bench) -> None:
        image = app(
            it, every=[{"seconds": 2, "log": "tick"}], exit={"afterSeconds": 5, "code": 4, "log": ["bye"]}
        )
        container = await it.start(image)
        await it.clock.advance(6)
        assert (container.exit_code, it.log(container)) == (4, ["tick", "tick", "bye"])

    async def test_signals(self, it: Bench) -> None:
        image = app(it, signals={"TERM": {"code": 0, "seconds": 1}, "HUP": "ignore"})
        container = await it.start(image)
        it.kernel.spawn(container.stop(30))
        await it.clock.advance(1)
        assert container.exit_code == 0

    async def test_its_port_is_free_again_after_a_crash(self, it: Bench) -> None:
        image, sandbox = app(it, http=[{"port": 80, "body": "x"}]), it.sandbox()
        first = await it.start(image, sandbox=sandbox)
        taken = await it.start(image, sandbox=sandbox, attempt=1, log_path="main/1.log")
        assert (taken.exit_code, it.log(taken)) == (1, ["listen tcp :80: bind: address already in use"])
        first.kill()
        again = await it.start(image, sandbox=sandbox, attempt=2)
        assert again.state is ContainerState.RUNNING

    async def test_another_command_is_not_the_program(self, it: Bench) -> None:
        image = app(it, log=["server"])
        assert it.log(await it.start(image, "sh", "-c", "echo shell")) == ["shell"]

    async def test_pages_come_from_the_files(self, it: Bench) -> None:
        it.registry.add(
            "docker.io/me/web:latest",
            {"sha256:w": {"/web": PROGRAM, "/www/index.html": Entry(data=b"index")}},
            cmd=("/web",),
            behaviour={"program": "/web", "http": [{"port": 80, "root": "/www"}]},
        )
        container = await it.start("me/web")
        client = await it.start("busybox", "sleep", "inf", sandbox=container.sandbox, name="c")
        assert (await it.run(client, "wget", "-qO-", "localhost/"))[1] == "index"
        container.filesystem.write("/www/index.html", b"changed")
        assert (await it.run(client, "curl", "-s", "localhost"))[1] == "changed"
        status, _, err = await it.run(client, "wget", "-qO-", "localhost/../../etc/passwd")
        assert (status, "404" in err) == (1, True)


class TestLoops:
    async def test_a_busy_loop_does_not_hold_up_the_node(self, it: Bench) -> None:
        container = await it.start("busybox", "sh", "-c", "while :; do :; done")
        other = await it.start("busybox", "sh", "-c", "echo alive", sandbox=it.sandbox("b"))
        assert it.log(other) == ["alive"]
        await it.clock.advance(2)
        assert 1 in container.processes.alive
        assert container.usage.cpu_nanoseconds > 0
        container.kill()
        await it.clock.advance(1)
        assert container.state is ContainerState.EXITED

    async def test_a_fork_bomb_meets_its_limit(self, it: Bench) -> None:
        container = await it.start("busybox", "sh", "-c", "f() { f | f & }; f; sleep 1; exit 0")
        for _ in range(20):
            await it.clock.advance(0.5)
        assert len(container.processes.alive) <= 256
        container.kill()
        await it.clock.advance(1)
        assert container.state is ContainerState.EXITED
