"""How long ago, as kubectl's AGE columns say it: coarser the longer it is.

Upstream: `k8s.io/apimachinery/pkg/util/duration` HumanDuration. Also the durations that people
type (`1h30m`, Go's syntax) and Go's way of printing them. Pure text and numbers.
"""

from __future__ import annotations

import re
from datetime import datetime

from services.machinery.clock import parse_time

UNKNOWN = "<unknown>"
SECONDS_OF = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h|[^\d.]+)?")


def human(seconds: float) -> str:
    """`4s`, `9m30s`, `324d`, `3y20d`: never more than two units."""
    whole = int(seconds)
    if whole < -1:  # Clocks of two machines may differ by a second; more is a fault worth showing.
        return "<invalid>"
    if whole < 0:
        return "0s"
    if whole < 120:
        return f"{whole}s"
    minutes, hours = whole // 60, whole // 3600
    days = hours // 24
    if minutes < 10:
        return _two(minutes, "m", whole % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        return _two(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    if days < 2920:
        return _two(days // 365, "y", days % 365, "d")
    return f"{days // 365}y"


def since(timestamp: str | None, now: datetime) -> str:
    """The age of an RFC 3339 time; `<unknown>` where there is none."""
    if not timestamp:
        return UNKNOWN
    return human((now - parse_time(timestamp)).total_seconds())


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large}{large_unit}{small}{small_unit}" if small else f"{large}{large_unit}"


def parse(text: str) -> float:
    """Seconds of a Go duration (`1m30s`, `-2h`, `0`). ValueError in Go's words."""
    sign, rest = 1.0, text
    if rest[:1] in ("-", "+"):
        sign, rest = (-1.0 if rest[0] == "-" else 1.0), rest[1:]
    if rest == "0":
        return 0.0
    total, position = 0.0, 0
    while position < len(rest):
        match = _PART.match(rest, position)
        if match is None:
            raise ValueError(f'time: invalid duration "{text}"')
        number, unit = match.groups()
        if unit is None:
            raise ValueError(f'time: missing unit in duration "{text}"')
        if unit not in SECONDS_OF:
            raise ValueError(f'time: unknown unit "{unit}" in duration "{text}"')
        total += float(number) * SECONDS_OF[unit]
        position = match.end()
    if not rest:
        raise ValueError(f'time: invalid duration "{text}"')
    return sign * total


def go(seconds: float) -> str:
    """Go's `Duration.String()`: `1m30s`, `500ms`, `0s`."""
    nanoseconds = round(abs(seconds) * 1e9)
    sign = "-" if seconds < 0 else ""
    if nanoseconds == 0:
        return "0s"
    for unit, scale in (("ns", 1), ("µs", 1000), ("ms", 1_000_000)):
        if nanoseconds < min(scale * 1000, 1_000_000_000):
            return f"{sign}{_decimal(nanoseconds, scale)}{unit}"
    minutes, rest = divmod(nanoseconds, 60_000_000_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{_decimal(rest, 1_000_000_000)}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    return f"{sign}{hours}h{text}" if hours else f"{sign}{text}"


def _decimal(value: int, scale: int) -> str:
    whole, rest = divmod(value, scale)
    digits = str(rest).rjust(len(str(scale)) - 1, "0").rstrip("0") if rest else ""
    return f"{whole}.{digits}" if digits else str(whole)
