"""A container: one image started with one configuration inside one sandbox.

CREATED → RUNNING → EXITED, never back. It lives as long as its first process; what that leaves
behind is an exit code, a reason and a log. The refusals are runc's and containerd's, word for word,
since the kubelet hands them on to people.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from services.machinery import trace
from services.runtime import launch
from services.runtime.filesystem import Filesystem, Who
from services.runtime.kernel import Future, Kernel, Timer
from services.runtime.logs import ContainerLog
from services.runtime.model import (
    SIGKILL,
    SIGTERM,
    ContainerConfig,
    ContainerState,
    EventType,
    Image,
    Resources,
    RuntimeFault,
    signal_number,
)
from services.runtime.processes import Process, ProcessTable, Program
from services.runtime.streams import NULL, Counted, Pipe, PipeReader, Sink, Stream
from services.runtime.terminal import Terminal, signal_family
from services.runtime.usage import CORE, Usage

if TYPE_CHECKING:
    from services.runtime.machine import Machine
    from services.runtime.sandbox import Sandbox

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_CPU_PERIOD_MICROSECONDS = 100_000
START_ERROR_STATUS = 128
START_ERROR = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: "
    "runc create failed: unable to start container process: error during container init: {}: unknown"
)
NO_ARGUMENTS = (
    'failed to exec in container: failed to start exec "{}": OCI runtime exec failed: exec failed: '
    "args must not be empty: unknown"
)
EXEC_ERROR = (
    'failed to exec in container: failed to start exec "{}": OCI runtime exec failed: exec failed: '
    "unable to start container process: {}: unknown"
)


class Container:
    __slots__ = (
        "_resources", "attached", "cause", "config", "created_at", "ended", "exit_code", "filesystem",
        "finished_at", "id", "image", "log", "machine", "message", "oom_timer", "processes", "reason",
        "sandbox", "started_at", "state", "stdin", "terminal", "usage",
    )  # fmt: skip

    def __init__(
        self, machine: Machine, sandbox: Sandbox, identifier: str, config: ContainerConfig, image: Image
    ) -> None:
        self.machine: Machine = machine
        self.sandbox: Sandbox = sandbox
        self.id, self.config, self.image = identifier, config, image
        self.usage: Usage = Usage()
        self.resources = config.resources
        self.cause = trace.current()
        self.state = ContainerState.CREATED
        self.created_at, self.started_at, self.finished_at = machine.now(), 0, 0
        self.exit_code, self.reason, self.message = 0, "", ""
        self.filesystem: Filesystem = machine.filesystem_for(self)
        self.log = ContainerLog(machine.log_path(sandbox, config), machine.now)
        self.processes: ProcessTable = ProcessTable(self, machine.pid_namespace_for(self))
        self.ended: Future[None] = Future()
        self.oom_timer: Timer | None = None
        self.stdin: Pipe | None = Pipe() if config.stdin and not config.tty else None
        self.terminal: Terminal | None = None
        if config.stdin and config.tty:
            self.terminal = Terminal(self._output("stdout").deliver, self.interrupt)
        self.attached: set[Sink] = set()

    # -- identity -----------------------------------------------------------------------------

    @property
    def kernel(self) -> Kernel:
        return self.machine.kernel

    @property
    def hostname(self) -> str:
        return self.sandbox.hostname

    def environment(self) -> dict[str, str]:
        env = {"PATH": DEFAULT_PATH, "HOSTNAME": self.hostname}
        env.update(self.image.env)
        env.update(self.config.envs)
        env.setdefault("HOME", "/root" if self.identity()[0] == 0 else "/")
        if self.config.tty:
            env.setdefault("TERM", "xterm")
        return env

    def identity(self) -> tuple[int, int]:
        """User and group that its processes run as."""
        config = self.config
        user, _, group = self.image.user.partition(":")
        uid = config.run_as_user if config.run_as_user is not None else _number(user, self.image)
        gid = config.run_as_group if config.run_as_group is not None else _number(group, self.image)
        return uid, gid

    def argv(self) -> tuple[str, ...]:
        """As Kubernetes has it: a command replaces the image's entrypoint and drops its arguments."""
        if self.config.command:
            return self.config.command + self.config.args
        return self.image.entrypoint + (self.config.args or self.image.cmd)

    @property
    def stop_signal(self) -> int:
        return self.config.stop_signal or signal_number(self.image.stop_signal or "SIGTERM") or SIGTERM

    # -- life ---------------------------------------------------------------------------------

    def start(self) -> None:
        if self.state is not ContainerState.CREATED:
            raise RuntimeFault("UNKNOWN", f"container is in CONTAINER_{self.state.name} state")
        argv = self.argv()
        if not argv:
            raise self._refuse(START_ERROR.format("no command specified"))
        try:
            program = launch.find(self, argv, self.environment(), self.cwd)
        except OSError as error:
            raise self._refuse(START_ERROR.format(launch.runc_words(argv[0], error))) from error
        self.state = ContainerState.RUNNING
        self.started_at = self.machine.now()
        self.machine.emit(EventType.STARTED, self.id, self.sandbox)
        self.machine.tell("Started a container", self, image=self.config.user_image)
        stdin: Stream = self.terminal or (PipeReader(self.stdin) if self.stdin else NULL)
        streams = {0: stdin, 1: self._output("stdout"), 2: self._output("stderr")}
        first = self.processes.start(
            argv, program, parent=None, env=self.environment(), cwd=self.cwd, streams=streams,
            identity=self.identity(),
        )  # fmt: skip
        self.watch_memory()
        first.exit.on_done(lambda: self._exited(first.exit.value()))

    def signal(self, number: int) -> None:
        first = self.processes.first
        if first is not None:
            first.signal(number)

    def interrupt(self, number: int) -> None:
        """A key of its terminal became a signal."""
        if self.processes.first is not None:
            signal_family(self.processes.first, number)

    def kill(self) -> None:
        self.signal(SIGKILL)

    async def stop(self, grace_seconds: float) -> None:
        """The stop signal, and KILL when that has not helped in time. Runs on the kernel."""
        if self.state is not ContainerState.RUNNING:
            return
        if grace_seconds > 0:
            self.signal(self.stop_signal)
            timer = self.kernel.timer(grace_seconds)
            timer.future.on_done(self.kill)
            try:
                await self.ended
            finally:
                timer.cancel()
        self.kill()
        await self.ended

    @property
    def resources(self) -> Resources:
        return self._resources

    @resources.setter
    def resources(self, resources: Resources) -> None:
        """New limits count from now on; `watch_memory` looks whether memory is within them."""
        self._resources = resources
        period = resources.cpu_period or DEFAULT_CPU_PERIOD_MICROSECONDS
        limit = resources.cpu_quota * CORE // period if resources.cpu_quota > 0 else 0
        self.usage.set_cpu_limit(self.now_seconds(), limit)

    def memory(self) -> int:
        """Bytes in use: its working set."""
        return self.usage.memory(self.now_seconds())

    def written_bytes(self) -> int:
        """What its writable layer takes of the machine's disk."""
        return self.filesystem.written_bytes + self.usage.disk(self.now_seconds())

    def hold_file(self, change_bytes: int) -> None:
        """A file that lies in memory has grown or shrunk."""
        self.usage.hold(change_bytes)
        if change_bytes > 0:
            self.watch_memory()

    def set_memory(self, start_bytes: int, growth_bytes: float) -> None:
        """What the program says it holds now, and how it grows from here per second."""
        self.usage.set_memory(self.now_seconds(), start_bytes, growth_bytes)
        self.watch_memory()

    def watch_memory(self) -> None:
        """Sets the moment at which the memory limit is hit, if it ever will be."""
        if self.oom_timer is not None:
            self.oom_timer.cancel()
            self.oom_timer = None
        limit = self.resources.memory_limit_bytes
        seconds = self.usage.seconds_until(limit, self.now_seconds()) if limit else None
        if seconds is not None and self.state is ContainerState.RUNNING:
            self.oom_timer = self.kernel.timer(seconds)
            self.oom_timer.future.on_done(self.out_of_memory)

    def out_of_memory(self) -> None:
        if self.state is ContainerState.RUNNING:
            self.reason = "OOMKilled"
            self.kill()

    def _exited(self, status: int) -> None:
        if self.state is not ContainerState.RUNNING:
            return
        self.processes.kill_all()
        if self.oom_timer is not None:
            self.oom_timer.cancel()
        self.state = ContainerState.EXITED
        self.finished_at = max(self.machine.now(), self.started_at + 1)
        self.exit_code = status
        self.reason = self.reason or ("Completed" if status == 0 else "Error")
        self.log.close()
        self.usage.freeze(self.now_seconds())
        self.ended.set(None)
        self.machine.container_ended(self)

    def _refuse(self, message: str) -> RuntimeFault:
        """A start that failed: the container is over, and says why."""
        self.state = ContainerState.EXITED
        self.finished_at = self.machine.now()
        self.exit_code, self.reason, self.message = START_ERROR_STATUS, "StartError", message
        self.ended.set(None)
        self.machine.container_ended(self)
        return RuntimeFault("UNKNOWN", message)

    def report(self, process: Process, error: BaseException | None) -> None:
        self.machine.report_broken_program(self, process, error)

    # -- commands -----------------------------------------------------------------------------

    @property
    def cwd(self) -> str:
        return self.config.working_dir or self.image.working_dir or "/"

    def exec(self, argv: Sequence[str], streams: Mapping[int, Stream], *, tty: bool = False) -> Process:
        """Starts a further process beside the first; RuntimeFault in runc's words when it cannot."""
        if self.state is not ContainerState.RUNNING:
            raise RuntimeFault("UNKNOWN", f"container is in CONTAINER_{self.state.name} state")
        if not argv:
            raise RuntimeFault("UNKNOWN", NO_ARGUMENTS.format(self.machine.new_id()))
        env = self.environment()
        if tty:
            env["TERM"] = "xterm"
        try:
            program = launch.find(self, tuple(argv), env, self.cwd)
        except OSError as error:
            words = launch.runc_words(argv[0], error)
            raise RuntimeFault("UNKNOWN", EXEC_ERROR.format(self.machine.new_id(), words)) from error
        return self.start_process(tuple(argv), program, None, env, self.cwd, streams)

    def start_process(
        self,
        argv: tuple[str, ...],
        program: Program,
        parent: Process | None,
        env: Mapping[str, str],
        cwd: str,
        streams: Mapping[int, Stream],
    ) -> Process:
        identity = (parent.uid, parent.gid) if parent is not None else self.identity()
        return self.processes.start(
            argv, program, parent=parent, env=env, cwd=cwd, streams=streams, identity=identity
        )

    def declared_ports(self) -> list[int]:
        """What the Pod's spec says it listens on: the kubelet annotates containers with it."""
        text = self.config.annotations.get("io.kubernetes.container.ports", "")
        try:
            ports = [int(port["containerPort"]) for port in json.loads(text or "[]")]
        except (ValueError, TypeError, KeyError):
            return []
        return [port for port in ports if 0 < port < 65536]

    def now_seconds(self) -> float:
        return self.kernel.clock.now().timestamp()

    def started_seconds(self) -> float:
        return self.started_at / 1e9

    def current(self) -> Process | None:
        """The process of this container whose code runs at this moment, as the kernel's `current`."""
        running = self.kernel.running
        if running is None:
            return None
        return next((one for one in self.processes.own.values() if one.task is running), None)

    def who(self) -> Who | None:
        """On whose behalf files are touched at this moment; None for the runtime itself."""
        process = self.current()
        if process is None:
            return None
        uid, image_uid = process.uid, _number(self.image.user.partition(":")[0], self.image)
        homes: tuple[str, ...] = ()
        if uid and uid == image_uid:
            homes = tuple(
                place
                for place in (self.image.working_dir, process.env.get("HOME", ""))
                if place not in ("", "/")
            )
        return Who(uid, (process.gid, *self.config.supplemental_groups), homes)

    def looking(self) -> int:
        """The number of whoever looks into /proc: behind `/proc/self`."""
        process = self.current() or self.processes.first
        return process.pid if process is not None else 1

    def _output(self, name: str) -> Output:
        return Output(self, "stdout" if self.config.tty else name, terminal=self.config.tty)


class Output(Counted):
    """Where the first process writes: the log, and whoever is attached."""

    __slots__ = ("_container", "_name", "terminal")

    def __init__(self, container: Container, name: str, *, terminal: bool) -> None:
        super().__init__()
        self._container, self._name = container, name
        self.terminal = terminal

    async def write(self, data: bytes) -> None:
        self.deliver(data)

    def deliver(self, data: bytes) -> None:
        self._container.log.write(self._name, data)
        for sink in tuple(self._container.attached):
            sink.deliver(self._name, data)


def _number(text: str, image: Image) -> int:
    """A user or group of the image by number; by name through its /etc/passwd."""
    if text.isdigit():
        return int(text)
    passwd = image.tree.entries.get("/etc/passwd")
    if text and passwd is not None:
        for line in passwd.content().decode("utf-8", "replace").splitlines():
            parts = line.split(":")
            if len(parts) > 2 and parts[0] == text and parts[2].isdigit():
                return int(parts[2])
    return 0
