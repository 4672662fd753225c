"""Commands that act on the shell itself, and those that every shell has inside for speed.

Which of them there are depends on the dialect: a name of bash is a program that nobody has in dash.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from services.runtime.shell.builtins import flow, surroundings, values
from services.runtime.shell.dialect import Dialect

if TYPE_CHECKING:
    from services.runtime.shell.interpreter import Shell

Builtin = Callable[["Shell", Sequence[str]], Awaitable[int]]

SPECIAL = frozenset(
    [
        ":",
        ".",
        "break",
        "continue",
        "eval",
        "exec",
        "exit",
        "export",
        "readonly",
        "return",
        "set",
        "shift",
        "times",
        "trap",
        "unset",
    ]
)
DECLARING = frozenset(("declare", "typeset", "local", "export", "readonly"))
_EVERYWHERE: dict[str, Builtin] = {
    **flow.BUILTINS,
    **surroundings.BUILTINS,
    **values.BUILTINS,
}
_SINCE: dict[str, Dialect] = {
    **dict.fromkeys(("source", "let", "[["), Dialect.ASH),
    **dict.fromkeys(
        ("declare", "typeset", "shopt", "mapfile", "readarray", "pushd", "popd", "dirs", "disown", "builtin",
         "help", "history", "enable", "complete", "caller"),
        Dialect.BASH,
    ),
}  # fmt: skip
_TABLES = {
    dialect: {
        name: builtin
        for name, builtin in _EVERYWHERE.items()
        if _SINCE.get(name, Dialect.DASH) <= dialect and not (name == "[[" and dialect is Dialect.BASH)
    }
    for dialect in Dialect
}


def find(dialect: Dialect, name: str) -> Builtin | None:
    return _TABLES[dialect].get(name)


def names(dialect: Dialect) -> Sequence[str]:
    return sorted(_TABLES[dialect])


surroundings.find_builtin = find
surroundings.special = SPECIAL
