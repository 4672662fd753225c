"""Runs a plan's processes: starts them, keeps their logs, starts again what died, ends them all.

Believes: a component may end at any moment (a lost leader election ends it on purpose) and is
started again after a moment that doubles up to half a minute. What `orrery kill` ended stays dead until
`orrery restart`. If the supervisor itself is killed, the kernel ends its children with it
(Linux; elsewhere they end when they next write a log line), so nothing is left behind.
Commands come over a unix socket, one JSON object a line: see `control.py`.
"""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import STDOUT, Process
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

from services.launcher.home import Home
from services.launcher.plan import Component, Plan
from services.launcher.tether import tethered
from services.machinery.clock import Clock
from services.process.healthcheck import check

GATE_SECONDS = 0.05  # between two questions whether the API server serves; only while starting
STOP_SECONDS = 8.0  # how long a component may take to leave in order before it is killed
RESTART_SECONDS_FIRST, RESTART_SECONDS_MAX = 0.5, 30.0
HEALTHY_SECONDS = 60.0  # having run this long, the next end counts as the first again
LOG_BYTES_MAX = 64 * 1024 * 1024  # then the log starts over, keeping one old file
LINE_BYTES_MAX = 256 * 1024
# A loop that woke for each line would cost more than the writing of the line.
GATHER_SECONDS = 0.02
FOLLOWER_LINES_MAX = 10_000  # a reader of logs that falls behind this far misses lines

LineSink = Callable[[str, bytes], None]  # component, line with its newline


@dataclass
class Child:
    """One component: what is wanted of it, and what there is."""

    component: Component
    wanted: bool = True
    off: bool = False  # a machine that was stopped, not a component that was killed
    removed: bool = False
    process: Process | None = None
    started_at: float = 0.0
    starts: int = 0
    last_exit: int | None = None
    wake: asyncio.Event = field(default_factory=asyncio.Event)  # set to cut a wait short
    output: asyncio.ReadTransport | None = None

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.returncode is None

    @property
    def state(self) -> str:
        if self.running:
            return "running"
        if not self.wanted:
            return "stopped" if self.off else "killed"
        return "waiting to restart" if self.starts else "waiting to start"


class LogFile:
    """Appends to a component's log and starts it over at the limit."""

    def __init__(self, home: Home, component: str) -> None:
        self._path = home.log_of(component)
        self._file: BinaryIO = self._path.open("ab", buffering=0)

    def write(self, line: bytes) -> None:
        if self._file.tell() > LOG_BYTES_MAX:
            self._file.close()
            self._path.replace(self._path.with_suffix(".log.1"))
            self._file = self._path.open("ab", buffering=0)
        self._file.write(line)

    def close(self) -> None:
        self._file.close()


class OutputPipe(asyncio.Protocol):
    """The reading end of what a child says: stops after each reading until it is resumed."""

    def __init__(self) -> None:
        self._chunk, self._ended = b"", False
        self._news = asyncio.Event()
        self._transport: asyncio.ReadTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.ReadTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._chunk += data
        self._transport.pause_reading()
        self._news.set()

    def connection_lost(self, error: Exception | None) -> None:
        self._ended = True
        self._news.set()

    async def read(self) -> bytes:
        """What has come; empty at the end."""
        while not self._chunk and not self._ended:
            self._news.clear()
            await self._news.wait()
        chunk, self._chunk = self._chunk, b""
        return chunk

    def resume(self) -> None:
        if not self._ended:
            self._transport.resume_reading()


