"""The supervisor with real processes: it restarts what died, keeps dead what was killed, ends all."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.launcher import control
from services.launcher.home import Home
from services.launcher.plan import Component, Plan
from services.launcher.supervisor import Supervisor
from services.process.clock import SystemClock

SPEAKER = "import sys, time\nprint('speaking', flush=True)\ntime.sleep(600)"
STUBBORN = (
    "import signal, time\nsignal.signal(signal.SIGTERM, lambda *_: print('not yet', flush=True))\n"
    "print('speaking', flush=True)\nwhile True: time.sleep(600)"
)


class Watcher:
    """Collects log lines and lets a test wait for one."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._news = asyncio.Event()

    def line(self, component: str, line: bytes) -> None:
        self.lines.append(f"{component}: {line.decode().rstrip()}")
        self._news.set()

    async def until(self, condition: Callable[[list[str]], bool]) -> None:
        while not condition(self.lines):
            self._news.clear()
            await self._news.wait()


@pytest.fixture
def home() -> Iterator[Home]:
    with tempfile.TemporaryDirectory(prefix="orrery-") as folder:
        home = Home(Path(folder))
        home.create()
        yield home


@asynccontextmanager
async def supervised(home: Home, **programs: str) -> AsyncIterator[tuple[Supervisor, Watcher]]:
    components = tuple(Component(name, (sys.executable, "-c", code)) for name, code in programs.items())
    watcher, clock = Watcher(), SystemClock()
    supervisor = Supervisor(Plan(components, "", "", ()), home, clock, watcher.line)
    running = asyncio.ensure_future(supervisor.run())

    def stop() -> None:
        running.cancel()

    async with control.serve_control(home, supervisor, clock, stop):
        try:
            yield supervisor, watcher
        finally:
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running


def spoken(count: int, component: str = "speaker") -> Callable[[list[str]], bool]:
    return lambda lines: lines.count(f"{component}: speaking") >= count


def pid_of(supervisor: Supervisor, name: str) -> int:
    process = supervisor.children[name].process
    assert process is not None
    return process.pid


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_what_died_by_itself_is_started_again(home: Home) -> None:
    async with supervised(home, speaker=SPEAKER) as (supervisor, watcher):
        await watcher.until(spoken(1))
        os.kill(pid_of(supervisor, "speaker"), 9)
        await watcher.until(spoken(2))
    assert any("ended with signal SIGKILL; starting it again" in line for line in watcher.lines)


async def test_what_was_killed_stays_dead_until_restarted(home: Home) -> None:
    async with supervised(home, speaker=SPEAKER) as (supervisor, watcher):
        await watcher.until(spoken(1))
        request = {"command": "kill", "component": "speaker"}
        assert await asyncio.to_thread(control.ask, home, request) == {"ok": True}
        await watcher.until(lambda lines: any("was killed" in line for line in lines))
        assert supervisor.children["speaker"].state == "killed"
        await asyncio.to_thread(control.ask, home, {**request, "command": "restart"})
        await watcher.until(spoken(2))
        assert supervisor.children["speaker"].state == "running"


async def test_restart_ends_the_old_process_first(home: Home) -> None:
    async with supervised(home, speaker=SPEAKER) as (supervisor, watcher):
        await watcher.until(spoken(1))
        old = pid_of(supervisor, "speaker")
        await asyncio.to_thread(control.ask, home, {"command": "restart", "component": "speaker"})
        await watcher.until(spoken(2))
        assert not alive(old)


async def test_no_process_is_left_even_one_that_will_not_go(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.launcher.supervisor.STOP_SECONDS", 0.2)
    async with supervised(home, speaker=SPEAKER, stubborn=STUBBORN) as (supervisor, watcher):
        await watcher.until(spoken(1))
        await watcher.until(spoken(1, "stubborn"))
        pids = [pid_of(supervisor, name) for name in ("speaker", "stubborn")]
    assert not any(alive(pid) for pid in pids)
    assert not home.control_socket.exists()


async def test_lines_are_kept_and_followed(home: Home) -> None:
    async with supervised(home, speaker=SPEAKER, other=SPEAKER) as (_, watcher):
        await watcher.until(spoken(1))
        await watcher.until(spoken(1, "other"))
        following = control.stream(home, {"command": "follow", "components": ["speaker"]}, 30)
        first = asyncio.ensure_future(asyncio.to_thread(next, following))
        # The follower is there once a restart's line reaches it; nothing before is repeated.
        await asyncio.to_thread(control.ask, home, {"command": "restart", "component": "other"})
        while not first.done():
            await asyncio.to_thread(control.ask, home, {"command": "restart", "component": "speaker"})
            await watcher.until(spoken(2))
            await asyncio.wait({first}, timeout=0.5)
        assert (await first)["component"] == "speaker"
    assert "speaking" in home.log_of("speaker").read_text()


@pytest.mark.parametrize(
    "line", [b"{}\n", b"nonsense\n", b'{"command": "explode"}\n', b'{"command": "kill", "component": "x"}\n']
)
async def test_a_request_that_makes_no_sense_is_answered(home: Home, line: bytes) -> None:
    async with supervised(home, speaker=SPEAKER) as (_, watcher):
        await watcher.until(spoken(1))
        reader, writer = await asyncio.open_unix_connection(home.control_socket)
        writer.write(line)
        assert b'"error"' in await reader.readline()
        writer.close()
        await writer.wait_closed()
