"""What a shell knows: variables, parameters, functions, options, traps. No running happens here."""

from __future__ import annotations

from collections.abc import Sequence

from services.runtime.filesystem import Filesystem
from services.runtime.kernel import Future
from services.runtime.processes import Process
from services.runtime.shell.syntax import Command

BREATHS = (400, 0.005, 0.2)  # commands between two pauses; the first and the longest pause in seconds
VARIABLES_MAX = 5_000
TRAPS_WAITING_MAX = 64


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


class State:
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
        self.substituted: int | None = None  # status of the last $(…) of this command
        self.line = 1
        self.errexit = self.nounset = self.xtrace = self.noglob = self.noexec = False
        self.interactive = False
        self.interrupted = False  # Ctrl-C: what runs is to end
        self.depth = self.loops = 0
        self.careless = 0  # inside a condition, where set -e does not act
        self._steps, self._pause = 0, BREATHS[1]

    # -- what expansion needs -----------------------------------------------------------------

    @property
    def cwd(self) -> str:
        return self.process.cwd

    @property
    def filesystem(self) -> Filesystem:
        return self.process.container.filesystem

    @property
    def is_dash(self) -> bool:
        """Whether this is Debian's `sh`, whose echo understands escapes, and not busybox' or bash."""
        called = self.process.argv[0].rpartition("/")[2]
        return called in ("sh", "dash") and not self.filesystem.exists("/bin/busybox")

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

    def environment(self) -> dict[str, str]:
        return {name: self.variables[name] for name in self.exported if name in self.variables}

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
        if len(self.pending) < TRAPS_WAITING_MAX:
            self.pending.append(number)
        if self.disturbed is not None:
            self.disturbed.set(None)
