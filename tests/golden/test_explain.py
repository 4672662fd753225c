"""`ok explain` beside kubectl: head, types, enumerations and order of fields; not what is written of them.

Descriptions are our own, and few; everything else is compared line by line.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from services.api import kinds
from services.machinery.clock import parse_time
from tests.golden.test_kubectl import play

GOLDEN = Path(os.environ.get("ORRERY_GOLDEN", Path(__file__).parents[2] / ".." / "shared" / "golden"))


def cases() -> list[Any]:
    found = []
    for file in sorted((GOLDEN / "kubectl").glob("*explain-*.json")):
        case = json.loads(file.read_text())
        run = next(iter(case["runs"].values()))
        if served(case["argv"], run["stdout"]):
            found.append(pytest.param(case["argv"], run, id=file.stem))
    return found


def served(argv: list[str], stdout: str) -> bool:
    head = dict(line.split(maxsplit=1) for line in stdout.split("\n\n")[0].splitlines() if line)
    version = "/".join(head[name] for name in ("GROUP:", "VERSION:") if name in head)
    return not head or kinds.resource_of_kind(version, head["KIND:"]) is not None


def bare(stdout: str) -> list[str]:
    """Without the lines that describe."""
    return [line for line in stdout.splitlines() if line and not line.startswith("    ")]


def _blank_lines_at_the_end(stdout: str) -> int:
    return len(stdout) - len(stdout.rstrip("\n"))


@pytest.mark.parametrize(("argv", "run"), cases())
def test_as_kubectl(argv: list[str], run: dict[str, Any]) -> None:
    out, err, code = play(argv, parse_time(run["time"]))
    if "--recursive" in argv:
        assert out.partition("FIELDS:")[2] == run["stdout"].partition("FIELDS:")[2]
    assert bare(out) == bare(run["stdout"])
    assert _blank_lines_at_the_end(out) == _blank_lines_at_the_end(run["stdout"])
    assert err == run["stderr"]
    assert code == run["exitCode"]


def test_what_is_written_of_a_field_is_told() -> None:
    out, _, _ = play(["explain", "pod.spec"], parse_time("2026-11-21T12:00:00Z"))
    assert (
        "FIELD: spec <PodSpec>\n\n\nDESCRIPTION:\n    What is wanted.\n"
        "    How a Pod is to run.\n    \nFIELDS:\n" in out
    )
    assert "\n  containers\t<[]Container> -required-\n    The containers; at least one" in out
    assert "\n  hostname\t<string>\n    <no description>\n\n" in out
