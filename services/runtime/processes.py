"""Processes of one container: numbers, parents, environment, streams, signals, memory, ends.

A `Process` is one entry of the table that `ps` prints; its program is a coroutine on the kernel.
Signals act as on Linux: process 1 of a PID namespace ignores what it has no handler for, KILL
excepted, and when a container's first process ends everything else in it is killed with it. Numbers
and what `ps` shows belong to the `PidNamespace`, which the containers of a Pod may share. Whoever
ends is reaped at once, and its children go to process 1.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from services.runtime.kernel import Future, Killed, Task
from services.runtime.model import SIGCHLD, SIGCONT, SIGKILL, SIGPIPE, SIGURG, SIGWINCH
from services.runtime.streams import NULL, Stream

if TYPE_CHECKING:
    from services.runtime.container import Container

PROCESSES_MAX = 256  # of a container
TOOL_BYTES = 1024 * 1024
IGNORED_BY_DEFAULT = frozenset({SIGCHLD, SIGCONT, SIGURG, SIGWINCH})

Program = Callable[["Process"], Coroutine[Any, Any, int]]
Handler = Callable[[int], None]


class Exit(Exception):
    """Ends a program from anywhere inside it."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(slots=True, eq=False)
class Process:
    container: Container
    pid: int
    parent: int
    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: str
    streams: dict[int, Stream]
    uid: int
    gid: int
    started_at: float  # seconds since 1970
    exit: Future[int] = field(default_factory=Future)
    handlers: dict[int, Handler | None] = field(default_factory=dict)  # None: ignored
    task: Task[int] | None = None
    umask: int = 0o022
    held: int = 0  # bytes of memory beyond what the container's program declared

    # -- what /proc and ps say of it ----------------------------------------------------------

    @property
    def name(self) -> str:
        """As the kernel keeps it: the file's name, cut off."""
        return self.argv[0].rpartition("/")[2][:15] if self.argv else ""

    @property
    def executable(self) -> str:
        """Where its program lies, as far as that can be told from its name."""
        name = self.argv[0] if self.argv else ""
        if name.startswith("/"):
            return name
        for folder in self.env.get("PATH", "").split(":"):
            if folder and self.container.filesystem.exists(f"{folder}/{name}"):
                return f"{folder}/{name}"
        return f"/{name}"

    def memory_bytes(self) -> int:
        first = self.container.processes.first is self
        return self.container.usage.memory(self.container.now_seconds()) if first else TOOL_BYTES + self.held

    def hold(self, size: int) -> None:
        """It has so much in memory now; too much for the container's limit is the end of the container."""
        change, self.held = size - self.held, size
        self.container.usage.hold(change)
        if change > 0:
            self.container.watch_memory()

    # -- streams ------------------------------------------------------------------------------

    @property
    def stdin(self) -> Stream:
        return self.streams.get(0, NULL)

    async def write(self, text: str | bytes) -> None:
        await self.streams.get(1, NULL).write(
            text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
        )

    async def complain(self, text: str) -> None:
        """A line on stderr."""
        await self.streams.get(2, NULL).write(f"{text}\n".encode("utf-8", "surrogateescape"))

    # -- signals ------------------------------------------------------------------------------

    def signal(self, number: int) -> None:
        if self.exit.done or number == 0:
            return
        if number == SIGKILL:
            self.end(128 + SIGKILL)
            return
        if number in self.handlers:
            handler = self.handlers[number]
            if handler is not None:
                handler(number)
            return
        # The first process of a PID namespace gets only signals that it asked for.
        if self.pid != 1 and number not in IGNORED_BY_DEFAULT:
            self.end(128 + number)

    def end(self, status: int) -> None:
        """Ends it now, whatever it does."""
        if self.task is not None and not self.exit.done:
            self.task.kill(status)

    async def sleep(self, seconds: float) -> None:
        await self.container.kernel.sleep(seconds)


class PidNamespace:
    """Numbers, and the processes that see each other; a number is never used twice."""

    __slots__ = ("_next", "alive")

    def __init__(self) -> None:
        self._next = 1
        self.alive: dict[int, Process] = {}

    def take(self) -> int:
        number = self._next
        self._next += 1
        return number

    def add_pause(self, container: Container) -> None:
        """Process 1 of a Pod whose containers share: it holds the namespace, and reaps."""
        moment = container.kernel.clock.now().timestamp()
        number = self.take()
        self.alive[number] = Process(container, number, 0, ("/pause",), {}, "/", {}, 65535, 65535, moment)


class ProcessTable:
    """The processes of one container. `alive` are all that they see, `own` those of the container."""

    __slots__ = ("_container", "_namespace", "first", "limit", "own")

    def __init__(self, container: Container, namespace: PidNamespace | None = None) -> None:
        self._container = container
        self._namespace = namespace or PidNamespace()
        self.own: dict[int, Process] = {}
        self.first: Process | None = None
        self.limit = PROCESSES_MAX

    @property
    def alive(self) -> dict[int, Process]:
        return self._namespace.alive

    @property
    def namespace(self) -> PidNamespace:
        return self._namespace

    def start(
        self,
        argv: tuple[str, ...],
        program: Program,
        *,
        parent: Process | None,
        env: Mapping[str, str],
        cwd: str,
        streams: Mapping[int, Stream],
        identity: tuple[int, int] = (0, 0),
    ) -> Process:
        """Takes over its own hold on each stream. BlockingIOError when there are too many."""
        if len(self.own) >= self.limit:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        process = Process(
            self._container, self._namespace.take(), parent.pid if parent else 0, argv, dict(env), cwd,
            dict(streams), *identity, self._container.kernel.clock.now().timestamp(),
        )  # fmt: skip
        process.umask = parent.umask if parent is not None else process.umask
        for stream in process.streams.values():
            stream.retain()
        self.alive[process.pid] = self.own[process.pid] = process
        if self.first is None:
            self.first = process
        process.task = self._container.kernel.prepare(program(process))
        process.task.finished.on_done(lambda: self._ended(process))
        self._container.kernel.ready(process.task)
        return process

    def _tell_fault(self, process: Process) -> None:
        """What a tool says when a write fails that it did not look at."""
        error = process.task.error if process.task is not None else None
        if not isinstance(error, OSError) or isinstance(error, BrokenPipeError) or 2 not in process.streams:
            return
        stream = process.streams[2]
        stream.retain()
        words = f"{process.name}: write error: {error.strerror or error}\n"

        async def tell() -> None:
            try:
                await stream.write(words.encode("utf-8", "surrogateescape"))
            except OSError:
                return
            finally:
                stream.release()

        self._container.kernel.spawn(tell())

    def kill_all(self) -> None:
        for process in list(self.own.values()):
            process.end(128 + SIGKILL)

    def _ended(self, process: Process) -> None:
        self.alive.pop(process.pid, None)
        self.own.pop(process.pid, None)
        process.hold(0)
        self._tell_fault(process)
        for child in self.alive.values():
            if child.parent == process.pid:
                child.parent = 1
        for stream in process.streams.values():
            stream.release()
        process.streams.clear()
        task = process.task
        assert task is not None
        status = _status(task)
        if status is None:
            self._container.report(process, task.error)
            status = 139
        process.exit.set(status)


def _status(task: Task[int]) -> int | None:
    """The exit status; None when the program itself is broken."""
    error = task.error
    if error is None:
        return task.result() & 0xFF
    if isinstance(error, Killed | Exit):
        return error.status & 0xFF
    if isinstance(error, BrokenPipeError):
        return 128 + SIGPIPE
    if isinstance(error, OSError | RecursionError):
        return 1
    return None
