"""Tools that run other commands: timeout, watch, nohup, nice, time, busybox, logger and what only says no."""

from __future__ import annotations

from services.runtime import launch
from services.runtime.model import SIGHUP, SIGKILL, SIGTERM, signal_number
from services.runtime.opening import open_file
from services.runtime.processes import Process, Program
from services.runtime.programs.find import run
from services.runtime.programs.input import tool
from services.runtime.programs.options import BANNER, busybox, options, usage
from services.runtime.programs.process_tools import seconds_of
from services.runtime.streams import read_all

TIMEOUT = "[-s SIG] [-k KILL_SECS] SECS PROG ARGS"
LOG_BYTES_MAX = 64 * 1024


async def timeout(process: Process) -> int:
    found, words = dict[str, str](), list(process.argv[1:])
    while words and words[0].startswith("-") and len(words[0]) > 1:
        option = words.pop(0)
        if option[:2] in ("-s", "-k", "-t"):
            found[option[1]] = option[2:] or (words.pop(0) if words else "")
    seconds = seconds_of(words[0]) if words else None
    if len(words) < 2:
        raise await usage(process, TIMEOUT, 1 if busybox(process) else 125)
    if seconds is None:
        named = f"invalid number '{words[0]}'" if busybox(process) else f"invalid time interval ‘{words[0]}’"
        await process.complain(f"timeout: {named}")
        return 1 if busybox(process) else 125
    container = process.container
    try:
        program = launch.find(container, tuple(words[1:]), process.env, process.cwd)
    except OSError:
        named = f"can't execute '{words[1]}'" if busybox(process) else f"failed to run command ‘{words[1]}’"
        await process.complain(f"timeout: {named}: No such file or directory")
        return 127
    child = container.start_process(
        tuple(words[1:]), program, process, process.env, process.cwd, process.streams
    )
    number = signal_number(found.get("s", "TERM")) or SIGTERM
    late = False

    def end() -> None:
        nonlocal late
        late = not child.exit.done
        child.signal(number)

    timers = [container.kernel.timer(seconds)]
    timers[0].future.on_done(end)
    grace = seconds_of(found["k"]) if "k" in found else None
    if grace is not None:
        timers.append(container.kernel.timer(seconds + grace))
        timers[1].future.on_done(lambda: child.signal(SIGKILL))
    try:
        status = await child.exit
    finally:
        for timer in timers:
            timer.cancel()
    if busybox(process) and late:
        if number == SIGTERM and status == 128 + number:
            process.end(status)  # it waits in the place of its child, and ends as that does
            await process.sleep(0)
        return status
    return 124 if late and number != SIGKILL else status


async def watch(process: Process) -> int:
    words, seconds, title = list(process.argv[1:]), 2.0, True
    while words and words[0].startswith("-"):
        option = words.pop(0)
        title = title and "t" not in option
        if option.startswith("-n"):
            given = option[2:] or (words.pop(0) if words else "")
            seconds = max(seconds_of(given) or 2.0, 0.1)
    if not words:
        raise await usage(process, "[-n SEC] [-t] PROG ARGS")
    while True:
        now = process.container.kernel.clock.now()
        head = f"Every {seconds:.1f}s: {' '.join(words)}\t{now:%Y-%m-%d %H:%M:%S}\n\n" if title else ""
        await process.write(f"\x1b[H\x1b[J{head}")
        await run(process, ["sh", "-c", " ".join(words)])
        await process.sleep(seconds)


async def plain(process: Process) -> int:
    """busybox TOOL, nice, setsid, stdbuf: what follows runs."""
    words = list(process.argv[1:])
    name = tool(process)
    while name != "busybox" and words and words[0].startswith("-"):
        option = words.pop(0)
        if option == "-n" and words:
            words.pop(0)
    if not words:
        await process.write(f"{BANNER}\n" if name == "busybox" else "0\n")
        return 0
    if name == "busybox" and words[0] in ("--list", "--help"):
        own = sorted(one for one in process.container.machine.programs if one not in ("bash", "dash", "curl"))
        await process.write("\n".join(own) + "\n")
        return 0
    if name == "busybox" and words[0] not in process.container.machine.programs:
        await process.complain(f"{words[0]}: applet not found")
        return 127
    return await run(process, words)


