"""Recorded sequences of kubectl commands, played on a real API server with a real etcd.

Each sequence has a namespace of its own. Commands about kinds that we do not serve are left out,
and so is what they would have left behind. uids, versions, times, ages and addresses may differ.
"""

from __future__ import annotations

import io
import json
import os
import re
from pathlib import Path
from random import Random
from typing import Any

import pytest

from services.kubectl import __main__ as ok
from services.kubectl.session import World
from services.process.clock import SystemClock
from tests.golden.test_kubectl import GOLDEN, UNSERVED_COMMANDS
from tests.support.apiserver import apiserver as apiserver  # the fixture

pytestmark = pytest.mark.slow  # needs etcd and an API server of its own

SEQUENCES = (
    "apply-cycle-k136",
    "apply-deployment-edits",
    "apply-over-create",
    "create-delete-k136",
    "label-annotate-k136",
    "scale-set-k136",
    "stdin-and-dirs-k136",
    "taint-cordon-drain",
)
UNSERVED_WORDS = frozenset(("pdb", "job", "cronjob", "autoscale", "hpa", "auth"))
# (sequence, words of the command): why the answer differs
_1_32 = "recorded with 1.32; 1.36 says it with other words"
DIFFERENCES: dict[tuple[str, str], str] = {
    ("apply-over-create", "replace --force -f a.yaml"): _1_32,
    ("taint-cordon-drain", "drain k-node-2"): _1_32,
}

_CHANGES = (
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+ \+0000|Z)"), "<time>"),
    (re.compile(r'resourceVersion: "\d+"'), "resourceVersion: <version>"),
    (re.compile(r"uid: [0-9a-f-]{36}"), "uid: <uid>"),
    (re.compile(r"10\.\d+\.\d+\.\d+ *"), "<address> "),
    (re.compile(r"\b\d+s\b *"), "<age> "),
)


def normal(text: str) -> str:
    for pattern, replacement in _CHANGES:
        text = pattern.sub(replacement, text)
    lines = [
        " ".join(line.split()) if "CLUSTER-IP" in line or "<address>" in line else line
        for line in text.splitlines()
        if not _UNSERVED_LINE.match(line) and "<klog>" not in line
    ]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip("\n")


_UNSERVED_LINE = re.compile(r"(cronjob|job)\.batch|NAME +(SCHEDULE|STATUS +COMPLETIONS)")


async def play(address: str, argv: list[str], stdin: str) -> tuple[str, str, int]:
    from services.kubectl.__main__ import _connect

    out, err = io.StringIO(), io.StringIO()
    world = World(
        out=out,
        err=err,
        stdin=io.BytesIO(stdin.encode()),
        environ={"ORRERY_SERVER": address, "ORRERY_HOME": "/nonexistent"},
        clock=SystemClock(),
        random=Random(1),
        connect=_connect,
        program="kubectl",
    )
    code = await ok.execute(argv, world)
    return out.getvalue(), err.getvalue(), code


def served(argv: list[str]) -> bool:
    return argv[0] not in UNSERVED_COMMANDS and not UNSERVED_WORDS & set(argv[:3]) and "-k" not in argv


def commands(sequence: str) -> list[dict[str, Any]]:
    case = json.loads((GOLDEN / "kubectl" / f"{sequence}.json").read_text())
    return [command for command in case["commands"] if "argv" in command and served(command["argv"])]


async def prepare(address: str, namespace: str) -> None:
    await play(address, ["create", "ns", namespace], "")
    await play(address, ["create", "sa", "default", "-n", namespace], "")


@pytest.mark.parametrize("sequence", SEQUENCES)
async def test_sequence(
    sequence: str, apiserver: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = json.loads((GOLDEN / "kubectl" / f"{sequence}.json").read_text())
    monkeypatch.chdir(tmp_path)
    for name, text in case["files"].items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    await prepare(apiserver, case["namespace"])
    if sequence == "taint-cordon-drain":
        for name in ("k-node-1", "k-node-2"):
            node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
            await play(apiserver, ["create", "-f", "-"], json.dumps(node))
    wrong = []
    for command in commands(sequence):
        answer = await play(apiserver, command["argv"], command.get("stdin") or "")
        expected = (command["stdout"], command["stderr"], command["exitCode"])
        if (sequence, " ".join(command["argv"][:-2])) in DIFFERENCES:
            continue
        if [normal(str(part)) for part in answer] != [normal(str(part)) for part in expected]:
            wrong.append((command["argv"], expected, answer))
    for argv, expected, answer in wrong:
        print("$", *argv, "\nexpected", *expected, "\nanswered", *answer, sep=os.linesep)
    assert not wrong
