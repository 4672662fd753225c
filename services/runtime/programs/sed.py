"""sed: the whole of POSIX' language with the additions of GNU and busybox that scripts use.

sed_script.py reads the script; here it runs, line by line. A script that loops breathes and is
killed by signals like any other program.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from services.runtime.processes import Process, Program
from services.runtime.programs.input import Lines, Pace, contents, path_of, words_of
from services.runtime.programs.options import busybox, options, usage
from services.runtime.programs.patterns import BadPattern, Match
from services.runtime.programs.sed_script import Address, BadScript, Step, compiled

SYNOPSIS = "[-i[SFX]] [-nrE] [-f FILE]... [-e CMD]... [FILE]..."
SPACE_CHARACTERS_MAX = 4_000_000


async def sed(process: Process) -> int:
    words = [word if not word.startswith("-i") or len(word) == 2 else "-i" for word in process.argv[1:]]
    long = {"quiet": "n", "silent": "n", "expression": "e", "in-place": "i", "regexp-extended": "E",
            "file": "f", "separate": "s"}  # fmt: skip
    letters = "ne:f:Eri" if busybox(process) else "ne:f:Erisuz"
    found, operands = await options(process, letters, words=words, long=long, synopsis=SYNOPSIS)
    script = found.get("e")
    if "f" in found:
        inputs, status = await contents(process, [found["f"]])
        if status:
            return 1
        script = inputs[0][1].decode("utf-8", "surrogateescape")
    if script is None:
        if not operands:
            raise await usage(process, SYNOPSIS)
        script = operands.pop(0)
    try:
        steps = compiled(script, is_extended=bool(found.keys() & {"E", "r"}), busybox=busybox(process))
        return await _edit(process, steps, operands, found)
    except (BadScript, BadPattern) as error:
        await process.complain(
            f"sed: {error}" if busybox(process) else f"sed: -e expression #1, char 0: {error}"
        )
        return 1


async def _edit(process: Process, steps: list[Step], operands: list[str], found: dict[str, str]) -> int:
    if "i" not in found and "s" not in found:
        lines = Lines(process, operands)
        editor = Editor(process, steps, lines, quiet="n" in found)
        await editor.run(process.write)
        failed = lines.failed
        return editor.status or (2 if failed and not busybox(process) else int(failed))
    status = 0
    for operand in operands or ["-"]:
        lines = Lines(process, [operand])
        editor = Editor(process, steps, lines, quiet="n" in found)
        out: list[str] = []

        async def keep(text: str, into: list[str] = out) -> None:
            into.append(text)

        await editor.run(keep if "i" in found else process.write)
        if lines.failed:
            status = 1
        elif "i" in found:
            try:
                edited = "".join(out).encode("utf-8", "surrogateescape")
                process.container.filesystem.write(
                    path_of(process, operand), edited, modified=process.container.now_seconds()
                )
            except OSError as error:
                await process.complain(f"sed: {operand}: {words_of(error)}")
                status = 4
        if editor.quitting:
            return editor.status
    return status


@dataclass(slots=True)
class Editor:
    """One run of a script over one text."""

    process: Process
    steps: list[Step]
    lines: Lines
    quiet: bool
    last: bool = False
    status: int = 0
    quitting: bool = False
    space: str = ""
    held: str = ""
    number: int = 0
    appended: list[str] = field(default_factory=list)
    active: dict[int, int] = field(
        default_factory=dict
    )  # ranges that have begun: the line that ends them, or -1
    files: dict[str, bytearray] = field(default_factory=dict)
    substituted: bool = False
    out: list[str] = field(default_factory=list)

    async def run(self, write: Callable[[str], Awaitable[None]]) -> None:
        pace = Pace(self.process)
        while not self.quitting and (line := await self.lines.next()) is not None:
            self.space = line
            self.number += 1
            self.last = await self.lines.last()
            await self._cycle(pace)
            text = "".join(self.out)
            self.out.clear()
            if self.last and not self.lines.complete and text.endswith("\n"):
                text = text[:-1]
            if text:
                await write(text)
        for name, data in self.files.items():
            self.process.container.filesystem.write(
                path_of(self.process, name), bytes(data), modified=self.process.container.now_seconds()
            )

    async def _cycle(self, pace: Pace) -> None:
        at, deleted = 0, False
        self.substituted = False
        while at < len(self.steps):
            await pace.spend(len(self.space))
            step = self.steps[at]
            if not self._applies(at, step):
                at = step.target if step.command == "{" else at + 1
                continue
            command = step.command
            if command in ("b", "t", "T"):
                jump = command == "b" or self.substituted == (command == "t")
                if command != "b":
                    self.substituted = False
                at = step.target if jump else at + 1
                continue
            if command == "D" and "\n" in self.space:
                self.space = self.space.partition("\n")[2]
                at = 0
                continue
            if command in "dD" or (command == "c"):
                if command == "c" and (at not in self.active or step.negated):
                    self.out.append(step.text + "\n")
                deleted = True
                break
            if command in "nN" and not await self._next(command):
                break
            if command in "qQ":
                self.quitting, self.status = True, int(step.text or 0) & 0xFF
                deleted = command == "Q"
                break
            self._do(step)
            if len(self.space) > SPACE_CHARACTERS_MAX or len(self.held) > SPACE_CHARACTERS_MAX:
                raise BadScript("out of memory")
            at += 1
        if not deleted and not self.quiet:
            self.out.append(self.space + "\n")
        self.out.extend(self.appended)
        self.appended.clear()

    async def _next(self, command: str) -> bool:
        """n and N: the following line; false where there is none, which ends the script."""
        if self.last:
            self.quitting = True
            return False
        if command == "n":
            if not self.quiet:
                self.out.append(self.space + "\n")
            self.out.extend(self.appended)
            self.appended.clear()
            self.space = await self.lines.next() or ""
        else:
            self.space += "\n" + (await self.lines.next() or "")
        self.number += 1
        self.last = await self.lines.last()
        return True

    def _do(self, step: Step) -> None:
        command = step.command
        if command == "s":
            self._substitute(step)
        elif command == "p":
            self.out.append(self.space + "\n")
        elif command == "P":
            self.out.append(self.space.partition("\n")[0] + "\n")
        elif command == "=":
            self.out.append(f"{self.number}\n")
        elif command == "y":
            self.space = self.space.translate(step.table)
        elif command == "a":
            self.appended.append(step.text + "\n")
        elif command == "i":
            self.out.append(step.text + "\n")
        elif command == "h":
            self.held = self.space
        elif command == "H":
            self.held += "\n" + self.space
        elif command == "g":
            self.space = self.held
        elif command == "G":
            self.space += "\n" + self.held
        elif command == "x":
            self.space, self.held = self.held, self.space
        elif command == "l":
            self.out.append(self.space.encode("unicode_escape").decode() + "$\n")
        elif command == "r":
            self._read(step.text)
        elif command == "w":
            self._write(step.text)

    def _read(self, name: str) -> None:
        try:
            data = self.process.container.filesystem.read(path_of(self.process, name))
        except OSError:
            return
        self.appended.append(data.decode("utf-8", "surrogateescape"))

    def _write(self, name: str) -> None:
        if name == "/dev/stdout":
            self.out.append(self.space + "\n")
            return
        self.files.setdefault(name, bytearray()).extend(f"{self.space}\n".encode("utf-8", "surrogateescape"))

    def _substitute(self, step: Step) -> None:
        assert step.regex is not None
        pieces, at, done = list[str](), 0, False
        for count, match in enumerate(step.regex.finditer(self.space), 1):
            if count < step.which:
                continue
            pieces += [self.space[at : match.start()], _replacement(step, match)]
            at = match.end()
            done = True
            if not step.everywhere:
                break
        if not done:
            return
        self.space = "".join(pieces) + self.space[at:]
        self.substituted = True
        if step.prints:
            self.out.append(self.space + "\n")
        if step.text:
            self._write(step.text)

    # -- addresses ----------------------------------------------------------------------------

    def _applies(self, at: int, step: Step) -> bool:
        return self._selected(at, step) != step.negated

    def _selected(self, at: int, step: Step) -> bool:
        if step.first is None:
            return True
        if step.last is None:
            return self._hit(step.first)
        if at in self.active:
            end = self.active[at]
            if (end >= 0 and self.number >= end) or (end < 0 and self._hit(step.last)):
                del self.active[at]
                if 0 <= end < self.number:  # it ended before this line
                    return self._begins(at, step)
            return True
        return self._begins(at, step)

    def _begins(self, at: int, step: Step) -> bool:
        first, last = step.first, step.last
        assert first is not None
        assert last is not None
        from_start = first.kind == "line" and first.number == 0
        if busybox(self.process) and from_start:
            return False  # it has no line 0
        if not (from_start and self.number == 1) and not self._hit(first):
            return False
        if from_start and self._hit(last) and not busybox(self.process):
            return True
        if last.kind == "plus":
            end = self.number + last.number
        elif last.kind == "line":
            end = last.number
        else:
            end = -1
        if (end < 0 or end > self.number) and not (last.kind == "last" and self.last):
            self.active[at] = end
        return True

    def _hit(self, address: Address) -> bool:
        if address.kind == "line":
            return self.number == address.number
        if address.kind == "last":
            return self.last
        if address.kind == "step":
            step = address.step or 1
            return self.number >= address.number and (self.number - address.number) % step == 0
        return address.regex is not None and address.regex.test(self.space)


def _replacement(step: Step, match: Match) -> str:
    out: list[str] = []
    case = ""
    for kind, value in step.replacement:
        if kind == "case":
            case = value
            continue
        text = value if kind == "text" else (match.group(int(value)) or "")
        if case in ("U", "u") and text:
            text = text.upper() if case == "U" else text[0].upper() + text[1:]
        elif case in ("L", "l") and text:
            text = text.lower() if case == "L" else text[0].lower() + text[1:]
        if case in ("u", "l") and text:
            case = ""
        out.append(text)
    return "".join(out)


PROGRAMS: dict[str, Program] = {"sed": sed}
