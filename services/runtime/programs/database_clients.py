"""Clients of databases, as far as probes and tutorials use them: redis-cli, pg_isready, mysqladmin ping.

`redis-cli` sends its words (or each line of its input) and prints the reply as the real one does: bare
where nobody watches, with types on a terminal. The others only ask whether somebody answers.
"""

from __future__ import annotations

import errno
import os

from services.runtime.network import Connection
from services.runtime.processes import Process, Program
from services.runtime.streams import read_all

INPUT_BYTES_MAX = 1024 * 1024
REPLY_BYTES_MAX = 4 * 1024 * 1024
NESTING_MAX = 8


async def _dial(process: Process, host: str, port: int) -> Connection:
    """OSError; ENOENT for a name that is not known."""
    network, source = process.container.machine.network, process.container.sandbox.namespace
    addresses = await network.resolve(source, host)
    if not addresses:
        raise OSError(errno.ENOENT, "Name or service not known")
    return await network.connect(source, addresses[0], port)


def _options(words: list[str], with_value: str) -> tuple[dict[str, str], list[str]]:
    """`-h host` and the like up to the first word that is no option, and the words from there on."""
    names = frozenset(with_value.split())
    found: dict[str, str] = {}
    at = 0
    while at < len(words) and words[at].startswith("-") and words[at] != "-":
        name, equals, value = words[at].lstrip("-").partition("=")
        if not equals and not words[at].startswith("--") and len(name) > 1 and name[0] in names:
            name, value = name[0], name[1:]
        elif not equals and name in names and at + 1 < len(words):
            at += 1
            value = words[at]
        found[name] = value
        at += 1
    return found, words[at:]


# -- redis-cli --------------------------------------------------------------------------------


async def redis_cli(process: Process) -> int:
    options, words = _options(list(process.argv[1:]), "h p a n")
    host, port = options.get("h", "127.0.0.1"), options.get("p", "6379")
    try:
        connection = await _dial(process, host, int(port))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "Invalid argument"
        text = (
            reason
            if not isinstance(error, OSError) or error.errno == errno.ENOENT
            else os.strerror(error.errno or 0)
        )
        await process.complain(f"Could not connect to Redis at {host}:{port}: {text}")
        return 1
    client = _RedisClient(process, connection)
    try:
        secret = options.get("a") or process.env.get("REDISCLI_AUTH")
        if secret:
            await client.ask(["AUTH", secret])
        if words:
            return await client.tell(words)
        for line in (await read_all(process.stdin, INPUT_BYTES_MAX)).decode("utf-8", "replace").splitlines():
            if line.strip() in ("quit", "exit"):
                break
            if line.strip():
                await client.tell(line.split())
        return 0
    finally:
        connection.close()


