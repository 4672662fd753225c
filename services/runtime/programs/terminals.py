"""stty: the size of the window that a process runs in. Modes are taken, and change nothing."""

from __future__ import annotations

from itertools import pairwise

from services.runtime.processes import Process, Program
from services.runtime.programs.options import busybox
from services.runtime.terminal import Terminal


async def stty(process: Process) -> int:
    terminal = process.stdin
    words = process.argv[1:]
    if not isinstance(terminal, Terminal):
        said = "standard input" if busybox(process) else "'standard input'"
        await process.complain(f"stty: {said}: Inappropriate ioctl for device")
        return 1
    if words == ("size",):
        await process.write(f"{terminal.rows} {terminal.columns}\n")
    elif not words or words == ("-a",):
        size = f" rows {terminal.rows}; columns {terminal.columns};" if words else ""
        await process.write(f"speed 38400 baud;{size} line = 0;\n")
    for name, value in pairwise(words):
        if value.isdigit() and name in ("rows", "cols", "columns"):
            rows = int(value[:5]) if name == "rows" else terminal.rows
            terminal.resize(terminal.columns if name == "rows" else int(value[:5]), rows)
    return 0


PROGRAMS: dict[str, Program] = {"stty": stty}
