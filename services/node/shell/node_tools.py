"""Tools that show and switch the machine itself: systemctl, journalctl, free, df, uptime, reboot."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from services.node.shell.host import Host, Unit
from services.node.shell.tables import binary_size, human_duration
from services.runtime.processes import Process, Program

JOURNAL_SHOWN = 1000
_SHOWN_BY_UNIT = {"kubelet": ("node", "kubelet"), "containerd": ("runtime",)}
_OWN_KEYS = ("time", "level", "event", "component", "trace", "node")


def node_programs(host: Host) -> dict[str, Program]:
    """By name; each speaks of this machine."""

    async def systemctl(process: Process) -> int:
        return await _systemctl(host, process)

    async def journalctl(process: Process) -> int:
        return await _journalctl(host, process)

    async def free(process: Process) -> int:
        await process.write(_free(host, human="-h" in process.argv, mega="-m" in process.argv))
        return 0

    async def df(process: Process) -> int:
        await process.write(_df(host, human="-h" in process.argv, inodes="-i" in process.argv))
        return 0

    async def uptime(process: Process) -> int:
        now = process.container.kernel.clock.now()
        up = int((now - host.booted_at).total_seconds()) // 60
        text = f"{up // 60}:{up % 60:02d}" if up >= 60 else f"{up} min"
        await process.write(f" {now:%H:%M:%S} up {text},  1 user,  load average: 0.00, 0.00, 0.00\n")
        return 0

    async def reboot(process: Process) -> int:
        host.reboot()
        return 0

    async def nproc(process: Process) -> int:
        await process.write(f"{host.hardware.cpu}\n")
        return 0

    tools = {
        "systemctl": systemctl, "journalctl": journalctl, "free": free, "df": df, "uptime": uptime,
        "reboot": reboot, "nproc": nproc,
    }  # fmt: skip
    return dict(tools)


# ---- systemctl -------------------------------------------------------------------------------


async def _systemctl(host: Host, process: Process) -> int:
    words = [word for word in process.argv[1:] if not word.startswith("-")]
    verb, names = (words[0] if words else "list-units"), [w.removesuffix(".service") for w in words[1:]]
    if verb == "list-units":
        await process.write(_units(host))
        return 0
    if verb == "reboot":
        host.reboot()
        return 0
    if verb not in ("status", "start", "stop", "restart", "is-active"):
        await process.complain(f"Unknown command verb {verb}.")
        return 1
    if not names:
        await process.complain("Too few arguments.")
        return 1
    status = 0
    for name in names:
        unit = host.units.get(name)
        if unit is None:
            missing = f"Unit {name}.service could not be found."
            text = missing if verb == "status" else f"Failed to {verb} {name}.service: {missing}"
            await process.complain(text)
            return 4 if verb == "status" else 5
        status = await _on_unit(host, process, verb, name, unit)
    return status


async def _on_unit(host: Host, process: Process, verb: str, name: str, unit: Unit) -> int:
    if verb == "is-active":
        await process.write("active\n" if unit.active else "inactive\n")
        return 0 if unit.active else 3
    if verb == "status":
        await process.write(_status(host, process, name, unit))
        return 0 if unit.active else 3
    try:
        {"start": unit.start, "stop": unit.stop, "restart": unit.restart}[verb]()
    except PermissionError as error:
        await process.complain(f"Failed to {verb} {name}.service: {error}")
        return 1
    return 0


def _units(host: Host) -> str:
    lines = ["  UNIT                LOAD   ACTIVE   SUB     DESCRIPTION"]
    for name, unit in host.units.items():
        active, sub = ("active", "running") if unit.active else ("inactive", "dead")
        lines.append(f"  {name + '.service':<19} loaded {active:<8} {sub:<7} {unit.description}")
    return "\n".join(lines) + "\n"


def _status(host: Host, process: Process, name: str, unit: Unit) -> str:
    now = process.container.kernel.clock.now()
    state = "active (running)" if unit.active else "inactive (dead)"
    since = f"{unit.since:%a %Y-%m-%d %H:%M:%S} UTC"
    lines = [
        f"{'●' if unit.active else '○'} {name}.service - {unit.description}",
        f"     Loaded: loaded (/lib/systemd/system/{name}.service; enabled; preset: enabled)",
        f"     Active: {state} since {since}; {human_duration((now - unit.since).total_seconds())} ago",
    ]
    daemon = host.daemons.get(name)
    if unit.active and daemon is not None:
        lines.append(f"   Main PID: {daemon.pid} ({name})")
        lines.append(f"     CGroup: /system.slice/{name}.service")
        lines.append(f"             └─{daemon.pid} {' '.join(daemon.argv)}")
    tail = [_line(host, entry) for entry in host.events() if _is_of(entry, name)][-10:]
    return "\n".join([*lines, "", *tail]) + "\n"


# ---- journalctl ------------------------------------------------------------------------------


async def _journalctl(host: Host, process: Process) -> int:
    words = list(process.argv[1:])
    unit, last = "", JOURNAL_SHOWN
    while words:
        word = words.pop(0)
        if word in ("-u", "--unit", "-n", "--lines") and words:
            value = words.pop(0)
            if word in ("-u", "--unit"):
                unit = value.removesuffix(".service")
            elif value.isdigit():
                last = int(value)
        elif word.startswith("-u"):
            unit = word[2:]
        elif word.startswith("-n") and word[2:].isdigit():
            last = int(word[2:])
    if "-f" in process.argv:
        await process.complain(
            "journalctl: following is not emulated; `orrery logs -f` follows every component"
        )
    lines = [_line(host, entry) for entry in host.events() if not unit or _is_of(entry, unit)]
    if not lines:
        await process.write("-- No entries --\n")
        return 0
    await process.write("\n".join(lines[-last:] if last else []) + "\n")
    return 0


def _is_of(entry: dict[str, Any], unit: str) -> bool:
    return entry.get("component") in _SHOWN_BY_UNIT.get(unit, ())


def _line(host: Host, entry: dict[str, Any]) -> str:
    unit = next((u for u, names in _SHOWN_BY_UNIT.items() if entry.get("component") in names), "orrery")
    daemon = host.daemons.get(unit)
    moment = entry.get("time") or datetime.fromtimestamp(0, UTC)
    pairs = " ".join(f'{k}="{v}"' for k, v in entry.items() if k not in _OWN_KEYS and v not in (None, ""))
    head = f"{moment:%b %d %H:%M:%S} {host.name} {unit}[{daemon.pid if daemon else 1}]:"
    return f'{head} {entry.get("level", "info")[:1].upper()} "{entry.get("event", "")}" {pairs}'.rstrip()


# ---- free, df --------------------------------------------------------------------------------


def _free(host: Host, *, human: bool, mega: bool) -> str:
    total, used = host.memory_bytes, min(host.used_memory(), host.memory_bytes)
    cache = min(300 * 1024 * 1024, (total - used) // 2)
    numbers = (total, used, total - used - cache, 2 * 1024 * 1024, cache, total - used)
    divisor = 1024 * 1024 if mega else 1024
    shown = [binary_size(n) if human else str(n // divisor) for n in numbers]
    none = "0B" if human else "0"
    head = "               total        used        free      shared  buff/cache   available"
    first, rest = f"Mem:    {shown[0]:>12}", "".join(f"{text:>12}" for text in shown[1:])
    return f"{head}\n{first}{rest}\nSwap:   {none:>12}{none:>12}{none:>12}\n"


def _df(host: Host, *, human: bool, inodes: bool) -> str:
    if inodes:
        used = host.taken.get("inodes", 0) + 90_000
        return (
            "Filesystem      Inodes  IUsed   IFree IUse% Mounted on\n"
            f"/dev/vda1      {host.inodes:>7} {used:>6} {host.inodes - used:>7} "
            f"{100 * used // host.inodes:>4}% /\n"
        )
    total, used = host.disk_bytes, min(host.used_disk(), host.disk_bytes)
    percent = -(-100 * used // total)
    if human:
        size, taken, left = (binary_size(n).removesuffix("i") for n in (total, used, total - used))
        return (
            "Filesystem      Size  Used Avail Use% Mounted on\n"
            f"/dev/vda1      {size:>5} {taken:>5} {left:>5} {percent:>3}% /\n"
        )
    return (
        "Filesystem     1K-blocks     Used Available Use% Mounted on\n"
        f"/dev/vda1      {total // 1024:>9} {used // 1024:>8} {(total - used) // 1024:>9} {percent:>3}% /\n"
    )
