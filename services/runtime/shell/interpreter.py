"""Runs the tree: a POSIX shell whose processes are ours.

A `Shell` is the state of one shell process; `(…)`, pipelines, `&` and `$(…)` run in a copy of it in
a process of its own, as fork(2) would have it. Commands of other programs become child processes, or
replace the shell where nothing is left to do after them. Loops breathe: after some hundred commands
the shell pauses, longer and longer while it does nothing but compute, so that no script can hold
up the node.
"""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from services.runtime import launch
from services.runtime.processes import Exit, Process
from services.runtime.shell import builtins, expand
from services.runtime.shell.parser import parse
from services.runtime.shell.redirection import Redirection, open_all
from services.runtime.shell.state import BREATHS, Break, Continue, Return, ShellFault, State
from services.runtime.shell.syntax import (
    AndOr,
    Case,
    Command,
    For,
    Function,
    Group,
    If,
    Item,
    List,
    Pipeline,
    Redirect,
    Redirected,
    ScriptError,
    Simple,
    Subshell,
    While,
    Word,
)
from services.runtime.streams import NULL, Pipe, PipeReader, PipeWriter, Sink, Stream

CALLS_MAX = 40
CAPTURED_BYTES_MAX = 4 * 1024 * 1024
CPU_NANOSECONDS_PER_COMMAND = 50_000
T = TypeVar("T")