class Supervisor:
    """All children of one cluster. `on_line`, where somebody looks, sees every log line as it comes."""

    def __init__(self, plan: Plan, home: Home, clock: Clock, on_line: LineSink | None) -> None:
        self.children = {component.name: _child(component) for component in plan.components}
        self._home = home
        self._clock = clock
        self._on_line = on_line
        self._followers: set[asyncio.Queue[tuple[str, bytes]]] = set()
        self._apiserver_serves = asyncio.Event()
        self._added: asyncio.Queue[Child] = asyncio.Queue()

    async def run(self) -> None:
        """Keeps all children running until cancelled; then ends them, control plane last."""
        try:
            async with asyncio.TaskGroup() as group:
                for child in self.children.values():
                    group.create_task(self._keep_running(child), name=child.component.name)
                group.create_task(self._open_the_gate())
                while True:
                    child = await self._added.get()
                    group.create_task(self._keep_running(child), name=child.component.name)
        finally:
            await self._end_all()

    def add(self, component: Component) -> Child:
        """One more component, started at once."""
        child = self.children[component.name] = _child(component)
        self._added.put_nowait(child)
        return child

    async def remove(self, child: Child) -> None:
        """Ends it in order, and forgets it."""
        child.wanted, child.removed = False, True
        self.children.pop(child.component.name, None)
        child.wake.set()
        await self._end(child)
        if child.output is not None:
            child.output.close()

    async def _open_the_gate(self) -> None:
        """Lets the API server's clients start once it serves: their stories begin with no complaint."""
        apiserver = self.children.get("apiserver")
        while apiserver is not None and await asyncio.to_thread(check, apiserver.component.health) != "":
            await self._clock.sleep(GATE_SECONDS)
        self._apiserver_serves.set()

    async def _keep_running(self, child: Child) -> None:
        delay = RESTART_SECONDS_FIRST
        if child.component.waits_for_apiserver:
            await self._apiserver_serves.wait()
        while True:
            if child.removed:
                return
            if not child.wanted:
                child.wake.clear()
                await child.wake.wait()
                delay = RESTART_SECONDS_FIRST
                continue
            child.wake.clear()
            code = await self._run_once(child)
            child.last_exit = code
            if not child.wanted:
                self.say(child, _farewell(child))
                continue
            if self._clock.monotonic() - child.started_at > HEALTHY_SECONDS:
                delay = RESTART_SECONDS_FIRST
            if not child.wake.is_set():
                how = describe_exit(code)
                self.say(child, f"{child.component.name} ended with {how}; starting it again in {delay:g}s")
                await self._wait(child, delay)
                delay = min(delay * 2, RESTART_SECONDS_MAX)

    async def _wait(self, child: Child, seconds: float) -> None:
        try:
            async with self._clock.timeout(seconds):
                await child.wake.wait()
        except TimeoutError:
            return

    async def _run_once(self, child: Child) -> int:
        log = LogFile(self._home, child.component.name)
        reading, writing = os.pipe()
        try:
            pipe = await self._open_output(child, reading)
            child.process = await asyncio.create_subprocess_exec(
                *tethered(child.component.argv),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=writing,
                stderr=STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **dict(child.component.environment)},
                start_new_session=True,  # so that Ctrl-C reaches us alone, and we end them in order
            )
            os.close(writing)
            writing = -1
            child.started_at = self._clock.monotonic()
            child.starts += 1
            await self._copy_log(child, log, pipe)
            return await child.process.wait()
        finally:
            if writing >= 0:
                os.close(writing)
            log.close()

    async def _open_output(self, child: Child, reading: int) -> OutputPipe:
        if child.output is not None:
            child.output.close()
        loop = asyncio.get_running_loop()
        child.output, pipe = await loop.connect_read_pipe(OutputPipe, os.fdopen(reading, "rb", buffering=0))
        return pipe

    async def _copy_log(self, child: Child, log: LogFile, pipe: OutputPipe) -> None:
        rest = b""  # of a line whose end has not come yet
        while chunk := await pipe.read():
            lines, newline, rest = (rest + chunk).rpartition(b"\n")
            if len(rest) > LINE_BYTES_MAX:
                rest = b"(a log line longer than %d bytes was cut)" % LINE_BYTES_MAX
            if newline:
                log.write(lines + newline)
                self._publish(child.component.name, lines + newline)
            if not self._watched:  # who reads along wants the components' lines in the order of their times
                await self._clock.sleep(GATHER_SECONDS)
            pipe.resume()
        if rest:
            log.write(rest + b"\n")
            self._publish(child.component.name, rest + b"\n")

    def say(self, child: Child, sentence: str) -> None:
        """A line of the supervisor's own, in the component's log too, where people look."""
        moment = self._clock.now().strftime("%H:%M:%S.%f")[:-3]
        line = f"{moment} {'orrery':<18} {'WARNING':<7} {sentence}\n".encode()
        log = LogFile(self._home, child.component.name)
        log.write(line)
        log.close()
        self._publish(child.component.name, line)

    @property
    def _watched(self) -> bool:
        return self._on_line is not None or bool(self._followers)

    def _publish(self, component: str, lines: bytes) -> None:
        if not self._watched:
            return
        for line in lines.splitlines(keepends=True):
            if self._on_line is not None:
                self._on_line(component, line)
            for follower in self._followers:
                if not follower.full():
                    follower.put_nowait((component, line))

    def follow(self) -> asyncio.Queue[tuple[str, bytes]]:
        queue: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(FOLLOWER_LINES_MAX)
        self._followers.add(queue)
        return queue

    def unfollow(self, queue: asyncio.Queue[tuple[str, bytes]]) -> None:
        self._followers.discard(queue)

    def kill(self, child: Child) -> None:
        """SIGKILL, as a crash would be; it stays dead."""
        child.wanted = False
        if child.running and child.process is not None:
            child.process.kill()

    async def power_off(self, child: Child) -> None:
        """As `kill`, of a machine that was switched off; returns when it is."""
        child.off = True
        self.kill(child)
        if child.process is not None:
            await child.process.wait()

    async def power_cycle(self, child: Child) -> None:
        """SIGKILL, and a start at once; also of what was off."""
        child.wanted, child.off = True, False
        child.wake.set()
        if child.running and child.process is not None:
            self.say(child, f"{child.component.name} is rebooted")
            child.process.kill()
            await child.process.wait()

    async def restart(self, child: Child) -> None:
        """Ends it in order if it runs, and starts it at once."""
        child.wanted, child.off = True, False
        child.wake.set()
        if child.running:
            await self._end(child)

    async def _end(self, child: Child) -> None:
        process = child.process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with self._clock.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def _end_all(self) -> None:
        """Nodes first, then the control plane, the store last: so each can still say goodbye."""
        stages: dict[int, list[Child]] = {}
        for child in self.children.values():
            stages.setdefault(_stage(child.component.name), []).append(child)
        for _, leaving in sorted(stages.items()):
            await asyncio.gather(*(self._end(child) for child in leaving))
        for child in self.children.values():
            if child.output is not None:
                child.output.close()


def _child(component: Component) -> Child:
    return Child(component, wanted=not component.stopped, off=component.stopped)


def _farewell(child: Child) -> str:
    name = child.component.name
    if child.removed:
        return f"{name} was removed"
    if child.off:
        return f"{name} was stopped; `orrery node start {name}` starts it again"
    return f"{name} was killed; `orrery restart {name}` brings it back"


def _stage(component: str) -> int:
    if component.startswith(("scheduler", "controller-manager", "registry")):
        return 1
    return {"apiserver": 2, "etcd": 3}.get(component, 0)


def describe_exit(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
