"""Asks the probes of running containers, and keeps what their answers add up to.

One timer per probe; a probe that is being asked is a task of the group. A change pokes the Pod's
worker, which decides what it means. Until a startup probe has passed, the others have no timers
at all. Probe errors (no such port name, runtime away) are told as events and count for nothing.
Upstream: `pkg/kubelet/prober`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from services.api.core_v1 import Container, Pod
from services.kubelet.actions import ProbeKind
from services.kubelet.container_status import Health
from services.kubelet.cri import Cri
from services.kubelet.probe_actions import ask
from services.kubelet.probes import (
    Answer,
    ProbeState,
    probes_of,
    unhealthy_message,
    warning_message,
)
from services.kubelet.timers import Timer, Timers

Tell = Callable[[Container, str, str], None]  # an event about the container: reason and message


@dataclass(slots=True)
class PodProbes:
    """The probes of one Pod: by container name those of its running instance."""

    pod: Pod
    address: str
    poke: Callable[[], None]
    tell: Tell
    states: dict[str, list[ProbeState]] = field(default_factory=dict)
    timers: dict[tuple[str, ProbeKind], Timer] = field(default_factory=dict)

    def health(self) -> dict[str, Health]:
        """Of the containers that have probes; the others are healthy as long as they run."""
        found = {}
        for name, states in self.states.items():
            passing = {state.kind: state.passing for state in states}
            found[name] = Health(passing.get("startup", True), passing.get("readiness", True))
        return found

    def failed(self) -> dict[str, ProbeKind]:
        """Which probe has given up on which container id."""
        return {
            state.container_id: state.kind
            for states in self.states.values()
            for state in states
            if state.gave_up
        }


class Prober:
    """One node's."""

    def __init__(self, cri: Cri, timers: Timers, group: asyncio.TaskGroup) -> None:
        self._cri, self._timers, self._group = cri, timers, group

    def container_started(self, pod: PodProbes, container: Container, container_id: str) -> None:
        """Begins to probe this instance; earlier ones of that container are forgotten."""
        self.container_stopped(pod, container.name)
        states = [ProbeState(kind, probe, container, container_id) for kind, probe in probes_of(container)]
        if not states:
            return
        pod.states[container.name] = states
        _resume(pod, states)
        if _starting(states):
            states = [state for state in states if state.kind == "startup"]
        for state in states:
            self._schedule(pod, state, state.first_after_seconds)

    def container_stopped(self, pod: PodProbes, name: str) -> None:
        for state in pod.states.pop(name, ()):
            timer = pod.timers.pop((name, state.kind), None)
            if timer:
                timer.cancel()

    def stop(self, pod: PodProbes) -> None:
        for name in [*pod.states]:
            self.container_stopped(pod, name)

    def leave_readiness(self, pod: PodProbes) -> None:
        """The Pod is being stopped: nobody restarts anything, but traffic still heeds its readiness."""
        for (_, kind), timer in pod.timers.items():
            if kind != "readiness":
                timer.cancel()

    def _schedule(self, pod: PodProbes, state: ProbeState, seconds: float) -> None:
        def due() -> None:
            if _is_current(pod, state):
                self._group.create_task(self._probe(pod, state))

        pod.timers[state.container.name, state.kind] = self._timers.after(seconds, due)

    async def _probe(self, pod: PodProbes, state: ProbeState) -> None:
        answer = await self._ask(pod, state)
        if not _is_current(pod, state):
            return
        if not answer.success:
            pod.tell(state.container, "Unhealthy", unhealthy_message(state.kind, answer))
        elif answer.warning:
            pod.tell(state.container, "ProbeWarning", warning_message(state.kind, answer))
        if not answer.error and state.feed(answer):
            if state.kind == "startup" and state.passing:
                self._started(pod, state)
            pod.poke()
        if not state.finished:
            self._schedule(pod, state, state.period_seconds)

    def _started(self, pod: PodProbes, startup: ProbeState) -> None:
        """The others begin; readiness at once, for that is what everybody waits for."""
        for state in pod.states[startup.container.name]:
            if state.kind == "readiness":
                self._schedule(pod, state, 0)
            elif state.kind == "liveness":
                self._schedule(pod, state, state.period_seconds)

    async def _ask(self, pod: PodProbes, state: ProbeState) -> Answer:
        try:
            return await ask(
                self._cri,
                self._timers.clock,
                state.probe,
                state.container,
                state.container_id,
                pod.address,
                state.timeout_seconds,
            )
        except ValueError as error:
            return Answer(False, str(error), error=True)


def _is_current(pod: PodProbes, state: ProbeState) -> bool:
    return any(state is other for other in pod.states.get(state.container.name, ()))


def _starting(states: list[ProbeState]) -> bool:
    return any(state.kind == "startup" and not state.passing for state in states)


def _resume(pod: PodProbes, states: list[ProbeState]) -> None:
    """What the Pod's status said of this very instance before the kubelet was restarted still holds."""
    status = pod.pod.status
    for told in (*status.container_statuses, *status.init_container_statuses):
        if told.container_id and told.container_id.endswith(f"//{states[0].container_id}"):
            for state in states:
                known = told.started if state.kind == "startup" else told.ready
                state.passing = bool(known) or state.passing
