"""Real kubectl for tests: which versions are here, and one of them run against a server.

Versions lie side by side where the Cloud SDK is installed, named `kubectl.1.NN` (another folder is named by
ORRERY_KUBECTL_FOLDER, or stands on PATH); elsewhere the one called `kubectl` on PATH counts, such as that of
Debian's package `kubectl`, by the version that it says it has. Tests skip where there is none.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

PATIENCE_SECONDS = 120.0
AT_ONCE = 3  # how many of them run side by side: each is short, and there are few cores
CLOUD_SDK = "/usr/lib/google-cloud-sdk/bin"


def found() -> dict[str, str]:
    """Paths by version (`1.32`), oldest first; what is on PATH counts where there are none side by side."""
    own = os.environ.get("ORRERY_KUBECTL_FOLDER")
    folders = [own] if own else [CLOUD_SDK, *os.environ.get("PATH", "").split(os.pathsep)]
    paths = {path.name.removeprefix("kubectl."): str(path)
             for folder in reversed(folders) if folder for path in Path(folder).glob("kubectl.1.*")
             if path.name.removeprefix("kubectl.1.").isdigit()}  # fmt: skip
    there = dict(sorted(paths.items(), key=lambda each: [int(part) for part in each[0].split(".")]))
    on_path = shutil.which("kubectl")
    return there or ({version_of(on_path): on_path} if on_path else {})


def version_of(path: str) -> str:
    """`1.32`, as it says itself; `any` when it does not."""
    done = subprocess.run((path, "version", "--client", "-o", "json"), capture_output=True, text=True)
    try:
        told = json.loads(done.stdout)["clientVersion"]
        return f"{told['major']}.{told['minor'].rstrip('+')}"
    except (ValueError, KeyError):
        return "any"


FOUND = found()
NEWEST = next(reversed(FOUND.values()), "")
ENDS = dict([*FOUND.items()][:1] + [*FOUND.items()][-1:])  # the oldest and the newest


def asked_for(request: pytest.FixtureRequest, name: str) -> list[Any]:
    """The cases of a parametrised test that this run is to make, so that a fixture can run them together."""
    return [item for item in request.session.items
            if isinstance(item, pytest.Function) and item.originalname == name
            and item.path == request.path]  # fmt: skip


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def both(self) -> str:
        return self.out + self.err


@dataclass(frozen=True)
class Kubectl:
    """One version, one kubeconfig, one folder to run in; discovery is kept in that folder."""

    path: str
    config: Path
    folder: Path
    namespace: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

    def command(self, *words: str) -> list[str]:
        scope = ["--namespace", self.namespace] if self.namespace else []
        return [self.path, "--cache-dir", str(self.folder / "cache"), *scope, *words]

    def environ(self) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self.folder),
            "KUBECONFIG": str(self.config),
            "TZ": "UTC",
            **self.environment,
        }

    def run(self, *words: str, stdin: str = "", **environment: str) -> Done:
        done = subprocess.run(
            self.command(*words),
            env={**self.environ(), **environment},
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def start(self, *words: str, **options: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self.command(*words), env=self.environ(), cwd=self.folder, **options)

    def all(self, commands: Sequence[Sequence[str]]) -> list[Done]:
        """Several that do not depend on each other, side by side."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(lambda words: self.run(*words), commands))

    def __call__(self, *words: str, stdin: str = "", **environment: str) -> str:
        """What it prints; fails the test when it fails."""
        done = self.run(*words, stdin=stdin, **environment)
        assert done.code == 0, f"kubectl {' '.join(words)} → {done.code}\n{done.out}\n{done.err}"
        return done.out

    def refused(self, *words: str, stdin: str = "") -> str:
        """What it says on stderr; fails the test when it does not fail."""
        done = self.run(*words, stdin=stdin)
        assert done.code != 0, f"kubectl {' '.join(words)} should have failed:\n{done.out}\n{done.err}"
        return done.err

    def json(self, *words: str) -> Any:
        return json.loads(self("get", *words, "-o", "json"))
