"""`orrery logs`: the kept lines of the components, merged by time, and then the new ones."""

from __future__ import annotations

import heapq
import re
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain

from services.launcher import control
from services.launcher.home import Home
from services.launcher.up import Printer

_JSON_TIME = re.compile(r'"(?:time|ts)":"\d{4}-\d\d-\d\dT(\d\d:\d\d:\d\d\.\d{3})')


def show(home: Home, components: Sequence[str], *, follow: bool, tail: int | None) -> int:
    known = home.read().get("components", [])
    unknown = [name for name in components if name not in known]
    if unknown:
        print(f"orrery: no component {unknown[0]!r}; there are {', '.join(known) or 'none'}", file=sys.stderr)
        return 1
    printer = Printer(colour=sys.stdout.isatty())
    chosen = list(components) or known
    for _, name, line in heapq.merge(*(kept(home, name, tail) for name in chosen), key=lambda item: item[0]):
        print(printer.render(name, line))
    if follow:
        sys.stdout.flush()
        for answer in control.stream(home, {"command": "follow", "components": list(components)}):
            print(printer.render(answer["component"], answer["line"]), flush=True)
    return 0


def kept(home: Home, component: str, tail: int | None) -> Iterator[tuple[str, str, str]]:
    """(time, component, line) in order; a line without a time of its own belongs to the one before."""
    path = home.log_of(component)
    lines: Iterator[str] = chain.from_iterable(_read(file) for file in (path.with_suffix(".log.1"), path))
    if tail is not None:
        lines = iter(deque(lines, maxlen=tail))
    moment = ""
    for line in lines:
        moment = time_of(line) or moment
        yield moment, component, line


def time_of(line: str) -> str:
    """A line's time of day to the millisecond, in either format; empty when it has none."""
    if line[:2].isdigit() and line[2:3] == ":":
        return line[:12]
    match = _JSON_TIME.search(line) if line.startswith("{") else None
    return match[1] if match else ""


def _read(path: object) -> Iterator[str]:
    try:
        with open(str(path), encoding="utf-8", errors="replace") as file:
            for line in file:
                yield line.rstrip("\n")
    except (FileNotFoundError, NotADirectoryError):
        return
