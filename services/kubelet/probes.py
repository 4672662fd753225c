"""Probes as a state machine: when to ask, and what the answers add up to.

One `ProbeState` per container instance and probe. Pure: `prober` asks and feeds the answers in.
Upstream: `pkg/kubelet/prober/worker.go`; the words of results are those of `pkg/probe`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from services.api.core_v1 import Container, Probe
from services.kubelet.actions import ProbeKind

PERIOD_SECONDS = 10
BODY_BYTES_MAX = 10 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """What one attempt gave. `error`: the probe itself could not be carried out. `warning`: a success
    that somebody should look at."""

    success: bool
    output: str = ""
    error: bool = False
    warning: bool = False


@dataclass(slots=True)
class ProbeState:
    kind: ProbeKind
    probe: Probe
    container: Container
    container_id: str
    passing: bool = field(init=False)
    gave_up: bool = False  # liveness and startup ask no more once they have failed
    _run: int = 0
    _last: bool | None = None

    def __post_init__(self) -> None:
        # Alive until proven dead; not ready and not started until proven so.
        self.passing = self.kind == "liveness"

    @property
    def period_seconds(self) -> int:
        return self.probe.period_seconds or PERIOD_SECONDS

    @property
    def timeout_seconds(self) -> int:
        return self.probe.timeout_seconds or 1

    @property
    def first_after_seconds(self) -> int:
        """When to ask first, counted from the container's start.

        Startup and readiness are asked as soon as allowed, so that nothing waits for them in vain,
        but not in the second in which the program starts; liveness on the first whole period
        that is not within the initial delay.
        """
        delay = self.probe.initial_delay_seconds or 0
        if self.kind != "liveness":
            return max(1, delay)
        return max(1, -(-delay // self.period_seconds)) * self.period_seconds

    @property
    def finished(self) -> bool:
        """Nothing more to ask: a startup probe that passed, or one that has given up."""
        return self.gave_up or (self.kind == "startup" and self.passing)

    def feed(self, answer: Answer) -> bool:
        """Takes one answer in. Returns whether `passing` or `gave_up` changed."""
        self._run = self._run + 1 if self._last == answer.success else 1
        self._last = answer.success
        if answer.success:
            if self._run < (self.probe.success_threshold or 1) or self.passing:
                return False
            self.passing = True
            return True
        if self._run < (self.probe.failure_threshold or 3):
            return False
        changed, self.passing = self.passing, False
        if self.kind != "readiness":
            self.gave_up = True
            return True
        return changed


def probes_of(container: Container) -> Sequence[tuple[ProbeKind, Probe]]:
    found: list[tuple[ProbeKind, Probe]] = []
    if container.startup_probe:
        found.append(("startup", container.startup_probe))
    if container.liveness_probe:
        found.append(("liveness", container.liveness_probe))
    if container.readiness_probe:
        found.append(("readiness", container.readiness_probe))
    return found


def unhealthy_message(kind: ProbeKind, answer: Answer) -> str:
    word = "errored" if answer.error else "failed"
    detail = f" and resulted in unknown state: {answer.output}" if answer.error else f": {answer.output}"
    return f"{kind.capitalize()} probe {word}{detail}"


def warning_message(kind: ProbeKind, answer: Answer) -> str:
    return f"{kind.capitalize()} probe warning: {answer.output}"


def http_answer(status: int, body: bytes = b"") -> Answer:
    """Any status from 200 to 399 is a success; a redirect that is not followed, with a warning."""
    if 200 <= status < 400:
        text = body[:BODY_BYTES_MAX].decode(errors="replace")
        if status >= 300:
            return Answer(True, f"Probe terminated redirects, Response body: {text}", warning=True)
        return Answer(True, text)
    return Answer(False, f"HTTP probe failed with statuscode: {status}")


def resolve_port(port: int | str | None, container: Container) -> int:
    """A number, a number in quotes or the name of a port. ValueError when it is none of these."""
    if isinstance(port, int):
        number = port
    else:
        named = next((p.container_port for p in container.ports if p.name == port), None)
        if named is None and not str(port).isdigit():
            raise ValueError(f"port {port} not found")
        number = int(port or 0) if named is None else named
    if not 0 < number < 65536:
        raise ValueError(f"invalid port number: {number}")
    return number