class _RedisClient:
    def __init__(self, process: Process, connection: Connection) -> None:
        self._process, self._connection = process, connection
        self._buffer = bytearray()
        self._typed = process.streams[1].terminal if 1 in process.streams else False

    async def tell(self, words: list[str]) -> int:
        """Sends one command and prints its reply. 1 when the server refused it or has gone."""
        reply = await self.ask(words)
        if reply is None:
            await self._process.complain("Error: Server closed the connection")
            return 1
        await self._process.write(reply if reply.endswith("\n") else reply + "\n")
        return int(reply.startswith(("ERR ", "(error) ")))

    async def ask(self, words: list[str]) -> str | None:
        parts = [word.encode("utf-8", "surrogateescape") for word in words]
        request = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        try:
            await self._connection.outgoing.write(request)
        except BrokenPipeError:
            return None
        return await self._reply(0, "")

    async def _reply(self, depth: int, indent: str) -> str | None:
        line = await self._take_line()
        if line is None or depth > NESTING_MAX:
            return None
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest.decode("utf-8", "replace")
        if kind == b"-":
            text = rest.decode("utf-8", "replace")
            return f"(error) {text}" if self._typed else text + "\n"
        if kind == b":":
            return f"(integer) {rest.decode()}" if self._typed else rest.decode("ascii", "replace")
        size = int(rest) if rest.lstrip(b"-").isdigit() else -1
        if size < 0:
            return "(nil)" if self._typed else ""
        if kind == b"$":
            data = await self._take(size + 2)
            if data is None:
                return None
            text = data[:-2].decode("utf-8", "replace")
            return (
                '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
                if self._typed
                else text
            )
        return await self._list(size, depth, indent)

    async def _list(self, size: int, depth: int, indent: str) -> str | None:
        if not size:
            return "(empty array)" if self._typed else ""
        rows, width = [], len(str(size))
        for number in range(1, min(size, 100_000) + 1):
            mark = f"{number:>{width}}) "
            item = await self._reply(depth + 1, indent + " " * len(mark))
            if item is None:
                return None
            rows.append((mark if self._typed else "") + item)
        return f"\n{indent if self._typed else ''}".join(rows)

    async def _take_line(self) -> bytes | None:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if not await self._more():
                return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    async def _take(self, size: int) -> bytes | None:
        while len(self._buffer) < size:
            if not await self._more():
                return None
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    async def _more(self) -> bool:
        data = await self._connection.incoming.read(65536) if len(self._buffer) < REPLY_BYTES_MAX else b""
        self._buffer += data
        return bool(data)


# -- who only ask whether it is there ---------------------------------------------------------


async def pg_isready(process: Process) -> int:
    options, _ = _options(list(process.argv[1:]), "h p U d t host port username dbname timeout")
    host = options.get("h") or options.get("host") or process.env.get("PGHOST", "")
    port = options.get("p") or options.get("port") or process.env.get("PGPORT", "5432")
    shown = f"{host or '/var/run/postgresql'}:{port}"
    try:
        (await _dial(process, host or "127.0.0.1", int(port))).close()
    except (OSError, ValueError):
        await process.write(f"{shown} - no response\n")
        return 2
    await process.write(f"{shown} - accepting connections\n")
    return 0


async def mysqladmin(process: Process) -> int:
    options, words = _options(
        [word for word in process.argv[1:] if not word.startswith("-p")], "h u P host user port"
    )
    words += [
        word for word in process.argv[1:] if word in ("ping", "status", "version") and word not in words
    ]
    host, port = (
        options.get("h") or options.get("host") or "localhost",
        options.get("P") or options.get("port") or "3306",
    )
    try:
        (await _dial(process, host, int(port))).close()
    except (OSError, ValueError):
        shown = "localhost" if host == "localhost" else host
        await process.complain(f"mysqladmin: connect to server at '{shown}' failed")
        await process.complain(
            "error: 'Can't connect to local MySQL server through socket '/var/run/mysqld/mysqld.sock' (2)'"
            if host == "localhost" else f"error: 'Can't connect to MySQL server on '{host}:{port}' (111)'"
        )  # fmt: skip
        return 1
    if "ping" in words:
        await process.write("mysqld is alive\n")
        return 0
    await process.complain("mysqladmin: only `ping` is emulated")
    return 1


async def mongosh(process: Process) -> int:
    """`--eval` of a ping answers; there is no query language behind it."""
    try:
        (await _dial(process, "127.0.0.1", 27017)).close()
    except OSError:
        await process.complain("MongoNetworkError: connect ECONNREFUSED 127.0.0.1:27017")
        return 1
    if any("ping" in word or "hello" in word for word in process.argv[1:]):
        await process.write("{ ok: 1 }\n")
        return 0
    await process.complain("mongosh: only db.adminCommand('ping') is emulated")
    return 1


PROGRAMS: dict[str, Program] = {
    "redis-cli": redis_cli,
    "pg_isready": pg_isready,
    **dict.fromkeys(("mysqladmin", "mariadb-admin"), mysqladmin),
    **dict.fromkeys(("mongosh", "mongo"), mongosh),
}
