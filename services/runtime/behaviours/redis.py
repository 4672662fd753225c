"""A small Redis: RESP and inline commands on one keyspace in memory, saved to /data/dump.rdb.

Strings, lists, sets and hashes with the commands that tutorials use; the words of errors are Redis'.
`SAVE`, `BGSAVE` and `SHUTDOWN` write the keyspace into the container's file, which is read again at
the start, so that a volume keeps it (the file is JSON: no real server could read it). Bounded: a
request of 1 MiB, 8 MiB and 100,000 keys in all; what is more gets Redis' own out-of-memory error.
"""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from services.runtime.behaviours.redis_keyspace import Keyspace
from services.runtime.behaviours.redis_wire import (
    OK,
    REQUEST_BYTES_MAX,
    WORDS_MAX,
    Refused,
    Reply,
    Simple,
    encode,
    encode_error,
    take_request,
)
from services.runtime.model import SIGTERM
from services.runtime.network import Connection, StreamHandler
from services.runtime.processes import Process

DUMP = "/data/dump.rdb"
VERSION = "8.2.1"
NOT_INTEGER = "ERR value is not an integer or out of range"


def redis(process: Process, table: Mapping[str, Any]) -> StreamHandler:
    space = Keyspace(process.container.now_seconds)
    filesystem = process.container.filesystem
    if filesystem.exists(DUMP):
        space.load(filesystem.read(DUMP))
    words = list(process.argv)
    secret = words[words.index("--requirepass") + 1] if "--requirepass" in words[:-1] else ""

    _save_at_the_end(process, space)

    async def serve(connection: Connection) -> None:
        session = Session(process, space, secret.encode())
        buffer = bytearray()
        while not session.over:
            try:
                request = take_request(buffer)
            except Refused as refusal:
                await connection.outgoing.write(encode_error(str(refusal)))
                return
            if request is not None:
                if request:
                    await connection.outgoing.write(session.answer(request))
                continue
            data = await connection.incoming.read(65536)
            if not data:
                return
            buffer += data

    return serve


def _save_at_the_end(process: Process, space: Keyspace) -> None:
    """As the real one, it saves before it heeds SIGTERM, if there is anything to save."""
    heed = process.handlers.get(SIGTERM)
    if heed is None:
        return

    def save_and_heed(number: int) -> None:
        if space.values:
            with suppress(Refused):
                Session(process, space, b"").do_save()
        heed(number)

    process.handlers[SIGTERM] = save_and_heed


# -- the commands -----------------------------------------------------------------------------


