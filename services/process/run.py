"""How a component runs as a process: flags, logging, the event loop, signals, the exit code.

SIGTERM and SIGINT cancel `serve` once, which then has its own time to leave in order; a second
one ends the process at once. A component that cannot go on raises `Fatal`: one line, exit code 1.
What a component did not foresee is logged with its stack, since it is our fault, and ends the
process too: whoever started it starts it again, and it finds its state in the API server.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import resource
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from random import Random, SystemRandom

import uvloop

from services.machinery.clock import Clock
from services.process.clock import SystemClock
from services.process.logging import LEVELS, Logger, configure, get_logger

# A younger generation this large means a collection per some thousand objects, not per 700:
# caches hold many objects that live long, and frozen structs cannot form cycles.
GC_THRESHOLDS = (50_000, 20, 50)
FILES_MAX = 65_536
FORMATS = ("text", "json")


class Fatal(Exception):
    """Ends the process with exit code 1 and this one sentence in the log."""


@dataclass(frozen=True)
class Process:
    """What every component is handed at start: the only sources of time and randomness, and its voice."""

    component: str
    clock: Clock
    random: Random
    log: Logger


Serve = Callable[[argparse.Namespace, Process], Awaitable[None]]


def run(
    component: str,
    serve: Serve,
    add_flags: Callable[[argparse.ArgumentParser], None] = lambda parser: None,
    argv: Sequence[str] | None = None,
) -> int:
    """Runs `serve` until it returns, fails or is told to stop. Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog=f"python -m services.{component.replace('-', '_')}",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--bind-address", default="127.0.0.1", help="address to listen on")
    _add_log_flag(parser, "--log-format", FORMATS, os.environ.get("ORRERY_LOG_FORMAT", "text"))
    _add_log_flag(parser, "--log-level", tuple(LEVELS), os.environ.get("ORRERY_LOG_LEVEL", "info"))
    add_flags(parser)
    flags = parser.parse_args(argv)
    clock = SystemClock()
    configure(clock, level=flags.log_level, form=flags.log_format)
    process = Process(component, clock, Random(SystemRandom().getrandbits(64)), get_logger(component))
    gc.set_threshold(*GC_THRESHOLDS)
    _take_files()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_supervise(serve, flags, process))


def _add_log_flag(parser: argparse.ArgumentParser, flag: str, known: Sequence[str], default: str) -> None:
    """argparse holds what the environment gives as a default against types, and not against choices."""

    def one_of(text: str) -> str:
        if text not in known:
            listed = ", ".join(map(repr, known))
            raise argparse.ArgumentTypeError(f"invalid choice: {text!r} (choose from {listed})")
        return text

    parser.add_argument(flag, type=one_of, metavar="{" + ",".join(known) + "}", default=default)


def _take_files() -> None:
    """As many open files as the system allows: each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_MAX if hard == resource.RLIM_INFINITY else min(hard, FILES_MAX)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # a system that promises more than it gives
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _supervise(serve: Serve, flags: argparse.Namespace, process: Process) -> int:
    loop = asyncio.get_running_loop()
    main = asyncio.ensure_future(serve(flags, process))
    stopping = False

    def stop(number: signal.Signals) -> None:
        nonlocal stopping
        if stopping:
            os._exit(128 + number)
        stopping = True
        process.log.debug("Stopping", signal=number.name)
        main.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    try:
        await main
    except asyncio.CancelledError:
        if not stopping:
            raise
        process.log.info("Stopped")
    except BaseException as error:
        return _report(error, process)
    return 0


def _report(error: BaseException, process: Process) -> int:
    fatal = _find(error, Fatal)
    if fatal is not None:
        process.log.error(str(fatal))
    else:
        process.log.error("Ended by an error that nobody handled", exc_info=error)
    sys.stderr.flush()
    return 1


def _find(error: BaseException, kind: type[BaseException]) -> BaseException | None:
    """The first exception of that kind in a tree of exception groups."""
    if isinstance(error, kind):
        return error
    if isinstance(error, BaseExceptionGroup):
        return next((found for inner in error.exceptions if (found := _find(inner, kind))), None)
    return None
