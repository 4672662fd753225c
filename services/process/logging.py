"""What a component says: one line an event, a sentence first, then `key=value` pairs.

    12:41:03.120 scheduler  INFO  Scheduled the Pod  kind=Pod namespace=default name=kubia  trace=9f3c21aa

`info` tells the story and is silent when nothing happens; heartbeats and retries that work out
are `debug`. The trace id comes from the running task's cause (`services.machinery.trace`), so
that one request can be followed through all components: text shows its first eight digits,
JSON all of them. Calls are synchronous: a line costs a few microseconds, an await would cost ten times that.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any, TextIO

import orjson

# structlog's console renderer, which we do not use, imports rich and all that it brings where
# that is installed: 80 ms and 6 MB for every process.
_withheld = {name: sys.modules.setdefault(name, None) for name in ("rich", "better_exceptions")}  # type: ignore[arg-type]

import structlog  # noqa: E402

for _name, _module in _withheld.items():
    if _module is None:
        del sys.modules[_name]

from services.machinery import trace  # noqa: E402
from services.machinery.clock import Clock  # noqa: E402

Logger = structlog.typing.FilteringBoundLogger
EventDict = MutableMapping[str, Any]

TRACE_DIGITS = 8
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_COLOURS = {"debug": "\x1b[2m", "info": "\x1b[32m", "warning": "\x1b[33m", "error": "\x1b[31m"}
_DIM, _BOLD, _RESET = "\x1b[2m", "\x1b[1m", "\x1b[0m"
_PLAIN = re.compile(r"[!#-<>-~]{0,200}").fullmatch  # what most values are: nothing to quote or to cut
_VALUE_LENGTH_MAX = 2000  # a longer value is cut: one bad request must not fill a disk


def configure(clock: Clock, *, level: str = "info", form: str = "text", stream: TextIO | None = None) -> None:
    """Sets up the process's logging; called once, before the first line. Logs go to stderr."""
    out = stream or sys.stderr
    colour = form == "text" and out.isatty()
    render = _render_json if form == "json" else _TextRenderer(colour)

    def stamp(_: Any, method: str, event: EventDict) -> EventDict:
        event["level"] = method
        event["time"] = clock.now()
        return event

    structlog.configure(
        processors=[stamp, _add_trace, structlog.processors.format_exc_info, render],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        # One write for a line and its end: whoever reads the pipe wakes once.
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=True,
    )


def get_logger(component: str) -> Logger:
    """A logger whose lines say which component speaks."""
    logger: Logger = structlog.get_logger(component=component)
    return logger


def _add_trace(_: Any, __: str, event: EventDict) -> EventDict:
    identifier = event.get("trace") or trace.trace_id()
    if identifier:
        event["trace"] = identifier
    return event


def _render_json(_: Any, __: str, event: EventDict) -> str:
    event["message"] = event.pop("event", "")
    event["time"] = event["time"].isoformat(timespec="microseconds").replace("+00:00", "Z")
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


class _TextRenderer:
    def __init__(self, colour: bool) -> None:
        self._colour = colour

    def __call__(self, _: Any, __: str, event: EventDict) -> str:
        moment: datetime = event.pop("time")
        level, component = event.pop("level"), event.pop("component", "-")
        sentence, identifier = event.pop("event", ""), event.pop("trace", "")
        exception = event.pop("exception", "")
        pairs = _pairs(event)
        if identifier:
            pairs += f"  trace={identifier[:TRACE_DIGITS]}"
        clock_text = (
            (moment if moment.tzinfo is UTC else moment.astimezone(UTC)).time().isoformat("milliseconds")
        )
        if self._colour:
            line = (
                f"{_DIM}{clock_text}{_RESET} {_BOLD}{component:<18}{_RESET} {_COLOURS.get(level, '')}"
                f"{level.upper():<7}{_RESET} {sentence}{_DIM}{pairs}{_RESET}"
            )
        else:
            line = f"{clock_text} {component:<18} {level.upper():<7} {sentence}{pairs}"
        return f"{line}\n{exception}" if exception else line


def _pairs(values: Mapping[str, Any]) -> str:
    words = [f"{key}={_quoted(value)}" for key, value in values.items() if value not in (None, "")]
    return "  " + " ".join(words) if words else ""


def _quoted(value: Any) -> str:
    text = value if type(value) is str else str(value)
    if _PLAIN(text):
        return text
    if len(text) > _VALUE_LENGTH_MAX:
        text = text[:_VALUE_LENGTH_MAX] + "…"
    if text.isprintable() and " " not in text and '"' not in text and "=" not in text:
        return text
    return (
        '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r") + '"'
    )
