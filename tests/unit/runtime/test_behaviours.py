"""What images can be told to do, each once; and that no description and no client harms the node."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.runtime import behaviours
from services.runtime.behaviours.grpc_health import (
    DATA,
    HEADERS,
    PATH,
    PATH_HUFFMAN,
    PREFACE,
    SETTINGS,
    frame,
)
from services.runtime.behaviours.redis_wire import Refused, take_request
from services.runtime.behaviours.stress import options_of, size_of
from services.runtime.container import Container
from services.runtime.http import Request
from services.runtime.model import ContainerState, MountConfig, Resources
from services.runtime.network import Connection
from services.runtime.usage import MEBIBYTE
from tests.unit.runtime.harness import PROGRAM, Bench, files_of_busybox

NUMBERS = count()


async def start(it: Bench, *arguments: str, image: str = "app", resources: Resources | None = None,
                mounts: tuple[MountConfig, ...] = (), envs: tuple[tuple[str, str], ...] = (),
                **behaviour: Any) -> Container:  # fmt: skip
    it.registry.add(
        f"docker.io/me/{image}:latest",
        {"sha256:app": {"/app": PROGRAM, **files_of_busybox()}},
        entrypoint=("/app",),
        behaviour={"program": "/app", **behaviour},
    )
    return await it.start(
        f"me/{image}", args=arguments, resources=resources or Resources(), mounts=mounts, envs=envs,
        sandbox=it.sandbox(f"pod-{next(NUMBERS)}"),
    )  # fmt: skip


class Talk:
    """A client of one port."""

    def __init__(self, it: Bench, connection: Connection) -> None:
        self._it, self._connection = it, connection

    async def say(self, data: bytes) -> bytes:
        """Sends, and what comes back at once; b"" when the other side has hung up."""
        await self._it.kernel.call(self._connection.outgoing.write(data))
        return await self.hear()

    async def hear(self) -> bytes:
        return await self._it.kernel.call(self._connection.incoming.read(65536))


async def dial(it: Bench, container: Container, port: int) -> Talk:
    source = container.sandbox.namespace
    return Talk(it, await it.kernel.call(it.machine.network.connect(source, "127.0.0.1", port)))


async def get(
    it: Bench, container: Container, path: str = "/", port: int = 80, method: str = "GET"
) -> tuple[int, bytes]:
    source = container.sandbox.namespace
    request = Request(method, path)
    response = await it.kernel.call(it.machine.network.http(source, "127.0.0.1", port, request))
    return response.status, response.body


class TestLives:
    async def test_a_crash_by_signal(self, it: Bench) -> None:
        container = await start(it, exit={"afterSeconds": 2, "signal": "SEGV", "log": ["oh"]})
        await it.clock.advance(2)
        assert (container.exit_code, it.log(container)) == (139, ["oh"])

    async def test_a_batch_goes_through_its_steps(self, it: Bench) -> None:
        steps = [{"seconds": 1, "log": "one"}, {"seconds": 2, "log": "two"}]
        container = await start(it, steps=steps, exit={"code": 0, "log": ["done"]})
        await it.clock.advance(1)
        assert it.log(container) == ["one"]
        await it.clock.advance(2)
        assert it.log(container) == ["one", "two", "done"]
        assert (container.exit_code, container.reason) == (0, "Completed")

    async def test_says_why_it_ended(self, it: Bench) -> None:
        target = it.machine.root / "why"
        target.write_text("")
        mount = MountConfig("/dev/termination-log", str(target), readonly=False)
        container = await start(it, mounts=(mount,), exit={"code": 4, "termination": "no ${env.X:-luck}"})
        assert container.exit_code == 4
        assert target.read_text() == "no luck"

    async def test_needs_a_host_and_tries_again(self, it: Bench) -> None:
        need = {
            "host": "127.0.0.1",
            "port": 3306,
            "retrySeconds": 2,
            "error": ["attempt ${attempt}: ${reason}"],
        }
        container = await start(it, needs=[need], log=["up"])
        await it.clock.advance(4)
        assert it.log(container) == [f"attempt {n}: connect ECONNREFUSED 127.0.0.1:3306" for n in (1, 2, 3)]
        it.registry.add(
            "docker.io/me/db:latest", {"sha256:db": {"/db": PROGRAM}}, cmd=("/db",),
            behaviour={"program": "/db", "tcp": [{"port": 3306}]},
        )  # fmt: skip
        await it.start("me/db", sandbox=container.sandbox, name="db")
        await it.clock.advance(2)
        assert it.log(container)[-1] == "up"

    async def test_gives_up_after_some_attempts(self, it: Bench) -> None:
        need = {"host": "nobody", "port": 1, "retrySeconds": 1, "attempts": 3, "exitCode": 7}
        container = await start(it, needs=[need])
        await it.clock.advance(2)
        assert container.exit_code == 7
        assert len(it.log(container)) == 3

    async def test_will_not_start_without_a_variable(self, it: Bench) -> None:
        wish = {"env": "PASSWORD", "error": ["say PASSWORD"], "exitCode": 3}
        refused = await start(it, requires=[wish])
        assert (refused.exit_code, it.log(refused)) == (3, ["say PASSWORD"])
        let_in = await start(it, image="other", requires=[wish], envs=(("PASSWORD", "x"),), log=["up"])
        assert it.log(let_in)[-1] == "up"

    async def test_ignores_sigterm_until_killed(self, it: Bench) -> None:
        container = await start(it, signals={"TERM": "ignore"})
        it.kernel.spawn(container.stop(10))
        await it.clock.advance(9)
        assert container.state is ContainerState.RUNNING
        await it.clock.advance(1)
        assert container.exit_code == 137

    async def test_fills_its_disk(self, it: Bench) -> None:
        container = await start(it, disk={"mebibytes": 1, "growMebibytesPerSecond": 10})
        await it.clock.advance(5)
        assert container.written_bytes() == 51 * MEBIBYTE

    async def test_a_port_that_is_taken(self, it: Bench) -> None:
        first = await start(it, http=[{"port": 80}])
        it.registry.add(
            "docker.io/me/second:latest", {"sha256:2": {"/b": PROGRAM}}, cmd=("/b",),
            behaviour={"program": "/b", "tcp": [{"port": 80}]},
        )  # fmt: skip
        second = await it.start("me/second", sandbox=first.sandbox, name="second", log_path="second/0.log")
        assert second.exit_code == 1
        assert it.log(second) == ["listen tcp :80: bind: address already in use"]
        assert first.state is ContainerState.RUNNING


class TestHttp:
    async def test_becomes_unhealthy(self, it: Bench) -> None:
        container = await start(
            it, http=[{"port": 80, "body": "ok", "failsAfter": {"seconds": 30, "status": 503}}]
        )
        assert (await get(it, container))[0] == 200
        await it.clock.advance(31)
        assert (await get(it, container))[0] == 503

    @pytest.mark.parametrize("table", [{"hangs": True}, {"hangsAfter": {"requests": 0}}])
    async def test_accepts_and_never_answers(self, it: Bench, table: dict[str, Any]) -> None:
        container = await start(it, http=[{"port": 80, "body": "ok", **table}])
        asked = it.kernel.spawn(
            it.machine.network.http(container.sandbox.namespace, "127.0.0.1", 80, Request())
        )
        await it.clock.advance(1000)
        assert not asked.finished.done
        asked.kill(1)

    async def test_leaks_with_each_request(self, it: Bench) -> None:
        limits = Resources(memory_limit_bytes=10 * MEBIBYTE)
        container = await start(it, resources=limits, http=[{"port": 80, "leakKibibytesPerRequest": 4096}])
        await get(it, container)
        await get(it, container)
        assert container.state is ContainerState.RUNNING
        await get(it, container)
        await it.clock.advance(0.1)
        assert container.reason == "OOMKilled"

    async def test_a_folder_without_its_slash(self, it: Bench) -> None:
        container = await start(it, http=[{"port": 80, "root": "/"}])
        response = await it.kernel.call(
            it.machine.network.http(container.sandbox.namespace, "127.0.0.1", 80, Request(path="/tmp"))
        )
        assert (response.status, dict(response.headers)["Location"]) == (301, "/tmp/")

    async def test_files_are_not_posted_to(self, it: Bench) -> None:
        container = await start(it, http=[{"port": 80, "root": "/"}])
        assert (await get(it, container, method="POST"))[0] == 405


class TestRedis:
    async def redis(self, it: Bench, *arguments: str, **fields: Any) -> tuple[Container, Talk]:
        container = await start(it, *arguments, tcp=[{"port": 6379, "speaks": "redis"}], **fields)
        return container, await dial(it, container, 6379)

    @pytest.mark.parametrize(
        ("request_", "reply"),
        [
            (b"PING\r\n", b"+PONG\r\n"),
            (b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n"),
            (b"*2\r\n$4\r\nECHO\r\n$3\r\na\r\n\r\n", b"$3\r\na\r\n\r\n"),
            (b"SET k v\r\nGET k\r\n", b"+OK\r\n$1\r\nv\r\n"),
            (b"GET nothing\r\n", b"$-1\r\n"),
            (b"INCR n\r\nINCRBY n 5\r\nDECR n\r\n", b":1\r\n:6\r\n:5\r\n"),
            (b"SET k v\r\nINCR k\r\n", b"+OK\r\n-ERR value is not an integer or out of range\r\n"),
            (b"RPUSH l a b\r\nLPUSH l z\r\nLRANGE l 0 -1\r\nLPOP l\r\n",
             b":2\r\n:3\r\n*3\r\n$1\r\nz\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nz\r\n"),
            (b"SADD s b a b\r\nSMEMBERS s\r\nSREM s a b\r\nEXISTS s\r\n",
             b":2\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n:2\r\n:0\r\n"),
            (b"HSET h a 1 b 2\r\nHGETALL h\r\nHGET h b\r\nHINCRBY h b 3\r\n",
             b":2\r\n*4\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\n2\r\n$1\r\n2\r\n:5\r\n"),
            (b"SET k v\r\nLPUSH k x\r\n",
             b"+OK\r\n-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
            (b"GET\r\n", b"-ERR wrong number of arguments for 'get' command\r\n"),
            (b"NOPE a\r\n", b"-ERR unknown command 'NOPE', with args beginning with: 'a'\r\n"),
            (b"SET k v NX\r\nSET k w NX\r\nGET k\r\n", b"+OK\r\n$-1\r\n$1\r\nv\r\n"),
            (b"MSET a 1 b 2\r\nKEYS *\r\nDEL a b c\r\nDBSIZE\r\n",
             b"+OK\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n:2\r\n:0\r\n"),
            (b"TYPE x\r\nSET x 1\r\nTYPE x\r\n", b"+none\r\n+OK\r\n+string\r\n"),
            (b"SELECT 1\r\n", b"-ERR DB index is out of range\r\n"),
        ],
    )  # fmt: skip
    async def test_answers_as_redis_does(self, it: Bench, request_: bytes, reply: bytes) -> None:
        _, client = await self.redis(it)
        got = await client.say(request_)
        while len(got) < len(reply):
            got += await client.hear()
        assert got == reply

    async def test_values_expire(self, it: Bench) -> None:
        _, client = await self.redis(it)
        assert await client.say(b"SET k v EX 10\r\n") == b"+OK\r\n"
        assert await client.say(b"TTL k\r\n") == b":10\r\n"
        await it.clock.advance(10)
        assert await client.say(b"GET k\r\n") == b"$-1\r\n"

    async def test_asks_for_its_password(self, it: Bench) -> None:
        _, client = await self.redis(it, "--requirepass", "secret")
        assert await client.say(b"GET k\r\n") == b"-NOAUTH Authentication required.\r\n"
        assert (await client.say(b"AUTH wrong\r\n")).startswith(b"-WRONGPASS")
        assert await client.say(b"AUTH secret\r\n") == b"+OK\r\n"
        assert await client.say(b"GET k\r\n") == b"$-1\r\n"

    async def test_a_volume_keeps_what_was_saved(self, it: Bench) -> None:
        volume = it.machine.root / "volume"
        volume.mkdir()
        mounts = (MountConfig("/data", str(volume), readonly=False),)
        _, client = await self.redis(it, mounts=mounts)
        for words in (b"SET k v", b"RPUSH l a b", b"HSET h a 1", b"SADD s x"):
            await client.say(words + b"\r\n")
        assert await client.say(b"SAVE\r\n") == b"+OK\r\n"
        second, client = await self.redis(it, image="second", mounts=mounts)
        assert await client.say(b"GET k\r\n") == b"$1\r\nv\r\n"
        assert await client.say(b"LLEN l\r\n") == b":2\r\n"
        await client.say(b"SHUTDOWN\r\n")
        assert second.state is ContainerState.EXITED

    async def test_a_file_that_is_not_ours_does_no_harm(self, it: Bench) -> None:
        volume = it.machine.root / "volume"
        volume.mkdir()
        (volume / "dump.rdb").write_bytes(b"REDIS0011\xfa")
        _, client = await self.redis(it, mounts=(MountConfig("/data", str(volume), readonly=False),))
        assert await client.say(b"DBSIZE\r\n") == b":0\r\n"

    async def test_a_polite_end_saves(self, it: Bench) -> None:
        volume = it.machine.root / "volume"
        volume.mkdir()
        mounts = (MountConfig("/data", str(volume), readonly=False),)
        container, client = await self.redis(it, mounts=mounts, signals={"TERM": {"code": 0}})
        await client.say(b"SET k v\r\n")
        await it.kernel.call(container.stop(30))
        assert container.exit_code == 0
        _, client = await self.redis(it, image="second", mounts=mounts)
        assert await client.say(b"GET k\r\n") == b"$1\r\nv\r\n"

    async def test_its_client(self, it: Bench) -> None:
        container, _ = await self.redis(it)
        assert await it.run(container, "redis-cli", "ping") == (0, "PONG\n", "")
        assert await it.run(container, "redis-cli", "-h", "localhost", "set", "a", "b c") == (0, "OK\n", "")
        assert (await it.run(container, "redis-cli", "get", "a"))[1] == "b c\n"
        assert (await it.shell(container, "echo 'rpush l x y\nlrange l 0 -1' | redis-cli"))[1] == "2\nx\ny\n"
        status, out, _ = await it.run(container, "redis-cli", "incr", "a")
        assert (status, out) == (1, "ERR value is not an integer or out of range\n")
        status, _, err = await it.run(container, "redis-cli", "-p", "1", "ping")
        assert (status, err) == (1, "Could not connect to Redis at 127.0.0.1:1: Connection refused\n")

    @given(st.binary(max_size=300))
    def test_any_bytes_are_requests_or_refused(self, data: bytes) -> None:
        buffer = bytearray(data)
        for _ in range(400):
            try:
                if take_request(buffer) is None:
                    return
            except Refused:
                return
        raise AssertionError("never came to an end")


class TestDatabases:
    async def test_mysql_greets_and_refuses(self, it: Bench) -> None:
        container = await start(it, tcp=[{"port": 3306, "speaks": "mysql", "version": "8.0.1"}])
        client = await dial(it, container, 3306)
        hello = await client.hear()
        assert hello[3:11] == b"\x00\x0a8.0.1\x00"
        login = bytes(32) + b"root\0" + b"\x14" + bytes(20)
        answer = await client.say(len(login).to_bytes(3, "little") + b"\x01" + login)
        assert b"Access denied for user 'root'@'127.0.0.1' (using password: YES)" in answer

    async def test_postgres_refuses_a_password(self, it: Bench) -> None:
        container = await start(it, tcp=[{"port": 5432, "speaks": "postgres"}])
        client = await dial(it, container, 5432)
        assert await client.say((8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")) == b"N"
        body = (196608).to_bytes(4, "big") + b"user\0ann\0\0"
        assert (await client.say((len(body) + 4).to_bytes(4, "big") + body))[:1] == b"R"
        answer = await client.say(b"p" + (9).to_bytes(4, "big") + b"wrong")
        assert b'password authentication failed for user "ann"' in answer
        assert any("FATAL" in line for line in it.log(container))

    async def test_memcached_keeps_things(self, it: Bench) -> None:
        container = await start(it, tcp=[{"port": 11211, "speaks": "memcached"}])
        client = await dial(it, container, 11211)
        assert await client.say(b"set a 0 0 5\r\nhello\r\n") == b"STORED\r\n"
        assert await client.say(b"get a b\r\n") == b"VALUE a 0 5\r\nhello\r\nEND\r\n"
        assert await client.say(b"nonsense\r\n") == b"ERROR\r\n"

    async def test_mongodb_says_hello(self, it: Bench) -> None:
        container = await start(it, tcp=[{"port": 27017, "speaks": "mongodb"}])
        client = await dial(it, container, 27017)
        document = b"\x10hello\0\x01\0\0\0\x02$db\0\x06\0\0\0admin\0\0"
        body = bytes(5) + (len(document) + 4).to_bytes(4, "little") + document
        head = (
            (16 + len(body)).to_bytes(4, "little")
            + (9).to_bytes(4, "little")
            + bytes(4)
            + (2013).to_bytes(4, "little")
        )
        answer = await client.say(head + body)
        assert answer[8:12] == (9).to_bytes(4, "little")
        assert b"isWritablePrimary" in answer

    async def test_who_asks_whether_it_is_there(self, it: Bench) -> None:
        container = await start(
            it, tcp=[{"port": 5432, "speaks": "postgres"}, {"port": 3306, "speaks": "mysql"}]
        )
        assert await it.run(container, "pg_isready", "-U", "postgres") == (
            0, "/var/run/postgresql:5432 - accepting connections\n", "",
        )  # fmt: skip
        assert (await it.run(container, "pg_isready", "-h", "localhost", "-p", "1"))[:2] == (
            2, "localhost:1 - no response\n",
        )  # fmt: skip
        assert (await it.run(container, "mysqladmin", "ping", "-h", "localhost"))[:2] == (
            0,
            "mysqld is alive\n",
        )
        assert (await it.run(container, "mysqladmin", "-uroot", "-psecret", "ping"))[:2] == (
            0,
            "mysqld is alive\n",
        )
        assert (await it.run(container, "mongosh", "--eval", "db.adminCommand('ping')"))[0] == 1

    async def test_hangs_and_echoes(self, it: Bench) -> None:
        container = await start(it, tcp=[{"port": 7, "echo": True}, {"port": 9, "hangs": True}])
        assert await (await dial(it, container, 7)).say(b"you") == b"you"
        await dial(it, container, 9)


def call(stream: int, path: bytes, service: bytes = b"") -> bytes:
    message = b"\x0a" + bytes((len(service),)) + service if service else b""
    head = b"\x83\x86\x04" + bytes((len(path) | (0x80 if path == PATH_HUFFMAN else 0),)) + path
    return frame(HEADERS, 4, stream, head) + frame(
        DATA, 1, stream, b"\0" + len(message).to_bytes(4, "big") + message
    )


class TestGrpcHealth:
    async def client(self, it: Bench, **table: Any) -> Talk:
        container = await start(it, tcp=[{"port": 9000, "speaks": "grpc-health", **table}])
        client = await dial(it, container, 9000)
        assert (await client.say(PREFACE + frame(SETTINGS, 0, 0))).startswith(frame(SETTINGS, 0, 0))
        return client

    async def answer(self, client: Talk, data: bytes) -> bytes:
        got = await client.say(data)
        while b"grpc-status" not in got:
            got += await client.hear()
        return got

    @pytest.mark.parametrize("path", [PATH, PATH_HUFFMAN])
    async def test_serving(self, it: Bench, path: bytes) -> None:
        client = await self.client(it)
        got = await self.answer(client, call(1, path))
        assert b"\0\0\0\0\x02\x08\x01" in got
        assert b"grpc-status\x010" in got

    async def test_services_of_their_own(self, it: Bench) -> None:
        client = await self.client(it, services={"db": "NOT_SERVING"})
        assert b"\x08\x02" in await self.answer(client, call(1, PATH, b"db"))
        assert b"unknown service" in await self.answer(client, call(3, PATH, b"nobody"))
        assert b"grpc-status\x0212" in await self.answer(client, call(5, b"/other.Service/Call"))

    async def test_stops_serving(self, it: Bench) -> None:
        client = await self.client(it, notServingAfterSeconds=10)
        await self.answer(client, call(1, PATH))
        await it.clock.advance(10)
        assert b"\0\0\0\0\x02\x08\x02" in await self.answer(client, call(3, PATH))


class TestStress:
    async def test_takes_what_its_command_line_says(self, it: Bench) -> None:
        words = ("--cpu", "2", "--vm", "1", "--vm-bytes", "150M", "--vm-hang", "1", "--timeout", "60s")
        container = await start(it, *words, acts="stress", resources=Resources(cpu_quota=50_000))
        assert it.log(container) == ["stress: info: [1] dispatching hogs: 2 cpu, 0 io, 1 vm, 0 hdd"]
        assert container.usage.cpu_wanted == 2_000_000_000
        assert container.usage.cpu_nanocores == 500_000_000
        assert container.memory() == 151 * MEBIBYTE
        await it.clock.advance(60)
        assert container.exit_code == 0

    async def test_past_the_limit(self, it: Bench) -> None:
        limits = Resources(memory_limit_bytes=100 * MEBIBYTE)
        container = await start(it, "--vm", "1", "--vm-bytes", "250M", acts="stress", resources=limits)
        await it.clock.advance(0.1)
        assert (container.exit_code, container.reason) == (137, "OOMKilled")

    async def test_bad_words(self, it: Bench) -> None:
        container = await start(it, "--vm", "1", "--vm-bytes", "much", acts="stress")
        assert container.exit_code == 1

    def test_options(self) -> None:
        assert options_of(["--cpu=2", "-m", "1", "--quiet"]) == {"cpu": "2", "m": "1", "quiet": ""}
        assert (size_of("950Mi"), size_of("1G"), size_of("64k")) == (950 * MEBIBYTE, 1024 * MEBIBYTE, 65536)


class TestNothingHarmsTheNode:
    @pytest.mark.parametrize(
        "behaviour",
        [
            {"exit": {"afterSeconds": "soon"}},
            {"exit": {"afterSeconds": 1, "code": "bad"}},
            {"tcp": [{"port": 1, "speaks": "klingon"}]},
            {"acts": "nobody"},
            {"memory": {"mebibytes": "much"}},
            {"http": ["what"]},
            {"needs": [{"port": 1}]},
            {"every": [{"seconds": "often"}]},
            {"signals": {"TERM": {"seconds": "later"}}},
            {"log": 5},
            {"steps": [3]},
        ],
    )
    async def test_wrong_descriptions_end_no_more_than_their_container(
        self, it: Bench, behaviour: dict[str, Any]
    ) -> None:
        container = await start(it, **behaviour)
        await it.clock.advance(2)
        container.signal(15)
        await it.clock.advance(2)
        healthy = await start(it, image="healthy", http=[{"port": 80, "body": "ok"}])
        assert await get(it, healthy) == (200, b"ok")

    async def test_a_speaker_that_breaks_loses_its_connection_only(
        self, it: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(process: object, table: object):  # type: ignore[no-untyped-def]
            async def serve(connection: Connection) -> None:
                raise RuntimeError("a bug of ours")

            return serve

        monkeypatch.setitem(behaviours.SPEAKERS.loaded, "broken", broken)
        container = await start(it, tcp=[{"port": 1, "speaks": "broken"}, {"port": 7, "echo": True}])
        assert await (await dial(it, container, 1)).hear() == b""
        assert await (await dial(it, container, 7)).say(b"still here") == b"still here"

    @given(
        name=st.sampled_from([*behaviours.SPEAKERS]),
        pieces=st.lists(st.binary(min_size=1, max_size=80), max_size=4),
    )
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    async def test_whatever_a_client_sends(self, it: Bench, name: str, pieces: list[bytes]) -> None:
        container = await start(it, tcp=[{"port": 5, "speaks": name}])
        source = container.sandbox.namespace
        connection = await it.kernel.call(it.machine.network.connect(source, "127.0.0.1", 5))
        for piece in pieces:
            if not connection.outgoing.reader_gone:
                await it.kernel.call(connection.outgoing.write(piece))
        connection.close()
        assert container.state is ContainerState.RUNNING
        container.kill()
