"""What a shell knows: variables, parameters, functions, options, traps. No running happens here."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from services.runtime.filesystem import Filesystem
from services.runtime.kernel import Future, Killed
from services.runtime.model import SIGKILL
from services.runtime.processes import Process
from services.runtime.shell.dialect import Dialect, dialect_of
from services.runtime.shell.syntax import Command

BREATHS = (400, 0.005, 0.2)  # commands between two pauses; the first and the longest pause in seconds
VARIABLES_MAX = 5_000
ELEMENTS_MAX = 50_000  # of all arrays
VALUE_CHARACTERS_MAX = 4_000_000
HELD_CHARACTERS_MAX = 32_000_000  # by all variables of one shell
HELD_STEP_CHARACTERS = 64 * 1024  # less than this is not worth a word to the container
TRAPS_WAITING_MAX = 64

# Letter and long name of what `set` changes; those that change nothing here are kept and shown.
OPTIONS = {
    "e": "errexit", "f": "noglob", "I": "ignoreeof", "i": "interactive", "m": "monitor", "n": "noexec",
    "s": "stdin", "x": "xtrace", "v": "verbose", "V": "vi", "E": "emacs", "C": "noclobber", "a": "allexport",
    "b": "notify", "u": "nounset", "": "nolog", " ": "debug", "p": "pipefail", "h": "hashall",
}  # fmt: skip
_SHOWN = (
    "errexit noglob ignoreeof interactive monitor noexec stdin xtrace verbose vi emacs noclobber allexport "
    "notify nounset nolog debug",
    "errexit noglob ignoreeof interactive monitor noexec xtrace verbose noclobber allexport notify nounset "
    "vi pipefail",
    "allexport emacs errexit hashall monitor noclobber noexec noglob nounset pipefail verbose vi xtrace",
)
SHOWN = dict(zip(Dialect, _SHOWN, strict=True))
Key = int | str
Array = dict[Key, str]


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
        self.dialect: Dialect = dialect_of(process.argv[0], self.filesystem)
        self.variables: dict[str, str] = dict(process.env)
        self.variables.setdefault("PWD", process.cwd)
        self.variables.setdefault("OPTIND", "1")
        self.held = self.inherited = sum(map(len, self.variables.values()))
        self.arrays: dict[str, Array] = {}
        self.maps: set[str] = set()  # arrays whose keys are words
        self.integers: set[str] = set()
        self.exported: set[str] = set(process.env)
        self.readonly: set[str] = set()
        self.functions: dict[str, Command] = {}
        self.aliases: dict[str, str] = {}
        self.locals: list[dict[str, tuple[str | None, Array | None]]] = []
        self.calling: list[str] = []  # names of the functions being run
        self.traps: dict[int, str] = {}  # 0 is EXIT
        self.error_trap = ""  # bash: what to run where `set -e` would end
        self.pending: list[int] = []
        self.disturbed: Future[None] | None = None  # what `wait` and `read` wait for beside their own
        self.children: dict[int, Process] = {}
        self.last_child = 0
        self.root_pid = process.pid  # $$, the same in subshells
        self.nested = 0  # how many subshells deep
        self.status = 0
        self.substituted: int | None = None  # status of the last $(…) of this command
        self.line = 1
        self.in_file = False  # a script of its own: errors say its line
        self.errexit = self.nounset = self.xtrace = self.noglob = self.noexec = False
        self.pipefail = self.noclobber = self.allexport = False
        self.quiet_options: set[str] = set()  # what is set and means nothing here
        self.shopts: set[str] = set()
        self.interactive = False
        self.interrupted = False  # Ctrl-C: what runs is to end
        self.depth = self.loops = 0
        self.careless = 0  # inside a condition, where set -e does not act
        self.borrowed: list[int] = []  # descriptors of <(…), for one command
        self.sourcing = 0  # how many files deep
        self.mourned: set[int] = set()  # children whose end by a signal has been told
        self.option_position = ("1", 1)  # of getopts: OPTIND as left, and the place inside the word
        self.folders: list[str] = []  # of pushd
        self.history: list[str] = []
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
        return self.dialect is Dialect.DASH

    def get(self, name: str) -> str | None:
        found = self.variables.get(name)
        if found is not None:
            return found
        if name == "?":
            return str(self.status)
        if name == "$":
            return str(self.root_pid)
        if name == "!":
            return str(self.last_child) if self.last_child else None
        if name == "-":
            letters = {**OPTIONS, "p": ""}
            return "".join(
                letter for letter, option in letters.items() if getattr(self, option, None) is True
            )
        if name in self.arrays:
            return self.arrays[name].get("0" if name in self.maps else 0)
        if self.dialect > Dialect.DASH and name == "RANDOM":
            return str(self.process.container.machine.random.randrange(32768))
        return self._of_bash(name) if self.dialect is Dialect.BASH else None

    def _of_bash(self, name: str) -> str | None:
        now = self.process.container.now_seconds
        values: dict[str, Callable[[], str]] = {
            "BASH_VERSION": lambda: "5.2.37(1)-release", "BASH": lambda: "/bin/bash",
            "BASH_SUBSHELL": lambda: str(self.nested), "BASHPID": lambda: str(self.process.pid),
            "UID": lambda: str(self.process.uid), "EUID": lambda: str(self.process.uid),
            "PPID": lambda: str(self.process.parent), "HOSTNAME": lambda: self.process.container.hostname,
            "SECONDS": lambda: str(int(now() - self.process.started_at)),
            "EPOCHSECONDS": lambda: str(int(now())),
            "LINENO": lambda: str(self.line), "OSTYPE": lambda: "linux-gnu", "HOSTTYPE": lambda: "x86_64",
            "FUNCNAME": lambda: self.calling[-1] if self.calling else "", "SHLVL": lambda: "1",
        }  # fmt: skip
        return values[name]() if name in values else None

    def set(self, name: str, value: str) -> None:
        if name in self.readonly:
            wording = "readonly variable" if self.dialect is Dialect.BASH else "is read only"
            raise ShellFault(f"{name}: {wording}", 1 if self.dialect is Dialect.BASH else 2)
        if name in self.arrays:
            self.put(name, "0" if name in self.maps else 0, value)
            return
        if name not in self.variables and len(self.variables) >= VARIABLES_MAX:
            raise ShellFault("too many variables")
        self.hold(value, self.variables.get(name, ""))
        self.variables[name] = value
        if self.allexport:
            self.exported.add(name)

    def forget(self, name: str) -> None:
        self.held -= len(self.variables.pop(name, ""))
        self.empty(self.arrays.pop(name, {}))
        self.maps.discard(name)
        self.tell_held()

    def hold(self, value: str, old: str) -> None:
        """Counts a value that takes the place of another, for the process' memory too."""
        held = self.held + len(value) - len(old)
        if len(value) > VALUE_CHARACTERS_MAX or held > HELD_CHARACTERS_MAX:
            # A real shell would go on growing: until its container's limit, where there is one.
            container = self.process.container
            if container.resources.memory_limit_bytes:
                container.out_of_memory()
                raise Killed(128 + SIGKILL)
            raise ShellFault("out of memory")
        self.held = held
        self.tell_held()

    def tell_held(self) -> None:
        own = max(self.held - self.inherited, 0)
        if abs(own - self.process.held) > HELD_STEP_CHARACTERS or (own == 0 and self.process.held):
            self.process.hold(own)

    # -- arrays -------------------------------------------------------------------------------

    def array(self, name: str) -> Array:
        """The array of this name; a plain variable becomes one."""
        if name in self.readonly:
            raise ShellFault(f"{name}: readonly variable", 1)
        if name not in self.arrays:
            if len(self.arrays) >= VARIABLES_MAX:
                raise ShellFault("too many variables")
            value = self.variables.pop(name, None)
            self.arrays[name] = {} if value is None else {0: value}
        return self.arrays[name]

    def put(self, name: str, key: Key, value: str) -> None:
        array = self.array(name)
        if key not in array and sum(map(len, self.arrays.values())) >= ELEMENTS_MAX:
            raise ShellFault("out of memory")
        self.hold(value, array.get(key, ""))
        array[key] = value

    def empty(self, array: Array) -> None:
        self.held -= sum(map(len, array.values()))
        array.clear()

    def elements(self, name: str) -> Array:
        """What ${name[@]} goes through, in order."""
        if name == "FUNCNAME":
            return dict(enumerate(reversed(self.calling)))
        if name in self.arrays:
            array = self.arrays[name]
            return array if name in self.maps else {key: array[key] for key in sorted(array, key=_index)}
        value = self.variables.get(name)
        return {} if value is None else {0: value}

    def environment(self) -> dict[str, str]:
        return {name: self.variables[name] for name in self.exported if name in self.variables}

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
        if len(self.pending) < TRAPS_WAITING_MAX:
            self.pending.append(number)
        self.disturb()

    def disturb(self) -> None:
        """A `wait` or a `read` does not go on waiting."""
        if self.disturbed is not None:
            self.disturbed.set(None)


def _index(key: Key) -> int:
    return key if isinstance(key, int) else 0
