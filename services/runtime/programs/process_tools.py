"""Tools about processes, identity, time and the machine."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

from services.runtime import launch
from services.runtime.dialect import Dialect
from services.runtime.kernel import Future
from services.runtime.model import SIGKILL, SIGNALS, SIGTERM, signal_number
from services.runtime.processes import Process, Program
from services.runtime.programs.find import run
from services.runtime.programs.listing import owner
from services.runtime.programs.options import busybox as busybox_tools
from services.runtime.programs.options import options
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
        await process.complain("sleep: missing operand")
        return 1
    total = 0.0
    for word in process.argv[1:]:
        seconds = seconds_of(word)
        if seconds is None:
            await process.complain(f"sleep: invalid number '{word}'")
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


# What each kill says: without operands and with which status, no such process, no such signal, no number.
KILL_WORDS = {
    Dialect.DASH: (
        "Usage: kill [-s sigspec | -signum | -sigspec] [pid | job]... or\nkill -l [exitstatus]", 2,
        "No such process\n", "Illegal option -{0[0]}", "Illegal number: {}", 2,
    ),
    Dialect.ASH: (
        "you need to specify whom to kill", 1, "can't kill pid {}: No such process", "bad signal name '{}'",
        "invalid number '{}'", 1,
    ),
    Dialect.BASH: (
        "usage: kill [-s sigspec | -n signum | -sigspec] pid | jobspec ... or kill -l [sigspec]", 2,
        "({}) - No such process", "{}: invalid signal specification",
        "{}: arguments must be process or job IDs", 1,
    ),
}  # fmt: skip


async def kill_processes(
    process: Process,
    words: Sequence[str],
    complain: Callable[[str], Awaitable[None]],
    wording: tuple[str, int, str, str, str, int],
) -> int:
    rest = list(words)
    if rest and rest[0] == "-l":
        return await _list_signals(process, rest[1:])
    name = "TERM"
    if rest and rest[0] in ("-s", "-n") and len(rest) > 1:
        name, rest = rest[1], rest[2:]
    elif rest and rest[0].startswith("-") and len(rest[0]) > 1 and rest[0] != "--":
        name, rest = rest[0][1:], rest[1:]
    if rest[:1] == ["--"]:
        rest.pop(0)
    number = 0 if name == "0" else signal_number(name)
    if number is None:
        await complain(wording[3].format(name))
        return wording[5]
    if not rest:
        await complain(wording[0])
        return wording[1]
    status = 0
    for word in rest:
        table = process.container.processes.alive
        if word == "-1":
            targets = [one for one in table.values() if one.pid not in (1, process.pid)]
        elif word.lstrip("-").isdigit() and int(word.lstrip("-")[:9]) in table:
            targets = [table[int(word.lstrip("-")[:9])]]
        else:
            await complain((wording[2] if word.lstrip("-").isdigit() else wording[4]).format(word))
            status = 1
            continue
        for target in targets:
            # The kernel does not let process 1 be killed from inside.
            if not (number == SIGKILL and target.pid == 1):
                target.signal(number)
    await process.sleep(0)  # who signals itself does not go on
    return status


async def _list_signals(process: Process, words: Sequence[str]) -> int:
    names = {number: name for name, number in reversed(SIGNALS.items())}
    for word in words:
        number = int(word[:5]) if word.isdigit() else signal_number(word)
        if word.isdigit() and number is not None:
            number = number - 128 if number > 128 else number
            await process.write(f"{names.get(number, number)}\n")
        elif number is not None:
            await process.write(f"{number}\n")
        else:
            return 1
    if not words:
        listed = (f"{number:2d}) {name}" for number, name in sorted(names.items()))
        await process.write("\n".join(listed) + "\n")
    return 0


async def kill(process: Process) -> int:
    dialect = Dialect.ASH if busybox_tools(process) else Dialect.BASH
    return await kill_processes(
        process, process.argv[1:], lambda words: process.complain(f"kill: {words}"), KILL_WORDS[dialect]
    )


async def killall(process: Process) -> int:
    words = [word for word in process.argv[1:] if not word.startswith("-")]
    number = next((signal_number(word[1:]) or 15 for word in process.argv[1:] if word.startswith("-")), 15)
    hit = False
    for row in list(process.container.processes.alive.values()):
        if row is not process and row.argv[0].rpartition("/")[2] in words:
            hit = True
            row.signal(number)
    return 0 if hit else 1


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
        else:
            break
    if words:
        process.env = values
        return await run(process, words)
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
        "ud:s:I:R",
        words=[w if w != "-I" else "-Idate" for w in process.argv[1:]],
        long={"utc": "u", "date": "d"},
    )
    moment = process.container.kernel.clock.now().astimezone(UTC)
    if "d" in found:
        shifted = _parse_date(found["d"], moment)
        if shifted is None:
            await process.complain(f"date: invalid date '{found['d']}'")
            return 1
        moment = shifted
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


async def timeout(process: Process) -> int:
    found, words = {}, list(process.argv[1:])
    while words and words[0].startswith("-"):
        option = words.pop(0)
        if option in ("-s", "-k", "-t") and words:
            found[option[1]] = words.pop(0)
    seconds = seconds_of(words[0]) if words else None
    if seconds is None or len(words) < 2:
        await process.complain("timeout: invalid time interval")
        return 125
    container = process.container
    try:
        program = launch.find(container, tuple(words[1:]), process.env, process.cwd)
    except OSError:
        await process.complain(f"timeout: can't execute '{words[1]}': No such file or directory")
        return 127
    child = container.start_process(
        tuple(words[1:]), program, process, process.env, process.cwd, process.streams
    )
    late = False

    def end() -> None:
        nonlocal late
        late = not child.exit.done
        child.signal(signal_number(found.get("s", "TERM")) or SIGTERM)

    timer = container.kernel.timer(seconds)
    timer.future.on_done(end)
    status = await child.exit
    timer.cancel()
    return 124 if late and not container.filesystem.exists("/bin/busybox") else 143 if late else status


async def tty(process: Process) -> int:
    await process.write("/dev/pts/0\n" if process.stdin.terminal else "not a tty\n")
    return 0 if process.stdin.terminal else 1


async def pwd(process: Process) -> int:
    await process.write(process.cwd + "\n")
    return 0


async def sync(process: Process) -> int:
    return 0


async def busybox(process: Process) -> int:
    words = process.argv[1:]
    if not words:
        await process.write("BusyBox v1.37.0 multi-call binary.\n")
        return 0
    return await run(process, words)


PROGRAMS: dict[str, Program] = {
    "sleep": sleep, "usleep": sleep, "pause": pause, "ps": ps, "kill": kill, "killall": killall, "env": env,
    "printenv": printenv, "hostname": hostname, "date": date, "id": id_, "whoami": whoami, "uname": uname,
    "uptime": uptime, "free": free, "nproc": nproc, "which": which, "timeout": timeout, "tty": tty,
    "pwd": pwd,
    "sync": sync, "busybox": busybox, "nice": busybox, "nohup": busybox,
}  # fmt: skip
