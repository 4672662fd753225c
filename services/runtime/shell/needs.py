"""What expansion needs of a shell, and how it fails."""

from __future__ import annotations

from typing import Any, Protocol

from services.runtime.filesystem import Filesystem
from services.runtime.shell.dialect import Dialect
from services.runtime.shell.syntax import List

Piece = tuple[str, bool]  # text, quoted
Field = list[Piece]


class ExpansionFault(Exception):
    """The shell says this and gives up the command (a script ends)."""

    def __init__(self, message: str, status: int = 2) -> None:
        super().__init__(message)
        self.status = status


class Variables(Protocol):
    """What expansion needs of a shell."""

    arguments: list[str]
    name: str
    nounset: bool
    noglob: bool
    dialect: Dialect
    shopts: set[str]
    maps: set[str]
    variables: dict[str, str]

    @property
    def cwd(self) -> str: ...
    @property
    def filesystem(self) -> Filesystem: ...
    def get(self, name: str) -> str | None: ...
    def set(self, name: str, value: str) -> None: ...
    def elements(self, name: str) -> Any: ...
    def put(self, name: str, key: int | str, value: str) -> None: ...
    async def substitute(self, body: List) -> str: ...
    def substitute_process(self, body: List, *, reads: bool) -> str: ...
