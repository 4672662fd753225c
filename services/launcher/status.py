"""`orrery status`: one line a process, with what it costs this machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HEAD = ("COMPONENT", "STATE", "PID", "ADDRESS", "UPTIME", "RESTARTS", "MEMORY", "CPU")


def table(components: Sequence[dict[str, Any]]) -> str:
    rows = [HEAD, *(_row(component) for component in components)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    return "\n".join(
        "   ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows
    )


def _row(component: dict[str, Any]) -> tuple[str, ...]:
    pid = component["pid"]
    return (
        component["name"],
        component["state"],
        str(pid or "-"),
        component["address"] or "-",
        _duration(component["uptime_seconds"]),
        str(component["restarts"]),
        _memory(pid),
        _cpu(pid),
    )


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    whole = int(seconds)
    if whole < 120:
        return f"{whole}s"
    return f"{whole // 60}m" if whole < 7200 else f"{whole // 3600}h"


def _memory(pid: int | None) -> str:
    """Proportional set size: shared pages count once over all processes. Linux only."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return "-"
    kilobytes = next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return f"{kilobytes / 1024:.0f}MiB"


def _cpu(pid: int | None) -> str:
    """Processor time used since the process started."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "-"
    return f"{(int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK'):.1f}s"