async def nohup(process: Process) -> int:
    if len(process.argv) < 2:
        raise await usage(process, "PROG ARGS", 1 if busybox(process) else 125)
    process.handlers[SIGHUP] = None
    if process.streams[1].terminal if 1 in process.streams else False:
        process.streams[1] = open_file(process, "nohup.out", ">>")
        await process.complain("nohup: appending output to nohup.out")
    return await run(process, process.argv[1:], quoted=True)


async def time(process: Process) -> int:
    words = [word for word in process.argv[1:] if word not in ("-p", "-v")]
    clock = process.container.kernel.clock
    begun = clock.monotonic()
    status = await run(process, words, quoted=True) if words else 0
    minutes, seconds = divmod(clock.monotonic() - begun, 60)
    await process.complain(f"real\t{minutes:.0f}m {seconds:.2f}s\nuser\t0m 0.00s\nsys\t0m 0.00s")
    return status


async def logger(process: Process) -> int:
    """There is no log daemon in a container: what is logged is lost, as it is there; -s shows it."""
    found, operands = await options(process, "st:p:f:i", synopsis="[-s] [-t TAG] [-p PRIO] [MESSAGE]")
    text = " ".join(operands)
    if not operands:
        text = (await read_all(process.stdin, LOG_BYTES_MAX)).decode("utf-8", "replace").rstrip("\n")
    if "s" in found:
        await process.complain(f"{found.get('t', 'root')}: {text}")
    return 0


async def clear(process: Process) -> int:
    await process.write("\x1b[H\x1b[J")
    return 0


async def factor(process: Process) -> int:
    for word in process.argv[1:]:
        if not word.isascii() or not word.isdigit() or int(word[:12]) < 1 or len(word) > 10:
            await process.complain(f"factor: invalid number '{word}'")
            return 1
        number, divisor, found = int(word), 2, list[str]()
        while divisor * divisor <= number:
            while number % divisor == 0:
                found.append(str(divisor))
                number //= divisor
            divisor += 1
        found += [str(number)] if number > 1 else []
        await process.write(f"{word}: {' '.join(found)}\n")
    return 0


async def top(process: Process) -> int:
    """One picture of what runs; without -b it is drawn again every other second."""
    flags = "".join(process.argv[1:])
    while True:
        rows = sorted(process.container.processes.alive.values(), key=lambda one: one.pid)
        lines = [
            f"{row.pid:5d} {row.parent:5d} root     {'R' if row is process else 'S'}     1024   0%   0% "
            + " ".join(row.argv)
            for row in rows
        ]
        screen = "" if "b" in flags else "\x1b[H\x1b[J"
        await process.write(
            f"{screen}Mem: 1048576K used, 7340032K free, 0K shrd, 0K buff, 0K cached\n"
            "CPU:   0% usr   0% sys   0% nic 100% idle   0% io   0% irq   0% sirq\n"
            f"Load average: 0.00 0.00 0.00 1/{len(rows)} {process.pid}\n"
            "  PID  PPID USER     STAT   VSZ %VSZ %CPU COMMAND\n" + "\n".join(lines) + "\n"
        )
        if "b" in flags or "n1" in flags:
            return 0
        await process.sleep(2.0)


async def package_manager(process: Process) -> int:
    name = tool(process)
    await process.complain(
        f"{name}: the emulated container has no package index: what its image holds is all there is\n"
        f"{name}: choose another image, or push one of your own (`images` lists what there is)"
    )
    return 1


async def editor(process: Process) -> int:
    name = tool(process)
    await process.complain(
        f"{name}: full-screen editors are not emulated\n"
        f"{name}: use cat > FILE <<EOF, echo >> FILE or sed -i to change files here"
    )
    return 1


PROGRAMS: dict[str, Program] = {
    "timeout": timeout, "watch": watch, "busybox": plain, "nice": plain, "setsid": plain, "stdbuf": plain,
    "ionice": plain, "nohup": nohup, "time": time, "logger": logger, "clear": clear, "reset": clear,
    "factor": factor, "top": top,
    **dict.fromkeys(("apk", "apt", "apt-get", "yum", "dnf", "microdnf"), package_manager),
    **dict.fromkeys(("vi", "vim", "nano", "emacs"), editor),
}  # fmt: skip
