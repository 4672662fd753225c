"""Commands run in containers for somebody outside: to their end, or as a stream with a token.

Exec, Attach and PortForward of the CRI only announce a stream; a `Sessions` table keeps what was
announced until the stream comes or a minute has passed. It is bounded: the oldest announcement goes first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from services.machinery.clock import Clock
from services.runtime.container import Container
from services.runtime.machine import Machine
from services.runtime.model import SIGKILL, ContainerState, RuntimeFault
from services.runtime.sandbox import Sandbox
from services.runtime.streams import NULL, Sink, Stream

TOKEN_SECONDS = 60.0
TOKENS_MAX = 1_000
OUTPUT_BYTES_MAX = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Session:
    """An exec, or with an empty command an attach."""

    container: Container
    command: tuple[str, ...]
    tty: bool
    stdin: bool


Announced = Session | tuple[Machine, Sandbox]


class Sessions:
    def __init__(self, socket_path: str, clock: Clock, random: Random) -> None:
        self._prefix = f"unix://{socket_path}#"
        self._clock, self._random = clock, random
        self._open: OrderedDict[str, tuple[float, Announced]] = OrderedDict()

    def open(self, session: Announced) -> str:
        """The URL under which the stream is to come."""
        if len(self._open) >= TOKENS_MAX:
            self._open.popitem(last=False)
        token = f"{self._random.getrandbits(128):032x}"
        self._open[token] = (self._clock.monotonic() + TOKEN_SECONDS, session)
        return self._prefix + token

    def take(self, token: str) -> Announced:
        due, session = self._open.pop(token, (0.0, None))
        if session is None or due < self._clock.monotonic():
            raise RuntimeFault("NOT_FOUND", "no such stream, or it was asked for too late")
        return session


class Output:
    """Collects what a command writes, each stream up to a limit; the rest is dropped."""

    def __init__(self) -> None:
        self.out, self.err = bytearray(), bytearray()

    def deliver(self, name: str, data: bytes) -> None:
        target = self.err if name == "stderr" else self.out
        target += data[: OUTPUT_BYTES_MAX - len(target)]


async def run_to_end(
    container: Container, command: tuple[str, ...], timeout_seconds: float
) -> tuple[int, bytes, bytes]:
    """Exit status, stdout and stderr. Runs on the kernel."""
    output = Output()
    streams: dict[int, Stream] = {
        0: NULL,
        1: Sink("stdout", output.deliver),
        2: Sink("stderr", output.deliver),
    }
    process = container.exec(command, streams)
    late = False

    def too_late() -> None:
        nonlocal late
        late = not process.exit.done
        process.signal(SIGKILL)

    timer = container.kernel.timer(timeout_seconds) if timeout_seconds > 0 else None
    if timer is not None:
        timer.future.on_done(too_late)
    try:
        status = await process.exit
    except BaseException:
        process.signal(SIGKILL)
        raise
    finally:
        if timer is not None:
            timer.cancel()
    if late:
        raise RuntimeFault(
            "DEADLINE_EXCEEDED",
            f"failed to exec in container: timeout {timeout_seconds:g}s exceeded: context deadline exceeded",
        )
    return status, bytes(output.out), bytes(output.err)


def attach(container: Container, deliver: Callable[[str, bytes], None]) -> Sink:
    """Sees the output of the first process from now on."""
    if container.state is not ContainerState.RUNNING:
        raise RuntimeFault("UNKNOWN", f"container is in CONTAINER_{container.state.name} state")
    sink = Sink("", deliver)
    container.attached.add(sink)
    return sink
