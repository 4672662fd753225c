"""Tools about processes, identity, time and the machine."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from services.runtime import launch
from services.runtime.kernel import Future
from services.runtime.model import SIGTERM
from services.runtime.processes import Process, Program
from services.runtime.programs.find import run
from services.runtime.programs.input import path_of, words_of
from services.runtime.programs.listing import owner
from services.runtime.programs.options import busybox as busybox_tools
from services.runtime.programs.options import options, refuse, usage
from services.runtime.system_files import KERNEL

_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)([smhd]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds_of(text: str) -> float | None:
    if text in ("infinity", "inf"):
        return float("inf")
    match = _DURATION.fullmatch(text)
    return float(match[1]) * _SECONDS[match[2]] if match else None


async def sleep(process: Process) -> int:
    if len(process.argv) < 2:
        raise await usage(process, "[N]...")
    total = 0.0
    for word in process.argv[1:]:
        seconds = seconds_of(word)
        if seconds is None:
            if busybox_tools(process):
                await process.complain(f"sleep: invalid number '{word}'")
            else:
                await process.complain(
                    f"sleep: invalid time interval ‘{word}’\nTry 'sleep --help' for more information."
                )
            return 1
        total += seconds
    if total == float("inf"):
        await Future[None]()
    await process.sleep(total)
    return 0


async def pause(process: Process) -> int:
    process.handlers[SIGTERM] = lambda _: process.end(0)
    await Future[None]()
    return 0


async def ps(process: Process) -> int:
    words = process.argv[1:]
    wide = any("a" in word or "u" in word or "x" in word for word in words if not word.startswith("-"))
    full = any(word.startswith("-") and ("f" in word or "F" in word) for word in words)
    table = process.container.processes.alive
    busybox = process.container.filesystem.exists("/bin/busybox")
    rows = sorted(table.values(), key=lambda one: one.pid)
    if busybox:
        await process.write("PID   USER     TIME  COMMAND\n")
        await process.write(
            "".join(
                f"{row.pid:5d} {owner(process, row.uid):<8} {_time(process, row)} {_command(row)}\n"
                for row in rows
            )
        )
    elif wide:
        await process.write("USER         PID %CPU %MEM    VSZ   RSS TTY      STAT START   TIME COMMAND\n")
        await process.write("".join(_wide(process, row) for row in rows))
    elif full:
        await process.write("UID          PID    PPID  C STIME TTY          TIME CMD\n")
        lines = [
            f"{owner(process, row.uid):<8} {row.pid:7d} {row.parent:7d}  0 {_start(row)} "
            f"{_tty(row):<8} 00:00:00 {_command(row)}\n"
            for row in rows
        ]
        await process.write("".join(lines))
    else:
        await process.write("    PID TTY          TIME CMD\n")
        await process.write(
            "".join(
                f"{row.pid:7d} {_tty(row):<8} 00:00:00 {row.argv[0].rpartition('/')[2]}\n" for row in rows
            )
        )
    return 0


def _wide(process: Process, row: Process) -> str:
    state = "R+" if row is process else "Ss" if row.pid == 1 else "S"
    memory = process.container.usage.memory(process.container.now_seconds()) // 1024 if row.pid == 1 else 1024
    return (
        f"{owner(process, row.uid):<8} {row.pid:7d}  0.0  0.0 {memory + 2048:6d} {memory:5d} {_tty(row):<8} "
        f"{state:<4} {_start(row)}   0:00 {_command(row)}\n"
    )


def _command(row: Process) -> str:
    return " ".join(row.argv)


def _tty(row: Process) -> str:
    return "pts/0" if row.stdin.terminal else "?"


def _start(row: Process) -> str:
    return f"{datetime.fromtimestamp(row.started_at, UTC):%H:%M}"


def _time(process: Process, row: Process) -> str:
    return "  0:00"


async def env(process: Process) -> int:
    words, values = list(process.argv[1:]), dict(process.env)
    while words:
        if words[0] in ("-i", "-"):
            values.clear()
            words.pop(0)
        elif words[0] == "-u" and len(words) > 1:
            values.pop(words[1], None)
            words = words[2:]
        elif "=" in words[0] and not words[0].startswith("-"):
            name, _, value = words.pop(0).partition("=")
            values[name] = value
        elif words[0].startswith("-") and len(words[0]) > 1 and words[0] not in ("--", "-0"):
            await refuse(
                process,
                f"invalid option -- '{words[0][1]}'",
                "[-i0] [-u NAME]... [NAME=VALUE]... [PROG ARGS]",
                1 if busybox_tools(process) else 125,
            )
        else:
            words = words[1:] if words[0] in ("--", "-0") else words
            break
    if words:
        process.env = values
        return await run(process, words, quoted=True)
    await process.write("".join(f"{name}={value}\n" for name, value in values.items()))
    return 0


async def printenv(process: Process) -> int:
    if len(process.argv) == 1:
        return await env(process)
    status = 0
    for name in process.argv[1:]:
        if name in process.env:
            await process.write(process.env[name] + "\n")
        else:
            status = 1
    return status


async def hostname(process: Process) -> int:
    if process.argv[1:] in (("-i",), ("-I",)):
        await process.write(f"{process.container.sandbox.ip}{' ' if process.argv[1] == '-I' else ''}\n")
        return 0
    if len(process.argv) > 1 and not process.argv[1].startswith("-"):
        await process.complain("hostname: sethostname: Operation not permitted")
        return 1
    await process.write(process.container.hostname + "\n")
    return 0


async def date(process: Process) -> int:
    found, operands = await options(
        process,
        "ud:s:I:Rr:",
        words=[w if w != "-I" else "-Idate" for w in process.argv[1:]],
        long={"utc": "u", "date": "d", "iso-8601": "I", "reference": "r", "rfc-3339": "I"},
    )
    moment = process.container.kernel.clock.now().astimezone(UTC)
    if "d" in found:
        shifted = _parse_date(found["d"], moment)
        if shifted is None:
            await process.complain(f"date: invalid date '{found['d']}'")
            return 1
        moment = shifted
    if "r" in found:
        try:
            modified = process.container.filesystem.lookup(path_of(process, found["r"])).modified
        except OSError as error:
            await process.complain(f"date: {found['r']}: {words_of(error)}")
            return 1
        moment = datetime.fromtimestamp(modified, UTC)
    if "I" in found:
        await process.write(
            f"{moment:%Y-%m-%d}\n" if found["I"] == "date" else f"{moment:%Y-%m-%dT%H:%M:%S+00:00}\n"
        )
        return 0
    form = operands[0][1:] if operands and operands[0].startswith("+") else "%a %b %e %H:%M:%S UTC %Y"
    form = form.replace("%s", str(int(moment.timestamp()))).replace("%N", f"{moment.microsecond * 1000:09d}")
    form = (
        form.replace("%e", f"{moment.day:2d}")
        .replace("%F", "%Y-%m-%d")
        .replace("%T", "%H:%M:%S")
        .replace("%R", "%H:%M")
    )
    await process.write(moment.strftime(form) + "\n")
    return 0


def _parse_date(text: str, now: datetime) -> datetime | None:
    if text.startswith("@") and text[1:].isdigit():
        return datetime.fromtimestamp(int(text[1:11]), UTC)
    match = re.fullmatch(r"([-+]?\d{1,6}) (second|minute|hour|day|week)s?( ago)?", text)
    if match:
        amount = int(match[1]) * (-1 if match[3] else 1)
        try:
            return now + timedelta(**{match[2] + "s": amount})
        except OverflowError:
            return None
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return now if text == "now" else None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


async def id_(process: Process) -> int:
    found, _ = await options(process, "ugnGr")
    user, group = owner(process, process.uid), owner(process, process.gid, "/etc/group")
    if "u" in found:
        text = user if "n" in found else str(process.uid)
    elif found.keys() & {"g", "G"}:
        text = group if "n" in found else str(process.gid)
    else:
        named = [f"{key}={number}({name})" if name != str(number) else f"{key}={number}"
                 for key, number, name in (("uid", process.uid, user), ("gid", process.gid, group),
                                           ("groups", process.gid, group))]  # fmt: skip
        text = " ".join(named)
    await process.write(text + "\n")
    return 0


async def whoami(process: Process) -> int:
    name = owner(process, process.uid)
    if name == str(process.uid):
        await process.complain(f"whoami: unknown uid {process.uid}")
        return 1
    await process.write(name + "\n")
    return 0


async def uname(process: Process) -> int:
    found, _ = await options(process, "asnrvmpio")
    parts = {
        "s": "Linux",
        "n": process.container.hostname,
        "r": KERNEL,
        "v": "#1 SMP",
        "m": "x86_64",
        "o": "GNU/Linux",
    }
    wanted = list(parts) if "a" in found else [letter for letter in parts if letter in found] or ["s"]
    await process.write(" ".join(parts[letter] for letter in wanted) + "\n")
    return 0


async def uptime(process: Process) -> int:
    now = process.container.kernel.clock.now()
    await process.write(f" {now:%H:%M:%S} up 1 day,  0 users,  load average: 0.00, 0.00, 0.00\n")
    return 0


async def free(process: Process) -> int:
    total = 8 * 1024 * 1024
    used = process.container.usage.memory(process.container.now_seconds()) // 1024
    await process.write("              total        used        free      shared  buff/cache   available\n")
    await process.write(
        f"Mem:     {total:10d}  {used:10d}  {total - used:10d}           0           0  {total - used:10d}\n"
    )
    return 0


async def nproc(process: Process) -> int:
    await process.write("2\n")
    return 0


async def which(process: Process) -> int:
    status = 0
    for name in process.argv[1:]:
        try:
            await process.write(launch.search(process.container, name, process.env, process.cwd) + "\n")
        except OSError:
            status = 1
    return status


async def tty(process: Process) -> int:
    await process.write("/dev/pts/0\n" if process.stdin.terminal else "not a tty\n")
    return 0 if process.stdin.terminal else 1


async def pwd(process: Process) -> int:
    await process.write(process.cwd + "\n")
    return 0


async def sync(process: Process) -> int:
    return 0


PROGRAMS: dict[str, Program] = {
    "sleep": sleep, "usleep": sleep, "pause": pause, "ps": ps, "env": env,
    "printenv": printenv, "hostname": hostname, "date": date, "id": id_, "whoami": whoami, "uname": uname,
    "uptime": uptime, "free": free, "nproc": nproc, "which": which, "tty": tty,
    "pwd": pwd,
    "sync": sync,
}  # fmt: skip
