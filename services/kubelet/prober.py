"""Asks the probes of running containers, and keeps what their answers add up to.

One timer per probe; a probe that is being asked is a task of the group. A change pokes the Pod's
worker, which decides what it means. Probe errors (no such port name, runtime away) are told as
events and count for nothing. Upstream: `pkg/kubelet/prober`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from services.api.core_v1 import Container, Pod, Probe
from services.kubelet.actions import ProbeKind
from services.kubelet.container_status import Health
from services.kubelet.cri import Cri, CriError
from services.kubelet.probes import (
    Answer,
    ProbeState,
    http_answer,
    probes_of,
    resolve_port,
    unhealthy_message,
)
from services.kubelet.timers import Timer, Timers

Unhealthy = Callable[[Container, str], None]  # an event about the container


@dataclass(slots=True)
class PodProbes:
    """The probes of one Pod: by container name those of its running instance."""

    pod: Pod
    address: str
    poke: Callable[[], None]
    unhealthy: Unhealthy
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

    def _schedule(self, pod: PodProbes, state: ProbeState, seconds: float) -> None:
        def due() -> None:
            if _is_current(pod, state):
                self._group.create_task(self._probe(pod, state))

        pod.timers[state.container.name, state.kind] = self._timers.after(seconds, due)

    async def _probe(self, pod: PodProbes, state: ProbeState) -> None:
        others = pod.states.get(state.container.name, [])
        starting = any(other.kind == "startup" and not other.passing for other in others)
        if state.kind == "startup" or not starting:
            answer = await self._ask(pod, state)
            if not _is_current(pod, state):
                return
            if not answer.success:
                pod.unhealthy(state.container, unhealthy_message(state.kind, answer))
            if not answer.error and state.feed(answer):
                pod.poke()
        if not state.finished:
            self._schedule(pod, state, state.period_seconds)

    async def _ask(self, pod: PodProbes, state: ProbeState) -> Answer:
        try:
            return await ask(
                self._cri,
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


async def ask(
    cri: Cri, probe: Probe, container: Container, container_id: str, address: str, timeout_seconds: int
) -> Answer:
    """One attempt. ValueError when the probe names a port that there is not."""
    if probe.exec:
        return await _exec(cri, probe.exec.command, container_id, timeout_seconds)
    if probe.http_get:
        action = probe.http_get
        scheme, path = (action.scheme or "HTTP").lower(), "/" + (action.path or "").lstrip("/")
        host, port = action.host or address, resolve_port(action.port, container)
        headers = [(header.name, header.value) for header in action.http_headers]
        return await _http(cri, scheme, host, port, path, headers, timeout_seconds)
    if probe.tcp_socket:
        host, port = probe.tcp_socket.host or address, resolve_port(probe.tcp_socket.port, container)
        return await _tcp(cri, host, port, timeout_seconds)
    if probe.grpc:
        # Nothing in the emulation speaks grpc.health.v1: a port that answers counts as serving.
        return await _tcp(cri, address, probe.grpc.port, timeout_seconds)
    raise ValueError(f"missing probe handler for {container.name}")


async def _exec(cri: Cri, command: list[str], container_id: str, timeout_seconds: int) -> Answer:
    try:
        result = await cri.exec_sync(container_id, command, timeout_seconds)
    except CriError as error:
        if error.code == "DeadlineExceeded":
            text = " ".join(command)
            return Answer(False, f'command timed out: "{text}" timed out after {timeout_seconds}s')
        return Answer(False, str(error), error=True)
    output = (result.stdout + result.stderr).decode(errors="replace")
    return Answer(result.exit_code == 0, output)


async def _http(
    cri: Cri,
    scheme: str,
    host: str,
    port: int,
    path: str,
    headers: list[tuple[str, str]],
    timeout_seconds: int,
) -> Answer:
    names = {name.lower() for name, _ in headers}
    if "user-agent" not in names:
        headers = [*headers, ("User-Agent", "kube-probe/1.36")]
    if "accept" not in names:
        headers = [*headers, ("Accept", "*/*")]
    try:
        answer = await cri.http(
            host, port, path, scheme=scheme, headers=headers, timeout_seconds=timeout_seconds
        )
    except CriError as error:
        return Answer(False, f'Get "{scheme}://{host}:{port}{path}": {error.message}')
    return http_answer(answer.status, answer.body)


async def _tcp(cri: Cri, host: str, port: int, timeout_seconds: int) -> Answer:
    try:
        await cri.dial(host, port, timeout_seconds)
    except CriError as error:
        return Answer(False, error.message)
    return Answer(True)
