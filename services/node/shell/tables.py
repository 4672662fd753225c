"""Columns and durations as the tools of a node print them.

`table` is Go's tabwriter with the settings that crictl (20, 3) and docker (10, 3) use; `ago` is
go-units' HumanDuration, `size` its HumanSize. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence


def table(rows: Sequence[Sequence[str]], *, least: int, padding: int = 3) -> str:
    """Every column but the last is as wide as its widest cell and the padding, and at least `least`."""
    if not rows:
        return ""
    columns = len(rows[0])
    widths = [max(least, max(len(row[i]) for row in rows) + padding) for i in range(columns - 1)]
    lines = ["".join(cell.ljust(width) for cell, width in zip(row, widths)) + row[-1] for row in rows]
    return "\n".join(lines) + "\n"


def human_duration(seconds: float) -> str:
    whole = int(seconds)
    if whole < 1:
        return "Less than a second"
    if whole == 1:
        return "1 second"
    if whole < 60:
        return f"{whole} seconds"
    minutes = whole // 60
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    hours = round(whole / 3600)
    if hours == 1:
        return "About an hour"
    if hours < 48:
        return f"{hours} hours"
    if hours < 24 * 7 * 2:
        return f"{hours // 24} days"
    if hours < 24 * 30 * 2:
        return f"{hours // 24 // 7} weeks"
    if hours < 24 * 365 * 2:
        return f"{hours // 24 // 30} months"
    return f"{hours // 24 // 365} years"


def ago(then_nanoseconds: int, now_seconds: float) -> str:
    return f"{human_duration(max(0.0, now_seconds - then_nanoseconds / 1e9))} ago"


def human_size(number: float, precision: int = 3) -> str:
    """Powers of 1000, some significant digits: 72.9MB."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if number < 1000 or unit == "TB":
            return f"{number:.{precision}g}{unit}"
        number /= 1000
    raise AssertionError("unreachable")


def binary_size(number: float) -> str:
    """Powers of 1024 as `free -h` and `df -h` print them: 7.8Gi, 98G."""
    for unit in ("B", "Ki", "Mi", "Gi"):
        if number < 1024 or unit == "Gi":
            return f"{number:.0f}{unit}" if number >= 10 or unit == "B" else f"{number:.1f}{unit}"
        number /= 1024
    raise AssertionError("unreachable")