class Session:
    """One client. A command is a method `do_NAME`; `_ARGUMENTS` says how many words it takes."""

    def __init__(self, process: Process, space: Keyspace, secret: bytes) -> None:
        self._process, self._space, self._secret = process, space, secret
        self._allowed = not secret
        self.over = False

    def answer(self, words: list[bytes]) -> bytes:
        name = words[0].decode("latin-1").lower()
        least, most = _ARGUMENTS.get(name, (0, -1))
        try:
            if most == -1:
                shown = " ".join(f"'{word.decode('utf-8', 'replace')[:128]}'" for word in words[1:21])
                called = words[0].decode("utf-8", "replace")[:128]
                raise Refused(f"ERR unknown command '{called}', with args beginning with: {shown}")
            if not least <= len(words) - 1 <= most:
                raise Refused(f"ERR wrong number of arguments for '{name}' command")
            if not self._allowed and name not in ("auth", "quit", "hello"):
                raise Refused("NOAUTH Authentication required.")
            return encode(getattr(self, f"do_{name}")(*words[1:]))
        except Refused as refusal:
            return encode_error(str(refusal))

    def do_ping(self, text: bytes | None = None) -> Reply:
        return Simple("PONG") if text is None else text

    def do_echo(self, text: bytes) -> Reply:
        return text

    def do_auth(self, first: bytes, second: bytes | None = None) -> Reply:
        if not self._secret:
            raise Refused(
                "ERR AUTH <password> called without any password configured for the default user. "
                "Are you sure your configuration is correct?"
            )
        if (second or first) != self._secret:
            raise Refused("WRONGPASS invalid username-password pair or user is disabled.")
        self._allowed = True
        return OK

    def do_quit(self) -> Reply:
        self.over = True
        return OK

    def do_select(self, number: bytes) -> Reply:
        if _integer(number) != 0:
            raise Refused("ERR DB index is out of range")
        return OK

    def do_client(self, *words: bytes) -> Reply:
        return OK

    def do_command(self, *words: bytes) -> Reply:
        return []

    def do_config(self, verb: bytes, *names: bytes) -> Reply:
        return [] if verb.lower() == b"get" else OK

    def do_info(self, *sections: bytes) -> Reply:
        uptime = int(self._space.now() - self._process.started_at)
        return (
            f"# Server\r\nredis_version:{VERSION}\r\nredis_mode:standalone\r\nuptime_in_seconds:{uptime}\r\n"
            f"\r\n# Memory\r\nused_memory:{self._space.size + 1_000_000}\r\n"
            "\r\n# Replication\r\nrole:master\r\nconnected_slaves:0\r\n\r\n# Keyspace\r\n"
            f"db0:keys={len(self._space.values)},expires={len(self._space.expires)},avg_ttl=0\r\n"
        ).encode()

    def do_time(self) -> Reply:
        now = self._space.now()
        return [b"%d" % int(now), b"%d" % int(now % 1 * 1e6)]

    def do_save(self) -> Reply:
        filesystem = self._process.container.filesystem
        try:
            filesystem.make_directories("/data")
            filesystem.write(DUMP, self._space.dump(), modified=self._space.now())
        except OSError:
            raise Refused("ERR Error while saving, check the server log") from None
        return OK

    def do_bgsave(self) -> Reply:
        self.do_save()
        return Simple("Background saving started")

    def do_shutdown(self, how: bytes = b"") -> Reply:
        if how.lower() != b"nosave":
            self.do_save()
        self.over = True
        self._process.end(0)
        return OK

    # strings

    def do_get(self, key: bytes) -> Reply:
        value: bytes | None = self._space.get(key, bytes)
        return value

    def do_set(self, key: bytes, value: bytes, *options: bytes) -> Reply:
        words = [word.upper() for word in options]
        expires: float | None = None
        if b"EX" in words or b"PX" in words:
            unit = b"EX" if b"EX" in words else b"PX"
            at = words.index(unit) + 1
            if at >= len(words):
                raise Refused("ERR syntax error")
            span = _integer(words[at])
            if span <= 0:
                raise Refused("ERR invalid expire time in 'set' command")
            expires = self._space.now() + (span if unit == b"EX" else span / 1000)
            del words[at - 1 : at + 1]
        if any(word not in (b"NX", b"XX", b"KEEPTTL") for word in words):
            raise Refused("ERR syntax error")
        there = self._space.alive(key)
        if (b"NX" in words and there) or (b"XX" in words and not there):
            return None
        self._space.put(key, value, len(value))
        if b"KEEPTTL" not in words:
            self._space.expires.pop(key, None)
        if expires is not None:
            self._space.expires[key] = expires
        return OK

    def do_getset(self, key: bytes, value: bytes) -> Reply:
        old = self.do_get(key)
        self._space.put(key, value, len(value))
        return old

    def do_mget(self, *keys: bytes) -> Reply:
        values = (self._space.get(key, object) for key in keys)
        return [value if isinstance(value, bytes) else None for value in values]

    def do_mset(self, *words: bytes) -> Reply:
        if len(words) % 2:
            raise Refused("ERR wrong number of arguments for 'mset' command")
        for key, value in _pairs(words):
            self._space.put(key, value, len(value))
        return OK

    def do_append(self, key: bytes, text: bytes) -> Reply:
        value = (self._space.get(key, bytes) or b"") + text
        if len(value) > REQUEST_BYTES_MAX:
            raise Refused("ERR string exceeds maximum allowed size (proto-max-bulk-len)")
        self._space.put(key, value, len(text))
        return len(value)

    def do_strlen(self, key: bytes) -> Reply:
        return len(self._space.get(key, bytes) or b"")

    def do_incrby(self, key: bytes, step: bytes) -> Reply:
        return self._add(key, _integer(step))

    def do_decrby(self, key: bytes, step: bytes) -> Reply:
        return self._add(key, -_integer(step))

    def do_incr(self, key: bytes) -> Reply:
        return self._add(key, 1)

    def do_decr(self, key: bytes) -> Reply:
        return self._add(key, -1)

    def _add(self, key: bytes, step: int) -> int:
        old = self._space.get(key, bytes)
        total = _integer(old if old is not None else b"0") + step
        if abs(total) >= 2**63:
            raise Refused("ERR increment or decrement would overflow")
        self._space.put(key, b"%d" % total, 0 if old is not None else 8)
        return total

    # keys

    def do_del(self, *keys: bytes) -> Reply:
        return sum(self._space.alive(key) and self._space.delete(key) for key in keys)

    do_unlink = do_del

    def do_exists(self, *keys: bytes) -> Reply:
        return sum(self._space.alive(key) for key in keys)

    def do_keys(self, pattern: bytes) -> Reply:
        wanted = pattern.decode("latin-1")
        names = [key for key in [*self._space.values] if self._space.alive(key)]
        return [key for key in names if fnmatch.fnmatchcase(key.decode("latin-1"), wanted)]

    def do_scan(self, cursor: bytes, *options: bytes) -> Reply:
        words = [*options, b"*"]
        pattern = next((b for a, b in _pairs(words) if a.upper() == b"MATCH"), b"*")
        return [b"0", self.do_keys(pattern)]

    def do_dbsize(self) -> Reply:
        return len(self._space.values)

    def do_flushall(self, *how: bytes) -> Reply:
        self._space.values.clear()
        self._space.expires.clear()
        self._space.size = 0
        return OK

    do_flushdb = do_flushall

    def do_type(self, key: bytes) -> Reply:
        value = self._space.get(key, object)
        names: dict[type, str] = {bytes: "string", list: "list", set: "set", dict: "hash"}
        return Simple(names.get(type(value), "none"))

    def do_rename(self, old: bytes, new: bytes) -> Reply:
        value = self._space.get(old, object)
        if value is None:
            raise Refused("ERR no such key")
        self._space.delete(old)
        self._space.put(new, value, 0)
        return OK

    def do_expire(self, key: bytes, seconds: bytes) -> Reply:
        span = _integer(seconds)
        if not self._space.alive(key):
            return 0
        self._space.expires[key] = self._space.now() + span
        return 1

    def do_persist(self, key: bytes) -> Reply:
        return int(self._space.alive(key) and self._space.expires.pop(key, None) is not None)

    def do_ttl(self, key: bytes) -> Reply:
        if not self._space.alive(key):
            return -2
        due = self._space.expires.get(key)
        return -1 if due is None else math.ceil(due - self._space.now())

    # lists

    def do_rpush(self, key: bytes, *items: bytes) -> Reply:
        return self._push(key, items, front=False)

    def do_lpush(self, key: bytes, *items: bytes) -> Reply:
        return self._push(key, items, front=True)

    def _push(self, key: bytes, items: tuple[bytes, ...], *, front: bool) -> int:
        held = self._space.collection(key, list)
        self._space.put(key, held, sum(map(len, items)) + 8 * len(items))
        for item in items:
            held.insert(0, item) if front else held.append(item)
        return len(held)

    def do_lpop(self, key: bytes) -> Reply:
        return self._pop(key, 0)

    def do_rpop(self, key: bytes) -> Reply:
        return self._pop(key, -1)

    def _pop(self, key: bytes, at: int) -> Reply:
        held = self._space.get(key, list)
        if not held:
            return None
        item: bytes = held.pop(at)
        self._space.drop_if_empty(key)
        return item

    def do_lrange(self, key: bytes, first: bytes, last: bytes) -> Reply:
        held = self._space.get(key, list) or []
        start, stop = _integer(first), _integer(last)
        start = max(start + len(held) if start < 0 else start, 0)
        stop = stop + len(held) if stop < 0 else stop
        return list(held[start : stop + 1])

    def do_llen(self, key: bytes) -> Reply:
        return len(self._space.get(key, list) or ())

    # sets

    def do_sadd(self, key: bytes, *items: bytes) -> Reply:
        held = self._space.collection(key, set)
        new = {*items} - held
        self._space.put(key, held, sum(map(len, new)) + 8 * len(new))
        held |= new
        return len(new)

    def do_srem(self, key: bytes, *items: bytes) -> Reply:
        held = self._space.get(key, set) or set()
        gone = held & {*items}
        held -= gone
        self._space.drop_if_empty(key)
        return len(gone)

    def do_smembers(self, key: bytes) -> Reply:
        return sorted(self._space.get(key, set) or ())

    def do_scard(self, key: bytes) -> Reply:
        return len(self._space.get(key, set) or ())

    def do_sismember(self, key: bytes, item: bytes) -> Reply:
        return int(item in (self._space.get(key, set) or ()))

    # hashes

    def do_hset(self, key: bytes, *words: bytes) -> Reply:
        if len(words) % 2:
            raise Refused("ERR wrong number of arguments for 'hset' command")
        held = self._space.collection(key, dict)
        self._space.put(key, held, sum(map(len, words)))
        before = len(held)
        held.update(_pairs(words))
        return len(held) - before

    def do_hget(self, key: bytes, name: bytes) -> Reply:
        found: bytes | None = (self._space.get(key, dict) or {}).get(name)
        return found

    def do_hgetall(self, key: bytes) -> Reply:
        return [word for pair in (self._space.get(key, dict) or {}).items() for word in pair]

    def do_hkeys(self, key: bytes) -> Reply:
        return [*(self._space.get(key, dict) or {})]

    def do_hlen(self, key: bytes) -> Reply:
        return len(self._space.get(key, dict) or ())

    def do_hdel(self, key: bytes, *names: bytes) -> Reply:
        held = self._space.get(key, dict) or {}
        gone = sum(held.pop(name, None) is not None for name in names)
        self._space.drop_if_empty(key)
        return gone

    def do_hincrby(self, key: bytes, name: bytes, step: bytes) -> Reply:
        held = self._space.collection(key, dict)
        total = _integer(held.get(name, b"0")) + _integer(step)
        held[name] = b"%d" % total
        return total


def _integer(text: bytes) -> int:
    try:
        value = int(text[:21])
    except ValueError:
        raise Refused(NOT_INTEGER) from None
    if abs(value) >= 2**63:
        raise Refused(NOT_INTEGER)
    return value


def _pairs(words: tuple[bytes, ...] | list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    return zip(words[::2], words[1::2], strict=False)


_MANY = WORDS_MAX
# How many arguments each command takes, at least and at most.
_ARGUMENTS: dict[str, tuple[int, int]] = {
    name: bounds
    for names, bounds in {
        "quit dbsize save bgsave time": (0, 0),
        "ping shutdown": (0, 1),
        "client command info flushall flushdb": (0, _MANY),
        "echo select get strlen incr decr keys type persist ttl": (1, 1),
        "lpop rpop llen smembers scard hgetall hkeys hlen": (1, 1),
        "auth": (1, 2),
        "mget del unlink exists scan config": (1, _MANY),
        "getset append incrby decrby rename expire sismember hget": (2, 2),
        "set mset rpush lpush sadd srem hdel": (2, _MANY),
        "lrange hincrby": (3, 3),
        "hset": (3, _MANY),
    }.items()
    for name in names.split()
}
