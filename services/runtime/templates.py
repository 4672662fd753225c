"""`${…}` in behaviours: hostname, ip, env.NAME, flag.NAME of the command line, arg.N, time, and what the
occasion adds (client, path, …)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.runtime.processes import Process

_PLACE = re.compile(r"\$\{([\w.-]+)(?::-([^}]*))?\}")


def fill(template: str, process: Process, values: Mapping[str, str] | None = None) -> str:
    """Unknown names become their default (`${env.NAME:-default}`) or nothing."""
    if "${" not in template:
        return template

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if values is not None and name in values:
            return values[name]
        return _known(name, process) or match[2] or ""

    return _PLACE.sub(value, template)


def _known(name: str, process: Process) -> str:
    container = process.container
    if name == "hostname":
        return container.hostname
    if name == "ip":
        return container.sandbox.ip
    if name == "pid":
        return str(process.pid)
    if name == "image":
        return container.config.user_image
    if name == "node":
        return container.machine.name
    if name.startswith("env."):
        return process.env.get(name[4:], "")
    if name.startswith("flag."):
        return _flag(name[5:], process.argv)
    if name.startswith("arg.") and name[4:].isdigit():
        return dict(enumerate(process.argv)).get(int(name[4:]), "")
    moment = container.kernel.clock.now()
    if name == "time":
        return f"{moment:%Y-%m-%dT%H:%M:%S.%fZ}"
    if name == "date":
        return f"{moment:%a %b} {moment.day:2d} {moment:%H:%M:%S} UTC {moment:%Y}"
    if name == "clf":
        return f"{moment:%d/%b/%Y:%H:%M:%S +0000}"
    if name == "slashed":
        return f"{moment:%Y/%m/%d %H:%M:%S}"
    return ""


def _flag(name: str, argv: Sequence[str]) -> str:
    """`--name=value`, `--name value`, and both with one dash."""
    for at, word in enumerate(argv):
        flag, equals, value = word.partition("=")
        if word.startswith("-") and flag.lstrip("-") == name:
            return value if equals else next(iter(argv[at + 1 : at + 2]), "")
    return ""
