"""Runs the tree: a POSIX shell whose processes are ours.

A `Shell` is the state of one shell process; `(…)`, pipelines, `&` and `$(…)` run in a copy of it in
a process of its own, as fork(2) would have it. Commands of other programs become child processes, or
replace the shell where nothing is left to do after them. Loops breathe: after some hundred commands
the shell pauses, longer and longer while it does nothing but compute, so that no script can hold
up the node.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping, Sequence

from services.runtime import launch
from services.runtime.kernel import Future
from services.runtime.opening import open_file
from services.runtime.processes import Exit, Process
from services.runtime.shell import builtins, expand
from services.runtime.shell.parser import parse
from services.runtime.shell.syntax import (
    AndOr,
    Case,
    Command,
    For,
    Function,
    Group,
    If,
    List,
    Pipeline,
    Redirect,
    Redirected,
    ScriptError,
    Simple,
    Subshell,
    While,
)
from services.runtime.streams import NULL, Bytes, Pipe, PipeReader, PipeWriter, Sink, Stream

BREATHS = (400, 0.005, 0.2)  # commands between two pauses; the first and the longest pause in seconds
CALLS_MAX = 40
CAPTURED_BYTES_MAX = 4 * 1024 * 1024
VARIABLES_MAX = 5_000
CPU_NANOSECONDS_PER_COMMAND = 50_000


class Break(Exception):
    def __init__(self, levels: int) -> None:
        self.levels = levels


class Continue(Break):
    pass


class Return(Exception):
    def __init__(self, status: int) -> None:
        self.status = status


class ShellFault(Exception):
    """Ends a script with a message: a broken expansion, a readonly variable, a bad special builtin."""

    def __init__(self, message: str, status: int = 2) -> None:
        super().__init__(message)
        self.status = status


class Shell:
    def __init__(self, process: Process, name: str, arguments: Sequence[str]) -> None:
        self.process = process
        self.name, self.arguments = name, list(arguments)
        self.variables: dict[str, str] = dict(process.env)
        self.variables.setdefault("PWD", process.cwd)
        self.exported: set[str] = set(process.env)
        self.readonly: set[str] = set()
        self.functions: dict[str, Command] = {}
        self.aliases: dict[str, str] = {}
        self.locals: list[dict[str, str | None]] = []
        self.traps: dict[int, str] = {}  # 0 is EXIT
        self.pending: list[int] = []
        self.disturbed: Future[None] | None = None  # what `wait` waits for beside children
        self.children: dict[int, Process] = {}
        self.status = 0
        self.line = 1
        self.errexit = self.nounset = self.xtrace = self.noglob = self.noexec = False
        self.interactive = False
        self.depth = self.loops = 0
        self.careless = 0  # inside a condition, where set -e does not act
        self._steps, self._pause = 0, BREATHS[1]

    # -- what expansion needs -----------------------------------------------------------------

    @property
    def cwd(self) -> str:
        return self.process.cwd

    @property
    def filesystem(self):  # type: ignore[no-untyped-def]
        return self.process.container.filesystem

    def get(self, name: str) -> str | None:
        if name == "?":
            return str(self.status)
        if name == "$":
            return str(self.process.pid)
        if name == "!":
            return str(next(reversed(self.children), "")) or None
        if name == "-":
            return "e" * self.errexit + "u" * self.nounset + "x" * self.xtrace
        if name == "RANDOM":
            return str(self.process.container.machine.random.randrange(32768))
        return self.variables.get(name)

    def set(self, name: str, value: str) -> None:
        if name in self.readonly:
            raise ShellFault(f"{name}: is read only")
        if name not in self.variables and len(self.variables) >= VARIABLES_MAX:
            raise ShellFault("too many variables")
        self.variables[name] = value

    async def substitute(self, body: List) -> str:
        captured = bytearray()

        def deliver(_: str, data: bytes) -> None:
            captured.extend(data[: CAPTURED_BYTES_MAX - len(captured)])

        child = self.fork(body, {**self.process.streams, 1: Sink("stdout", deliver)})
        self.status = await child.exit
        return captured.replace(b"\0", b"").decode("utf-8", "surrogateescape")

    def environment(self) -> dict[str, str]:
        return {name: self.variables[name] for name in self.exported if name in self.variables}

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
        await self.list(tree)

    async def complain(self, message: str) -> None:
        await self.process.complain(f"{self.name}: {self.line}: {message}")

    async def list(self, items: List) -> None:
        for item in items:
            if item.background:
                streams = {**self.process.streams, 0: NULL}
                child = self.fork(((item.__class__(item.command, False)),), streams)
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
            process.handlers = {number: None for number in shell.traps}
            try:
                try:
                    await shell.list_in_place(body)
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

    async def list_in_place(self, body: List) -> None:
        """As `list`; a lone simple command replaces this process instead of being its child."""
        if len(body) == 1 and not body[0].background:
            node = body[0].command
            if not node.rest and len(node.first.commands) == 1 and not node.first.negated:
                command = node.first.commands[0]
                if isinstance(command, Simple) and not self.traps:
                    await self.breathe()
                    await self.simple(command, replace=True)
                    return
        await self.list(body)

    async def breathe(self) -> None:
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
            await self.list(node.body)
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
                await self.list(body)
                return
        self.status = 0
        await self.list(node.otherwise)

    async def test(self, condition: List) -> bool:
        self.careless += 1
        try:
            await self.list(condition)
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
            await self.list(body)
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
                    await self.list(body)
                    return

    # -- simple commands ----------------------------------------------------------------------

    async def fields(self, words: Sequence) -> list[str]:  # type: ignore[type-arg]
        return await self.guarded(expand.fields(self, words))

    async def word(self, word) -> str:  # type: ignore[no-untyped-def]
        return await self.guarded(expand.single(self, word))

    async def guarded(self, expansion):  # type: ignore[no-untyped-def]
        try:
            return await expansion
        except expand.ExpansionFault as fault:
            raise ShellFault(str(fault)) from fault

    async def simple(self, node: Simple, *, replace: bool = False) -> None:
        self.line = node.line
        before = self.status
        self.status = 0
        words = await self.fields(node.words)
        if not words:
            if not any(_substitutes(word) for _, word in node.assignments):
                self.status = before if not node.assignments and not node.redirects else 0
            for name, word in node.assignments:
                self.set(name, await self.word(word))
            async with _Redirection(self, node.redirects) as made:
                self.status = self.status if made else 1
            return
        self.status = before
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
        self, redirects: tuple[Redirect, ...], assignments: Mapping[str, str], run: Callable, *, permanent: bool = False
    ) -> None:  # type: ignore[type-arg]  # fmt: skip
        """A function or builtin: inside this process, with streams changed for as long as it runs."""
        saved = {name: self.variables.get(name) for name in assignments}
        for name, value in assignments.items():
            self.set(name, value)
        async with _Redirection(self, redirects) as made:
            if made:
                self.status = await run()
            else:
                self.status = 2 if permanent else 1
        if not permanent:
            for name, value in saved.items():
                if value is None:
                    self.variables.pop(name, None)
                else:
                    self.variables[name] = value

    async def keep(self, redirects: tuple[Redirect, ...]) -> None:
        """`exec >file`: the redirections stay."""
        opened = await self.open(redirects)
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
        self, words: Sequence[str], assignments: Mapping[str, str], redirects: tuple[Redirect, ...], *, replace: bool
    ) -> None:  # fmt: skip
        env = {**self.environment(), **assignments}
        container, process = self.process.container, self.process
        async with _Redirection(self, redirects) as made:
            if not made:
                self.status = 1
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
        if self.status > 128 and self.interactive:
            await process.write("\n")

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

    def trap(self, number: int, action: str | None) -> None:
        """None puts the default back, an empty action ignores."""
        if action is None:
            self.traps.pop(number, None)
            self.process.handlers.pop(number, None)
            return
        self.traps[number] = action
        if number:
            self.process.handlers[number] = self.caught if action else None

    def caught(self, number: int) -> None:
        if len(self.pending) < 64:
            self.pending.append(number)
        if self.disturbed is not None:
            self.disturbed.set(None)

    async def run_traps(self) -> None:
        while self.pending:
            action = self.traps.get(self.pending.pop(0))
            if action:
                status = self.status
                await self.evaluate(action)
                self.status = status

    # -- redirections -------------------------------------------------------------------------

    async def redirected(self, node: Redirected) -> None:
        async with _Redirection(self, node.redirects) as made:
            if made:
                await self.command(node.command)
            else:
                self.status = 1

    async def open(self, redirects: tuple[Redirect, ...]) -> dict[int, Stream | None] | None:
        """The streams that these redirections make, each held once; None when one failed, told."""
        opened: dict[int, Stream | None] = {}
        for redirect in redirects:
            target = await self.word(redirect.target)
            try:
                self.open_one(redirect, target, opened)
            except OSError as error:
                verb = "open" if redirect.operator.startswith("<") else "create"
                words = os.strerror(error.errno or 0)
                if error.errno == errno.ENOENT:
                    words = "No such file" if verb == "open" else "Directory nonexistent"
                if error.errno == errno.EBADF:
                    await self.complain(f"{target}: Bad file descriptor")
                else:
                    await self.complain(f"cannot {verb} {target}: {words}")
                for stream in opened.values():
                    if stream is not None:
                        stream.release()
                return None
        return opened

    def open_one(self, redirect: Redirect, target: str, opened: dict[int, Stream | None]) -> None:
        operator, fd = redirect.operator, redirect.fd
        if operator in ("&>", "&>>"):
            stream = open_file(self.process, target, ">>" if operator == "&>>" else ">")
            stream.retain()
            self.replace_stream(opened, 1, stream)
            self.replace_stream(opened, 2, stream)
            return
        made: Stream | None
        if operator == "<<":
            made = Bytes(target.encode("utf-8", "surrogateescape"))
        elif operator in (">&", "<&"):
            if target == "-":
                made = None
            elif target.isdigit():
                number = int(target)
                made = opened[number] if number in opened else self.process.streams.get(number)
                if made is None:
                    raise OSError(errno.EBADF, "Bad file descriptor")
                made.retain()
            else:
                made = open_file(self.process, target, ">")
        else:
            made = open_file(self.process, target, operator)
        self.replace_stream(opened, fd, made)

    def replace_stream(self, opened: dict[int, Stream | None], fd: int, stream: Stream | None) -> None:
        old = opened.get(fd)
        opened[fd] = stream
        if old is not None:
            old.release()


class _Redirection:
    """Changes the process's streams for the body; the value tells whether all could be opened."""

    def __init__(self, shell: Shell, redirects: tuple[Redirect, ...]) -> None:
        self._shell, self._redirects = shell, redirects
        self._saved: dict[int, Stream | None] = {}
        self._opened: dict[int, Stream | None] = {}

    async def __aenter__(self) -> bool:
        if not self._redirects:
            return True
        opened = await self._shell.open(self._redirects)
        if opened is None:
            return False
        self._opened = opened
        streams = self._shell.process.streams
        for fd, stream in opened.items():
            self._saved[fd] = streams.pop(fd, None)
            if stream is not None:
                streams[fd] = stream
        return True

    async def __aexit__(self, *_: object) -> None:
        streams = self._shell.process.streams
        for fd, old in self._saved.items():
            if streams.get(fd) is self._opened[fd]:
                streams.pop(fd, None)
            if old is not None:
                streams[fd] = old
            stream = self._opened[fd]
            if stream is not None:
                stream.release()


def _lone(command: Command) -> List:
    from services.runtime.shell.syntax import Item

    return (Item(AndOr(Pipeline((command,), False), ()), False),)


def _substitutes(word) -> bool:  # type: ignore[no-untyped-def]
    return any(type(part).__name__ == "Substitution" for part in word)
