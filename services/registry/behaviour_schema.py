"""What a behaviour may say: every field with its shape, checked when it is read.

`check` raises BadBehaviour with one line that names the field: `http[0].port: a number is wanted`. The
nodes (services/runtime/behaviour.py) act on what passes here and need not check again. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[str, object], None]
DEPTH_MAX = 10
TEXT_LENGTH_MAX = 256 * 1024
SECONDS_MAX = 366 * 86_400.0
MEBIBYTES_MAX = 1024.0 * 1024
_PLACE = re.compile(r"\$\{[\w.-]+(:-[^}]*)?\}")


class BadBehaviour(Exception):
    """One line: where, and what is wrong."""


def text(where: str, value: object) -> None:
    if not isinstance(value, str):
        raise BadBehaviour(f"{where}: a text is wanted (put it in quotes)")
    if len(value) > TEXT_LENGTH_MAX:
        raise BadBehaviour(f"{where}: the text is too long")


def scalar(where: str, value: object) -> None:
    """A text, or a number that means one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        text(where, value)


def flag(where: str, value: object) -> None:
    if not isinstance(value, bool):
        raise BadBehaviour(f"{where}: true or false is wanted")


def number(low: float, high: float) -> Check:
    def check_number(where: str, value: object) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise BadBehaviour(f"{where}: a number from {low:g} to {high:g} is wanted")

    return check_number


def port(where: str, value: object) -> None:
    """A number, or a text that is filled in on the node: ${flag.port:-8080}."""
    if isinstance(value, str) and (_PLACE.fullmatch(value) or value.isdigit()):
        return
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 65535:
        raise BadBehaviour(f"{where}: a port from 1 to 65535 is wanted")


def one_of(*names: str) -> Check:
    def check_name(where: str, value: object) -> None:
        if value not in names:
            raise BadBehaviour(f"{where}: one of {', '.join(names)} is wanted")

    return check_name


def path(where: str, value: object) -> None:
    if not isinstance(value, str) or not value.startswith(("/", "${")):
        raise BadBehaviour(f"{where}: an absolute path is wanted")


def paths(where: str, value: object) -> None:
    """The one executable that acts like this, or its several names."""
    (list_of(path) if isinstance(value, list) else path)(where, value)


def or_nothing(inner: Check) -> Check:
    return lambda where, value: None if value is None else inner(where, value)


def list_of(inner: Check) -> Check:
    def check_list(where: str, value: object) -> None:
        if not isinstance(value, list) or len(value) > 1000:
            raise BadBehaviour(f"{where}: a list is wanted")
        for at, one in enumerate(value):
            inner(f"{where}[{at}]", one)

    return check_list


def table_of(inner: Check) -> Check:
    def check_table(where: str, value: object) -> None:
        for name, one in _table(where, value).items():
            inner(f"{where}.{name}", one)

    return check_table


def fields(known: Mapping[str, Check], required: tuple[str, ...] = ()) -> Check:
    def check_fields(where: str, value: object) -> None:
        table = _table(where, value)
        for name, one in table.items():
            if name not in known:
                raise BadBehaviour(f"{where}: unknown field {str(name)!r}")
            known[name](f"{where}.{name}", one)
        for name in required:
            if name not in table:
                raise BadBehaviour(f"{where}: {name} is missing")

    return check_fields


def _table(where: str, value: object) -> Mapping[Any, object]:
    if not isinstance(value, Mapping):
        raise BadBehaviour(f"{where}: a table is wanted")
    return value


def signal(where: str, value: object) -> None:
    if value != "ignore":
        fields({"code": code, "seconds": seconds, "log": lines})(where, value)


def headers(where: str, value: object) -> None:
    table_of(text)(where, value)
    for name, one in _table(where, value).items():
        if not re.fullmatch(r"[A-Za-z0-9-]+", str(name)) or re.search(r"[\r\n]", str(one)):
            raise BadBehaviour(f"{where}.{name}: this cannot be a header")


seconds, code, lines = number(0, SECONDS_MAX), number(0, 255), list_of(text)
status, count = number(100, 599), number(0, 1e9)
RESPONSE: dict[str, Check] = {"status": status, "body": text, "headers": headers}
ROUTE: dict[str, Check] = {
    **RESPONSE,
    "path": text,
    "prefix": flag,
    "method": text,
    "proxy": text,
    "failure": fields({**RESPONSE, "log": lines}),
}
FAILS_AFTER: dict[str, Check] = {**RESPONSE, "requests": count, "seconds": seconds}
NEED: dict[str, Check] = {
    "host": text,
    "port": port,
    "error": lines,
    "exitCode": code,
    "retrySeconds": seconds,
    "attempts": count,
}
# By name: services/runtime/behaviours has them.
ACTORS = ("coredns", "ingress-nginx", "stress")
SPEAKERS = ("grpc-health", "memcached", "mongodb", "mysql", "postgres", "redis")
TCP: dict[str, Check] = {
    "port": port,
    "greeting": text,
    "echo": flag,
    "hangs": flag,
    "speaks": one_of(*SPEAKERS),
    "version": text,
    "status": text,
    "services": table_of(text),
    "notServingAfterSeconds": seconds,
}
HTTP: dict[str, Check] = {
    **RESPONSE,
    "port": port,
    "fromPod": flag,
    "defaultPort": port,
    "root": path,
    "index": text,
    "routes": list_of(fields(ROUTE)),
    "failsAfter": fields(FAILS_AFTER),
    "hangs": flag,
    "hangsAfter": fields({"requests": count, "seconds": seconds}),
    "cpuMillisecondsPerRequest": number(0, 1e6),
    "leakKibibytesPerRequest": number(0, 1e6),
    "errors": table_of(text),
    "delaySeconds": seconds,
    "log": text,
}
FIELDS: dict[str, Check] = {
    "program": paths,
    "arguments": lines,
    "answers": table_of(text),
    "needs": list_of(fields(NEED, ("host", "port"))),
    "startSeconds": seconds,
    "log": lines,
    "http": list_of(fields(HTTP)),
    "acts": one_of(*ACTORS),
    "requires": list_of(fields({"env": text, "file": path, "error": lines, "exitCode": code})),
    "tcp": list_of(fields(TCP, ("port",))),
    "steps": list_of(fields({"seconds": seconds, "log": text})),
    "every": list_of(fields({"seconds": seconds, "log": text}, ("log",))),
    "exit": fields({
        "afterSeconds": seconds,
        "code": code,
        "signal": text,
        "log": lines,
        "termination": text,
        "terminationPath": path,
    }),
    "disk": fields({
        "mebibytes": number(0, MEBIBYTES_MAX),
        "growMebibytesPerSecond": number(0, MEBIBYTES_MAX),
    }),
    "signals": table_of(signal),
    "memory": fields({
        "mebibytes": number(0, MEBIBYTES_MAX),
        "growMebibytesPerSecond": number(0, MEBIBYTES_MAX),
    }),
    "cpu": fields({"millicores": number(0, 1_000_000)}),
    "portTaken": text,
}  # fmt: skip
# In a case, null takes a field away.
CASE: dict[str, Check] = {name: or_nothing(inner) for name, inner in FIELDS.items() if name != "program"}


def check(where: str, behaviour: object) -> None:
    """Raises BadBehaviour."""
    if isinstance(behaviour, Mapping) and "cases" in behaviour and "arguments" in behaviour:
        raise BadBehaviour(f"{where}: arguments are those of each case")
    known = {**FIELDS, "cases": list_of(fields(CASE, ("arguments",)))}
    fields(known, ("program",))(where, behaviour)
