"""What a command has at hand while it runs: the cluster, the terminal, the clock, the namespace.

`World` is everything outside of the program (streams, environment, how to reach a server), so that
tests run commands in-process. A `Session` is one command line in that world.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, BinaryIO, TextIO

from services.client.credentials import Credentials
from services.client.raw import RawAnswer, RawClient
from services.client.transport import FieldValidation, Transport
from services.kubectl.errors import Exit, Fail
from services.kubectl.flags import Parsed
from services.machinery.clock import Clock

Json = dict[str, Any]

Connect = Callable[[str, Credentials | None], AbstractAsyncContextManager[Transport]]
DRY_RUNS = ("none", "client", "server", "unchanged")


@dataclass(frozen=True)
class World:
    out: TextIO
    err: TextIO
    stdin: BinaryIO
    environ: Mapping[str, str]
    clock: Clock
    random: Random
    connect: Connect
    program: str = "ok"

    def home(self) -> Path:
        """Where the state of the cluster is kept."""
        return Path(
            self.environ.get("ORRERY_HOME") or Path(self.environ.get("HOME", "~")).expanduser() / ".orrery"
        )


@dataclass
class Session:
    world: World
    flags: Parsed
    address: str
    namespace: str
    client: RawClient
    command: str = ""  # as typed: "kubectl create secret generic"
    node_address: str = ""
    credentials: Credentials | None = None
    warned: list[str] = field(default_factory=list)
    stdin: bytes | None = None  # once it was read

    @property
    def args(self) -> list[str]:
        return self.flags.args

    @property
    def namespace_given(self) -> bool:
        return self.flags.changed("namespace")

    def print(self, text: str = "") -> None:
        self.world.out.write(text + "\n")

    def write(self, text: str) -> None:
        self.world.out.write(text)

    def complain(self, text: str) -> None:
        """One line on stderr; the command goes on."""
        self.world.out.flush()
        self.world.err.write(text + "\n")
        self.world.err.flush()

    def warn(self, text: str) -> None:
        self.complain(f"Warning: {text}")

    def took(self, answer: RawAnswer) -> Json:
        """The object of an answer; what the server warned about is shown once."""
        for warning in answer.warnings:
            if warning not in self.warned:
                self.warned.append(warning)
                self.warn(warning)
        return answer.object

    def usage_error(self, message: str) -> Fail:
        """An error in the arguments, with where to find help. Upstream: UsageErrorf."""
        return Fail(f"{message}\nSee '{self.command} -h' for help and examples")

    def validation(self) -> FieldValidation:
        """What `--validate` asks of the server: strict unless told otherwise."""
        word = str(self.flags.get("validate", "strict")).lower()
        if word in ("strict", "true", ""):
            return FieldValidation.STRICT
        if word == "warn":
            return FieldValidation.WARN
        if word in ("ignore", "false"):
            return FieldValidation.IGNORE
        raise Fail(f"invalid - validate option {word}")

    def dry_run(self) -> str:
        """`none`, `client` or `server`."""
        word = str(self.flags.get("dry-run", "none"))
        if word == "unchanged":
            self.warn("--dry-run is deprecated and can be replaced with --dry-run=client.")
            return "client"
        if word not in DRY_RUNS:
            raise Fail(f'Invalid dry-run value ({word}). Must be "none", "server", or "client".')
        return word

    def exit(self, code: int) -> Exit:
        return Exit(code)


def dry_run_suffix(dry_run: str) -> str:
    return {"client": " (dry run)", "server": " (server dry run)"}.get(dry_run, "")


def current_directory_name(path: str) -> str:
    return os.path.basename(os.path.abspath(path))
