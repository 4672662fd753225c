"""awk's files, pipes and commands: what `>`, `|`, getline, close and system reach."""

from __future__ import annotations

from collections import deque

from services.runtime import launch
from services.runtime.opening import open_file
from services.runtime.processes import Process
from services.runtime.programs.awk.values import AwkFault
from services.runtime.programs.input import Lines, words_of
from services.runtime.streams import Pipe, PipeReader, PipeWriter, Sink, Stream

CHANNELS_MAX = 100
CAPTURED_BYTES_MAX = 4 * 1024 * 1024


class Channels:
    def __init__(self, process: Process) -> None:
        self._process = process
        self._files: dict[str, Stream] = {}
        self._commands: dict[str, tuple[Stream, Process]] = {}
        self._sources: dict[str, Lines] = {}
        self._captured: dict[str, deque[str]] = {}

    def _bound(self) -> None:
        if len(self._files) + len(self._commands) + len(self._sources) + len(self._captured) >= CHANNELS_MAX:
            raise AwkFault("too many open files")

    def _start(self, command: str, streams: dict[int, Stream]) -> Process:
        container, process = self._process.container, self._process
        argv = ("sh", "-c", command)
        try:
            program = launch.find(container, argv, process.env, process.cwd)
        except OSError as error:
            raise AwkFault(f"sh: {words_of(error)}") from error
        return container.start_process(argv, program, process, process.env, process.cwd, streams)

    async def write(self, operator: str, name: str, data: str) -> None:
        raw = data.encode("utf-8", "surrogateescape")
        if operator == "|":
            if name not in self._commands:
                self._bound()
                pipe = Pipe()
                reader, writer = PipeReader(pipe), PipeWriter(pipe)
                child = self._start(name, {**self._process.streams, 0: reader})
                reader.release()
                self._commands[name] = (writer, child)
            await self._commands[name][0].write(raw)
            return
        if name not in self._files:
            self._bound()
            try:
                self._files[name] = open_file(self._process, name, operator)
            except OSError as error:
                raise AwkFault(f"can't open '{name}': {words_of(error)}") from error
        await self._files[name].write(raw)

    async def line_of_file(self, name: str) -> str | None:
        """The next line; OSError when the file cannot be read."""
        if name not in self._sources:
            self._bound()
            if name != "-":
                open_file(self._process, name, "<").release()
            self._sources[name] = Lines(self._process, [name])
        return await self._sources[name].next()

    async def line_of_command(self, command: str) -> str | None:
        if command not in self._captured:
            self._bound()
            captured = bytearray()

            def keep(_: str, data: bytes) -> None:
                captured.extend(data[: CAPTURED_BYTES_MAX - len(captured)])

            await self._start(command, {**self._process.streams, 1: Sink("stdout", keep)}).exit
            lines = captured.decode("utf-8", "surrogateescape").split("\n")
            if lines[-1] == "":
                lines.pop()
            self._captured[command] = deque(lines)
        waiting = self._captured[command]
        return waiting.popleft() if waiting else None

    async def system(self, command: str) -> int:
        return await self._start(command, dict(self._process.streams)).exit

    async def close(self, name: str) -> int:
        known = self._files.pop(name, None)
        if known is not None:
            known.release()
            return 0
        if self._sources.pop(name, None) is not None or self._captured.pop(name, None) is not None:
            return 0
        if name in self._commands:
            writer, child = self._commands.pop(name)
            writer.release()
            return await child.exit
        return -1

    async def close_all(self) -> None:
        for name in [*self._files, *self._commands]:
            await self.close(name)
