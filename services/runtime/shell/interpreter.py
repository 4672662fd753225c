"""Runs the tree: a POSIX shell whose processes are ours.

A `Shell` is the state of one shell process; `(…)`, pipelines, `&` and `$(…)` run in a copy of it in
a process of its own, as fork(2) would have it. Loops breathe: after some hundred commands the shell
pauses, longer and longer while it does nothing but compute, so that no script can hold up the node.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping

from services.runtime.processes import Exit, Process
from services.runtime.shell import checks
from services.runtime.shell.compounds import Compounds
from services.runtime.shell.dialect import Dialect, syntax_error
from services.runtime.shell.parser import parse
from services.runtime.shell.state import BREATHS, HELD_STEP_CHARACTERS, Break, Return, ShellFault
from services.runtime.shell.syntax import (
    AndOr,
    Calculation,
    Case,
    Check,
    Command,
    Counting,
    For,
    Function,
    Group,
    If,
    Item,
    List,
    Pipeline,
    ScriptError,
    Simple,
    Subshell,
    While,
)
from services.runtime.streams import NULL, Pipe, PipeReader, PipeWriter, Sink, Stream

CAPTURED_BYTES_MAX = 4 * 1024 * 1024
CPU_NANOSECONDS_PER_COMMAND = 50_000
SUBSHELLS_MAX = 60  # inside one another
FIRST_BORROWED = 63  # bash hands out <(…) from here downwards


class Shell(Compounds):
    """A shell process, running."""

    async def substitute(self, body: List) -> str:
        captured = bytearray()

        before = came = self.process.held

        def deliver(_: str, data: bytes) -> None:
            nonlocal came
            captured.extend(data[: CAPTURED_BYTES_MAX - len(captured)])
            came += len(data)  # what a real shell would keep
            if came - self.process.held > HELD_STEP_CHARACTERS:
                self.process.hold(came)

        child = self.fork(body, {**self.process.streams, 1: Sink("stdout", deliver)})
        self.substituted = await child.exit
        self.process.hold(before)
        return captured.replace(b"\0", b"").decode("utf-8", "surrogateescape")

    def substitute_process(self, body: List, *, reads: bool) -> str:
        """<(…): the commands run beside this one, which reaches them as a file."""
        pipe = Pipe()
        writer, reader = PipeWriter(pipe), PipeReader(pipe)
        theirs, ours = (writer, reader) if reads else (reader, writer)
        self.fork(body, {**self.process.streams, int(reads): theirs})
        theirs.release()
        fd = FIRST_BORROWED
        while fd in self.process.streams:
            fd -= 1
        self.process.streams[fd] = ours
        self.borrowed.append(fd)
        return f"/dev/fd/{fd}"

    # -- running ------------------------------------------------------------------------------

    async def run(self, source: str) -> int:
        """A whole script, its EXIT trap included."""
        return await self.whole(self.evaluate(source))

    async def whole(self, script: Awaitable[None]) -> int:
        """All of a script, however it comes, with its EXIT trap."""
        try:
            try:
                await script
            except Return as back:
                self.status = back.status
            except Break:
                pass
            except ShellFault as fault:
                await self.complain(str(fault))
                self.status = fault.status
        except Exit as leaving:
            self.status = leaving.status
        return await self.leave()

    async def leave(self) -> int:
        final = self.traps.pop(0, None)
        if final is not None:
            status = self.status
            try:
                await self.evaluate(final)
            except Exit as leaving:
                return leaving.status
            except (Return, Break, ShellFault):
                return self.status
            self.status = status
        return self.status

    async def evaluate(self, source: str, inner: str = "") -> None:
        """Runs a text line by line, as it is read: what stands before an error is done."""
        try:
            tree = parse(source, self.dialect)
        except ScriptError as error:
            await self.commands(error.done)
            await self.process.complain(syntax_error(self.dialect, self.name, source, error, inner=inner))
            self.status = 2
            if not self.interactive:
                raise Exit(2) from error
            return
        await self.commands(tree)

    async def commands(self, items: List) -> None:
        for item in items:
            if item.background:
                streams = {**self.process.streams, 0: NULL}
                child = self.fork((Item(item.command, False),), streams)
                self.children[child.pid] = child
                self.last_child = child.pid
                self.bury()
                self.status = 0
            else:
                await self.and_or(item.command)

    def bury(self) -> None:
        """Forgets the oldest children that have ended, when there are many."""
        while len(self.children) > 200:
            ended = next((pid for pid, child in self.children.items() if child.exit.done), None)
            if ended is None:
                return
            del self.children[ended]

    async def and_or(self, node: AndOr) -> None:
        if not node.rest:
            await self.pipeline(node.first)
            return
        last = len(node.rest)
        await self.pipeline(node.first, condition=True)
        for index, (operator, pipeline) in enumerate(node.rest, 1):
            if (self.status == 0) == (operator == "&&"):
                await self.pipeline(pipeline, condition=index < last)

    async def pipeline(self, node: Pipeline, *, condition: bool = False) -> None:
        careless = condition or node.negated
        self.careless += careless
        try:
            if len(node.commands) == 1:
                await self.command(node.commands[0])
            else:
                await self.pipe(node.commands)
        finally:
            self.careless -= careless
        if node.negated:
            self.status = int(not self.status)
        elif self.status and not condition and not self.careless and (self.errexit or self.error_trap):
            await self.fail()
        if self.pending:
            await self.run_traps()

    async def fail(self) -> None:
        """A command failed that nobody asked: the ERR trap, and the end where `set -e` is on."""
        status, action = self.status, self.error_trap
        if action and not self.depth:
            self.error_trap = ""
            await self.evaluate(action)
            self.status, self.error_trap = status, action
        if self.errexit:
            raise Exit(status)

    async def pipe(self, commands: tuple[Command, ...]) -> None:
        children, source = [], self.process.streams.get(0, NULL)
        last = len(commands) - 1
        held: list[Stream] = []
        try:
            for index, command in enumerate(commands):
                streams = {**self.process.streams, 0: source}
                if index < last:
                    pipe = Pipe()
                    writer, reader = PipeWriter(pipe), PipeReader(pipe)
                    streams[1], source = writer, reader
                    held += [writer, reader]
                children.append(self.fork(_lone(command), streams))
        finally:
            for stream in held:
                stream.release()
        statuses = [await child.exit for child in children]
        self.status = statuses[-1]
        if self.pipefail:
            self.status = next((status for status in reversed(statuses) if status), 0)
        if self.dialect is Dialect.BASH:
            self.forget("PIPESTATUS")
            for number, status in enumerate(statuses):
                self.put("PIPESTATUS", number, str(status))
        await self.mourn(children[-1])

    def fork(self, body: List, streams: Mapping[int, Stream]) -> Process:  # type: ignore[override]
        """A copy of this shell, in a process of its own, that runs this and ends."""
        if self.nested >= SUBSHELLS_MAX:
            raise ShellFault("Cannot fork")
        shell = Shell.__new__(Shell)
        shell.__dict__.update(self.__dict__)
        shell.variables, shell.exported = dict(self.variables), set(self.exported)
        shell.arrays = {name: dict(array) for name, array in self.arrays.items()}
        shell.maps, shell.readonly = set(self.maps), set(self.readonly)
        shell.integers, shell.shopts = set(self.integers), set(self.shopts)
        shell.functions, shell.arguments = dict(self.functions), list(self.arguments)
        shell.aliases, shell.calling = dict(self.aliases), list(self.calling)
        shell.traps = {number: text for number, text in self.traps.items() if number and not text}
        shell.children, shell.pending, shell.disturbed = {}, [], None
        shell.inherited = shell.held  # what a fork shares with its parent is no memory of its own
        # What a function made local stays so in its subshells.
        shell.locals = [dict(scope) for scope in self.locals]
        shell.borrowed = []
        shell.interactive = False
        shell.nested += 1

        async def program(process: Process) -> int:
            shell.process = process
            process.handlers = dict.fromkeys(shell.traps)
            try:
                try:
                    await shell.in_place_of_process(body)
                except (Break, Return) as jump:
                    shell.status = getattr(jump, "status", shell.status)
                except ShellFault as fault:
                    await shell.complain(str(fault))
                    shell.status = fault.status
            except Exit as leaving:
                shell.status = leaving.status
            return await shell.leave()

        container = self.process.container
        argv, cwd = self.process.argv, self.process.cwd
        try:
            return container.start_process(argv, program, self.process, self.process.env, cwd, streams)
        except BlockingIOError as error:
            raise ShellFault("Cannot fork") from error

    async def in_place_of_process(self, body: List) -> None:
        """As `list`; a lone simple command replaces this process instead of being its child."""
        if len(body) == 1 and not body[0].background:
            node = body[0].command
            if not node.rest and len(node.first.commands) == 1 and not node.first.negated:
                command = node.first.commands[0]
                if isinstance(command, Subshell) and not self.traps:
                    await self.in_place_of_process(command.body)
                    return
                if isinstance(command, Simple) and not self.traps and not self.noexec:
                    await self.breathe()
                    await self.simple(command, replace=True)
                    return
        await self.commands(body)

    async def breathe(self) -> None:
        if self.interrupted:
            raise ShellFault("interrupted", 130)
        self._steps += 1
        if self._steps % BREATHS[0]:
            return
        container = self.process.container
        container.usage.charge_cpu(BREATHS[0] * CPU_NANOSECONDS_PER_COMMAND)
        await container.kernel.sleep(self._pause)
        self._pause = min(self._pause * 2, BREATHS[2])

    def rested(self) -> None:
        self._pause = BREATHS[1]

    # -- compound commands --------------------------------------------------------------------

    async def command(self, node: Command) -> None:
        await self.breathe()
        if self.noexec and not self.interactive:
            return
        borrowed = len(self.borrowed)
        try:
            await self._command(node)
        finally:
            for fd in self.borrowed[borrowed:]:
                stream = self.process.streams.pop(fd, None)
                if stream is not None:
                    stream.release()
            del self.borrowed[borrowed:]

    async def _command(self, node: Command) -> None:
        if isinstance(node, Simple):
            await self.simple(node)
        elif isinstance(node, If):
            await self.conditional(node)
        elif isinstance(node, While):
            await self.loop(node)
        elif isinstance(node, For):
            await self.iterate(node)
        elif isinstance(node, Counting):
            await self.count(node)
        elif isinstance(node, Case):
            await self.select(node)
        elif isinstance(node, Group):
            await self.commands(node.body)
        elif isinstance(node, Subshell):
            child = self.fork(node.body, self.process.streams)
            self.status = await child.exit
            await self.mourn(child)
        elif isinstance(node, Function):
            self.functions[node.name] = node.body
            self.status = 0
        elif isinstance(node, Check):
            self.status = int(not await self.guarded(checks.holds(self, node)))
        elif isinstance(node, Calculation):
            self.status = int(self.calculated(await self.word(node.word)) == 0)
        else:
            await self.redirected(node)

    # -- traps --------------------------------------------------------------------------------

    async def run_traps(self) -> None:
        while self.pending:
            action = self.traps.get(self.pending.pop(0))
            if action:
                status = self.status
                await self.evaluate(action)
                self.status = status


def _lone(command: Command) -> List:
    return (Item(AndOr(Pipeline((command,), False), ()), False),)