class Shell(State):
    """A shell process, running."""

    async def substitute(self, body: List) -> str:
        captured = bytearray()

        def deliver(_: str, data: bytes) -> None:
            captured.extend(data[: CAPTURED_BYTES_MAX - len(captured)])

        child = self.fork(body, {**self.process.streams, 1: Sink("stdout", deliver)})
        self.substituted = await child.exit
        return captured.replace(b"\0", b"").decode("utf-8", "surrogateescape")

    # -- running ------------------------------------------------------------------------------

    async def run(self, source: str) -> int:
        """A whole script, its EXIT trap included."""
        try:
            try:
                await self.evaluate(source)
            except Return as back:
                self.status = back.status
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
            except (Return, ShellFault):
                return self.status
            self.status = status
        return self.status

    async def evaluate(self, source: str) -> None:
        try:
            tree = parse(source)
        except ScriptError as error:
            await self.process.complain(f"{self.name}: {error.line}: Syntax error: {error}")
            self.status = 2
            if not self.interactive:
                raise Exit(2) from error
            return
        await self.commands(tree)

    async def complain(self, message: str) -> None:
        await self.process.complain(f"{self.name}: {self.line}: {message}")

    async def commands(self, items: List) -> None:
        for item in items:
            if item.background:
                streams = {**self.process.streams, 0: NULL}
                child = self.fork((Item(item.command, False),), streams)
                self.children[child.pid] = child
                self.status = 0
            else:
                await self.and_or(item.command)

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
        elif self.status and self.errexit and not self.careless and not condition:
            raise Exit(self.status)
        if self.pending:
            await self.run_traps()

    async def pipe(self, commands: tuple[Command, ...]) -> None:
        children, source = [], self.process.streams.get(0, NULL)
        last = len(commands) - 1
        held: list[Stream] = []
        for index, command in enumerate(commands):
            streams = {**self.process.streams, 0: source}
            if index < last:
                pipe = Pipe()
                writer, reader = PipeWriter(pipe), PipeReader(pipe)
                streams[1], source = writer, reader
                held += [writer, reader]
            children.append(self.fork(_lone(command), streams))
        for stream in held:
            stream.release()
        for child in children:
            self.status = await child.exit

    def fork(self, body: List, streams: Mapping[int, Stream]) -> Process:
        """A copy of this shell, in a process of its own, that runs this and ends."""
        shell = Shell.__new__(Shell)
        shell.__dict__.update(self.__dict__)
        shell.variables, shell.exported = dict(self.variables), set(self.exported)
        shell.functions, shell.arguments = dict(self.functions), list(self.arguments)
        shell.traps = {number: text for number, text in self.traps.items() if number and not text}
        shell.children, shell.pending, shell.disturbed, shell.locals = {}, [], None, []
        shell.interactive = False

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
                if isinstance(command, Simple) and not self.traps:
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

    async def command(self, node: Command) -> None:
        await self.breathe()
        if isinstance(node, Simple):
            await self.simple(node)
        elif isinstance(node, If):
            await self.conditional(node)
        elif isinstance(node, While):
            await self.loop(node)
        elif isinstance(node, For):
            await self.iterate(node)
        elif isinstance(node, Case):
            await self.select(node)
        elif isinstance(node, Group):
            await self.commands(node.body)
        elif isinstance(node, Subshell):
            self.status = await self.fork(node.body, self.process.streams).exit
        elif isinstance(node, Function):
            self.functions[node.name] = node.body
            self.status = 0
        else:
            await self.redirected(node)

    async def conditional(self, node: If) -> None:
        for condition, body in node.arms:
            if await self.test(condition):
                await self.commands(body)
                return
        self.status = 0
        await self.commands(node.otherwise)

    async def test(self, condition: List) -> bool:
        self.careless += 1
        try:
            await self.commands(condition)
        finally:
            self.careless -= 1
        return self.status == 0

    async def loop(self, node: While) -> None:
        status = 0
        self.loops += 1
        try:
            while await self.test(node.condition) != node.until:
                if not await self.turn(node.body):
                    break
                status = self.status
        except Break as jump:
            self.outer(jump)
        finally:
            self.loops -= 1
        self.status = status

    async def iterate(self, node: For) -> None:
        words = self.arguments if node.words is None else await self.fields(node.words)
        self.status = 0
        self.loops += 1
        try:
            for word in list(words):
                self.set(node.name, word)
                if not await self.turn(node.body):
                    break
        finally:
            self.loops -= 1

    async def turn(self, body: List) -> bool:
        """One round of a loop; False to leave it."""
        try:
            await self.commands(body)
        except Break as jump:
            self.outer(jump)
            return isinstance(jump, Continue)
        return True

    def outer(self, jump: Break) -> None:
        if jump.levels > 1 and self.loops > 1:
            jump.levels -= 1
            raise jump

    async def select(self, node: Case) -> None:
        subject = await self.word(node.word)
        self.status = 0
        for patterns, body in node.arms:
            for word in patterns:
                if expand.matches(subject, await self.guarded(expand.pattern(self, word))):
                    await self.commands(body)
                    return

    # -- simple commands ----------------------------------------------------------------------

    async def fields(self, words: Sequence[Word]) -> list[str]:
        return await self.guarded(expand.fields(self, words))

    async def word(self, word: Word) -> str:
        return await self.guarded(expand.single(self, word))

    async def guarded(self, expansion: Awaitable[T]) -> T:
        try:
            return await expansion
        except expand.ExpansionFault as fault:
            raise ShellFault(str(fault)) from fault

    async def simple(self, node: Simple, *, replace: bool = False) -> None:
        self.line = node.line
        self.substituted = None
        words = await self.fields(node.words)
        if not words:
            for name, word in node.assignments:
                self.set(name, await self.word(word))
            async with Redirection(self, node.redirects) as made:
                # Without a command the status is that of the last $(…), if there was one.
                self.status = (self.substituted or 0) if made else 1
            return
        if self.xtrace:
            await self.process.complain("+ " + " ".join(words))
        assignments = {name: await self.word(word) for name, word in node.assignments}
        name = words[0]
        if name in self.functions:
            await self.in_place(node.redirects, assignments, lambda: self.call(name, words[1:]))
        elif name in builtins.BUILTINS:
            if name == "exec" and len(words) == 1:
                await self.keep(node.redirects)
                return
            permanent = name in builtins.SPECIAL
            run = builtins.BUILTINS[name]
            await self.in_place(node.redirects, assignments, lambda: run(self, words), permanent=permanent)
        else:
            await self.external(words, assignments, node.redirects, replace=replace)

    async def in_place(
        self,
        redirects: tuple[Redirect, ...],
        assignments: Mapping[str, str],
        run: Callable[[], Awaitable[int]],
        *,
        permanent: bool = False,
    ) -> None:
        """A function or builtin: inside this process, with streams changed for as long as it runs."""
        saved = {name: self.variables.get(name) for name in assignments}
        for name, value in assignments.items():
            self.set(name, value)
        async with Redirection(self, redirects) as made:
            if made:
                self.status = await run()
            else:
                self.status = 2 if permanent else 1
        if not permanent:
            for name, old in saved.items():
                if old is None:
                    self.variables.pop(name, None)
                else:
                    self.variables[name] = old

    async def keep(self, redirects: tuple[Redirect, ...]) -> None:
        """`exec >file`: the redirections stay."""
        opened = await open_all(self, redirects)
        if opened is None:
            self.status = 1
            return
        for fd, stream in opened.items():
            old = self.process.streams.pop(fd, None)
            if stream is not None:
                self.process.streams[fd] = stream
            if old is not None:
                old.release()
        self.status = 0

    async def call(self, name: str, arguments: Sequence[str]) -> int:
        if self.depth >= CALLS_MAX:
            raise ShellFault("Maximum function recursion depth reached")
        saved, self.arguments = self.arguments, list(arguments)
        loops, self.loops = self.loops, 0
        self.depth += 1
        self.locals.append({})
        try:
            await self.command(self.functions[name])
        except Return as back:
            self.status = back.status
        finally:
            self.depth -= 1
            self.arguments, self.loops = saved, loops
            for variable, value in self.locals.pop().items():
                if value is None:
                    self.variables.pop(variable, None)
                else:
                    self.variables[variable] = value
        return self.status

    async def external(
        self,
        words: Sequence[str],
        assignments: Mapping[str, str],
        redirects: tuple[Redirect, ...],
        *,
        replace: bool,
    ) -> None:
        env = {**self.environment(), **assignments}
        container, process = self.process.container, self.process
        async with Redirection(self, redirects) as made:
            if not made:
                self.status = 2 if self.is_dash else 1
                return
            try:
                lookup = {**env, "PATH": env.get("PATH", self.variables.get("PATH", ""))}
                program = launch.find(container, tuple(words), lookup, process.cwd)
            except OSError as error:
                self.status = await self.not_found(words[0], error)
                return
            if replace:
                process.argv, process.env = tuple(words), env
                process.handlers = {number: None for number, text in self.traps.items() if not text}
                self.status = await program(process)
                return
            try:
                child = container.start_process(
                    tuple(words), program, process, env, process.cwd, process.streams
                )
            except BlockingIOError as error:
                raise ShellFault("Cannot fork") from error
        moment = container.kernel.clock.monotonic()
        self.status = await child.exit
        if container.kernel.clock.monotonic() - moment > self._pause:
            self._pause = BREATHS[1]
        if self.interrupted:
            raise ShellFault("interrupted", 130)

    async def not_found(self, name: str, error: OSError) -> int:
        if error.errno == errno.EACCES:
            await self.complain(f"{name}: Permission denied")
            return 126
        if error.errno == errno.EISDIR:
            await self.complain(f"{name}: Permission denied")
            return 126
        await self.complain(f"{name}: not found")
        return 127

    async def replace(self, words: Sequence[str]) -> int:
        """`exec command`."""
        env = self.environment()
        try:
            program = launch.find(self.process.container, tuple(words), self.variables, self.process.cwd)
        except OSError as error:
            raise Exit(await self.not_found(words[0], error)) from error
        self.process.argv, self.process.env = tuple(words), env
        self.process.handlers = {number: None for number, text in self.traps.items() if number and not text}
        self.traps.clear()
        raise Exit(await program(self.process))

    # -- traps --------------------------------------------------------------------------------

    async def run_traps(self) -> None:
        while self.pending:
            action = self.traps.get(self.pending.pop(0))
            if action:
                status = self.status
                await self.evaluate(action)
                self.status = status

    # -- redirections -------------------------------------------------------------------------

    async def redirected(self, node: Redirected) -> None:
        async with Redirection(self, node.redirects) as made:
            if made:
                await self.command(node.command)
            else:
                self.status = 1


def _lone(command: Command) -> List:
    return (Item(AndOr(Pipeline((command,), False), ()), False),)
