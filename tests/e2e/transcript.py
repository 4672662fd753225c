"""Transcripts: what a person types at a shell, and what then stands on the screen.

    # a remark
    $ kubectl get nodes
    > # continued lines begin so
        NAME     STATUS   ...       (what is printed, indented)
        [exit 1]                    (only where a command fails)

Text is compared with marks for what is random or of the moment; blank lines and the width of columns do
not count. With ORRERY_UPDATE_GOLDEN=1 a run writes what it saw: to be read before it is committed.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.golden.kubectl_text import normal

FOLDER = Path(__file__).parent / "transcripts"
UPDATE = bool(os.environ.get("ORRERY_UPDATE_GOLDEN"))
SECONDS_MAX = 150.0  # of one command, longer than kubectl itself is told to wait
_MARKS = tuple(
    (re.compile(pattern), mark)
    for pattern, mark in (
        (
            r"\b([a-z][a-z0-9-]*)-[bcdf0-9ghjklmnpqrstvwxz]{5,10}-[bcdfghjklmnpqrstvwxz2456789]{5}\b",
            r"\1-<pod>",
        ),
        (r"\b(debugger-node-\d|debugger)-[bcdfghjklmnpqrstvwxz2456789]{5}\b", r"\1-<random>"),
        (r"\b127\.\d+\.\d+\.\d+\b", "<address>"),
        (r"(sha256:|containerd://)[0-9a-f]{64}", r"\1<digest>"),
        (r"\b(made)-[bcdfghjklmnpqrstvwxz2456789]{5}\b", r"\1-<random>"),
        # Older versions of kubectl have another word, and still read Endpoints.
        (r"(?m) annotate$", " annotated"),
        (r"(?m)^Warning: v1 Endpoints is deprecated.*\n", ""),
        (r"\beyJ[\w.-]+", "<token>"),
        (r"/tmp/[\w./-]*edit-\d+\.yaml", "<edited>"),
    )
)


@dataclass
class Step:
    command: str
    wanted: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)  # that stand before it


def read(path: Path) -> list[Step]:
    steps, remarks = list[Step](), list[str]()
    for line in path.read_text().splitlines():
        if line.startswith("$ "):
            steps.append(Step(line[2:], remarks=remarks))
            remarks = []
        elif line.startswith("> "):
            steps[-1].command += "\n" + line[2:]
        elif line.startswith("    "):
            steps[-1].wanted.append(line[4:])
        else:
            remarks.append(line)
    return steps


def write(path: Path, steps: list[Step]) -> None:
    lines = []
    for step in steps:
        first, *others = step.command.split("\n")
        lines += [*step.remarks, f"$ {first}", *(f"> {other}" for other in others)]
        lines += [f"    {line}" for line in step.wanted]
    path.write_text("\n".join(lines) + "\n")


def shown(text: str, code: int) -> list[str]:
    """Comparable lines of what a command printed."""
    text = normal(text)
    for pattern, mark in _MARKS:
        text = pattern.sub(mark, text)
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return [*lines, f"[exit {code}]"] if code else lines


def play(path: Path, environment: Mapping[str, str], folder: Path) -> list[str]:
    """Runs a transcript. Returns what differs; keeps what was seen when asked to."""
    steps, wrong = read(path), []
    for step in steps:
        done = subprocess.run(
            ("bash", "-c", step.command),
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS_MAX,
        )
        got = shown(done.stdout.replace(environment["NS"], "$NS"), done.returncode)
        if got != step.wanted:
            wrong.append("\n".join([f"$ {step.command}", *_compared(step.wanted, got)]))
            step.wanted = got
    if UPDATE and wrong:
        write(path, steps)
        return []
    return wrong


def _compared(wanted: list[str], got: list[str]) -> list[str]:
    import difflib

    return [line.rstrip() for line in difflib.ndiff(wanted, got) if not line.startswith("?")]
