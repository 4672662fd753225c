"""Simple commands: assignments, functions, builtins, and programs as child processes.

A program becomes a child, or takes the place of the shell where nothing is left to do after it.
"""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from services.runtime import launch
from services.runtime.kernel import Killed
from services.runtime.processes import Exit, Process, Program
from services.runtime.shell import builtins, expand, parameters
from services.runtime.shell.dialect import SIGNAL_WORDS, Dialect
from services.runtime.shell.parser import parse
from services.runtime.shell.redirection import Redirection, open_all
from services.runtime.shell.state import Array, Key, Return, ShellFault, State
from services.runtime.shell.syntax import (
    Assignment,
    Command,
    List,
    Redirect,
    ScriptError,
    Simple,
    Text,
    Word,
)

if TYPE_CHECKING:
    from services.runtime.shell.interpreter import Shell

CALLS_MAX = 40
NO_PATH = "/nonexistent"
SIGINT = 2
T = TypeVar("T")


class Commands(State):
    """The half of a shell that runs one command. The other half is in interpreter.py."""

    async def command(self, node: Command) -> None:
        raise NotImplementedError

    def fork(self, body: List, streams: Mapping[int, object]) -> Process:
        raise NotImplementedError

    def itself(self) -> Shell:
        return self  # type: ignore[return-value]

    async def complain(self, message: str, builtin: str = "") -> None:
        """An error, with the head that this shell gives it."""
        if self.dialect is Dialect.ASH:
            where = f"{builtin}: line {self.line - (not self.in_file)}: " if builtin else ""
            where = where or (f"line {self.line}: " if self.in_file else "")
            await self.process.complain(f"{self.name}: {where}{message}")
            return
        line = f"line {self.line}" if self.dialect is Dialect.BASH else f"{self.line}"
        await self.process.complain(f"{self.name}: {line}: {f'{builtin}: ' if builtin else ''}{message}")

    # -- expansion ----------------------------------------------------------------------------

    async def fields(self, words: Sequence[Word]) -> list[str]:
        return await self.guarded(expand.fields(self.itself(), words))

    async def word(self, word: Word) -> str:
        if len(word) == 1 and isinstance(word[0], Text) and (word[0].quoted or "~" not in word[0].text):
            return word[0].text
        return await self.guarded(expand.single(self.itself(), word))

    async def guarded(self, expansion: Awaitable[T]) -> T:
        try:
            return await expansion
        except expand.ExpansionFault as fault:
            raise ShellFault(str(fault), fault.status) from fault

    def calculated(self, text: str) -> int:
        try:
            return parameters.calculate(self.itself(), text)
        except expand.ExpansionFault as fault:
            raise ShellFault(str(fault), fault.status) from fault

    # -- assignments --------------------------------------------------------------------------

    async def assign(self, node: Assignment) -> str:
        """Does it; the answer is what `set -x` shows."""
        if node.elements is not None:
            await self.assign_elements(node)
            return f"{node.name}=(…)"
        value = await self.word(node.value)
        if node.subscript is not None:
            key = parameters_key(self, node.name, await self.word(node.subscript))
            if node.append:
                value = (self.elements(node.name).get(key) or "") + value
            self.put(node.name, key, value)
            return f"{node.name}[{key}]={value}"
        if node.name in self.integers:
            value = str(self.calculated(f"{self.get(node.name) or 0}+({value})" if node.append else value))
        elif node.append:
            value = (self.get(node.name) or "") + value
        self.set(node.name, value)
        return f"{node.name}={value if self.is_dash else parameters.quoted(value) if value else value}"

    async def assign_elements(self, node: Assignment) -> None:
        new: list[tuple[Key | None, str]] = []
        for subscript, word in node.elements or ():
            if subscript is not None:
                key = parameters_key(self, node.name, await self.word(subscript))
                new.append((key, await self.word(word)))
            else:
                new.extend((None, one) for one in await self.fields((word,)))
        array: Array = self.array(node.name)
        if not node.append:
            self.empty(array)
        following = max((key for key in array if isinstance(key, int)), default=-1) + 1
        for given, value in new:
            place: Key = following if given is None else given
            self.put(node.name, place, value)
            following = place + 1 if isinstance(place, int) else following

    # -- simple commands ----------------------------------------------------------------------

    async def simple(self, node: Simple, *, replace: bool = False) -> None:
        self.line = node.line
        self.substituted = None
        if self.aliases:
            node = self.unaliased(node)
        words = await self.fields(node.words)
        if not words:
            await self.bare(node)
            return
        name = words[0]
        prefixes = [one for one in node.assignments if one.elements is None and one.subscript is None]
        declares = name in builtins.DECLARING and any(word.startswith("\0") for word in words)
        prefixes = [] if declares else prefixes
        assignments = {one.name: await self.word(one.value) for one in prefixes}
        if self.xtrace:
            await self.show(assignments, words)
        if name in self.functions:
            await self.in_place(node.redirects, assignments, lambda: self.call(name, words[1:]))
            return
        run = builtins.find(self.dialect, name)
        if run is None:
            await self.external(words, assignments, node.redirects, replace=replace)
        elif name == "exec" and len(words) == 1:
            await self.keep(node.redirects)
        else:
            builtin = run
            self.declared = node.assignments if declares else ()
            permanent = name in builtins.SPECIAL and self.dialect is not Dialect.BASH
            await self.in_place(
                node.redirects, assignments, lambda: builtin(self.itself(), words), permanent=permanent
            )

    declared: tuple[Assignment, ...] = ()

    async def bare(self, node: Simple) -> None:
        for assignment in node.assignments:
            shown = await self.assign(assignment)
            if self.xtrace:
                await self.process.complain(f"{self.trace_head()}{shown}")
        async with Redirection(self.itself(), node.redirects) as made:
            # Without a command the status is that of the last $(…), if there was one.
            self.status = (self.substituted or 0) if made else self.failed_redirection()

    def failed_redirection(self) -> int:
        return 2 if self.is_dash else 1

    def trace_head(self) -> str:
        return self.get("PS4") or "+ "

    async def show(self, assignments: Mapping[str, str], words: Sequence[str]) -> None:
        """What `set -x` prints."""
        quoted: Callable[[str], str] = str if self.is_dash else parameters.quoted
        pairs = [f"{name}={quoted(value)}" for name, value in assignments.items()]
        visible = [quoted(word) for word in words if not word.startswith("\0")]
        if self.dialect is Dialect.BASH:
            for pair in pairs:
                await self.process.complain(f"{self.trace_head()}{pair}")
            pairs = []
        await self.process.complain(self.trace_head() + " ".join([*pairs, *visible]))

    def unaliased(self, node: Simple) -> Simple:
        """The command with its first word replaced, if that is an alias for a simple command."""
        seen: set[str] = set()
        while node.words and (self.interactive or self.dialect is not Dialect.BASH):
            first = node.words[0]
            text = (
                first[0].text
                if len(first) == 1 and isinstance(first[0], Text) and not first[0].quoted
                else ""
            )
            if text not in self.aliases or text in seen or self.alias_lines.get(text, 0) >= node.line:
                break
            seen.add(text)
            try:
                tree = parse(self.aliases[text], self.dialect)
            except ScriptError:
                break
            inner = tree[0].command.first.commands[0] if len(tree) == 1 and not tree[0].command.rest else None
            if not isinstance(inner, Simple):
                break
            node = Simple(
                node.assignments + inner.assignments, inner.words + node.words[1:],
                inner.redirects + node.redirects, node.line,
            )  # fmt: skip
        return node

    alias_lines: Mapping[str, int] = {}

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
        hidden = {name for name in assignments if name not in self.exported}
        for name, value in assignments.items():
            self.set(name, value)
        if not permanent:
            self.exported |= set(assignments)
        async with Redirection(self.itself(), redirects) as made:
            if made:
                try:
                    self.status = await run()
                except BrokenPipeError:
                    raise
                except OSError as error:  # a full disk, a device that takes nothing
                    await self.complain(f"write error: {error.strerror}")
                    self.status = 1
            elif permanent and not self.interactive:
                raise Exit(2 if self.is_dash else 1)
            else:
                self.status = self.failed_redirection()
        if not permanent:
            self.exported -= hidden
            for name, old in saved.items():
                self.restore(name, old, None)

    def restore(self, name: str, value: str | None, array: Array | None) -> None:
        self.forget(name)
        if array is not None:
            self.arrays[name] = array
            self.held += sum(map(len, array.values()))
        elif value is not None:
            self.variables[name] = value
            self.held += len(value)

    async def keep(self, redirects: tuple[Redirect, ...]) -> None:
        """`exec >file`: the redirections stay."""
        opened = await open_all(self.itself(), redirects)
        if opened is None:
            self.status = self.failed_redirection()
            if not self.interactive and self.dialect is not Dialect.BASH:
                raise Exit(self.status)
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
        self.calling.append(name)
        try:
            await self.command(self.functions[name])
        except Return as back:
            self.status = back.status
        finally:
            self.depth -= 1
            self.calling.pop()
            self.arguments, self.loops = saved, loops
            for variable, (value, array) in self.locals.pop().items():
                self.restore(variable, value, array)
        return self.status

    # -- programs -----------------------------------------------------------------------------

    def program(self, words: Sequence[str], env: Mapping[str, str]) -> Program:
        """What these words start. OSError where nothing does."""
        path = env.get("PATH", self.variables.get("PATH"))
        lookup = {} if path is None else {"PATH": path or NO_PATH}
        container, cwd = self.process.container, self.process.cwd
        return launch.find_for_shell(container, tuple(words), lookup, cwd)

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
        async with Redirection(self.itself(), redirects) as made:
            if not made:
                self.status = self.failed_redirection()
                return
            try:
                program = self.program(words, env)
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
            self.rested()
        await self.mourn(child)
        if self.interrupted:
            raise ShellFault("interrupted", 130)

    def rested(self) -> None:
        raise NotImplementedError

    async def mourn(self, child: Process) -> None:
        """Says which signal ended a child, as shells do where nobody asked for it."""
        killed = child.task.error if child.task is not None else None
        if not isinstance(killed, Killed) or self.interrupted:
            return
        words = SIGNAL_WORDS.get(killed.status - 128)
        if words is None:
            return
        if self.dialect is Dialect.BASH:
            command = " ".join(child.argv)
            await self.process.complain(
                f"{self.name}: line {self.line}: {child.pid:5d} {words:<23} {command}"
            )
        else:
            await self.process.complain(words)

    async def not_found(self, name: str, error: OSError, builtin: str = "") -> int:
        bash = self.dialect is Dialect.BASH
        if error.errno in (errno.EACCES, errno.EISDIR):
            folder = bash and error.errno == errno.EISDIR
            await self.complain(f"{name}: {'Is a directory' if folder else 'Permission denied'}", builtin)
            return 126
        missing = "No such file or directory" if "/" in name else "command not found"
        await self.complain(f"{name}: {missing if bash else 'not found'}", builtin)
        return 127

    async def replace(self, words: Sequence[str]) -> int:
        """`exec command`."""
        env = self.environment()
        try:
            program = self.program(words, env)
        except OSError as error:
            raise Exit(await self.not_found(words[0], error, "exec")) from error
        self.process.argv, self.process.env = tuple(words), env
        self.process.handlers = {number: None for number, text in self.traps.items() if number and not text}
        self.traps.clear()
        raise Exit(await program(self.process))


def parameters_key(shell: Commands, name: str, text: str) -> Key:
    try:
        return parameters.key_of(shell.itself(), name, text)
    except expand.ExpansionFault as fault:
        raise ShellFault(str(fault), fault.status) from fault
