"""Recorded sequences of kubectl commands, each in a namespace of its own, with a real kubectl.

Most were recorded twice, with kubectl 1.32 and 1.36: for each command either text will do. What needs
controllers stands in tests/e2e. What differs for good stands in DIFFERENCES.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.launcher import kubeconfig
from tests.golden.kubectl_text import normal
from tests.golden.runner import GOLDEN, available
from tests.support import kubectl as real
from tests.support.apiserver import Https, https_apiserver
from tests.support.kubectl import Done, Kubectl

pytestmark = [
    pytest.mark.slow,  # needs etcd and an API server of its own
    pytest.mark.skipif(not available("kubectl"), reason="no golden data here"),
    pytest.mark.skipif(not real.FOUND, reason="no kubectl here"),
    pytest.mark.timeout(300),
]

Json = dict[str, Any]
SEQUENCES = (
    "apply-cycle",
    "apply-deployment-edits",
    "apply-over-create",
    "apply-prune",
    "apply-serverside",
    "create-delete",
    "label-annotate",
    "scale-set",
    "stdin-and-dirs",
    "taint-cordon-drain",
)
NODES = ("k-node-1", "k-node-2")
# (sequence, command without its namespace): why the answer differs.
DIFFERENCES: dict[tuple[str, str], str] = {}


def recordings(name: str) -> list[Json]:
    """The older one first."""
    files = [GOLDEN / "kubectl" / f"{each}.json" for each in (name, f"{name}-k136")]
    return [json.loads(file.read_text()) for file in files if file.exists()]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Https]:
    with https_apiserver(tmp_path_factory.mktemp("https")) as https:
        yield https


@pytest.fixture(scope="module")
def config(server: Https, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("kubectl") / "config"
    kubeconfig.write(path, server.keys, int(server.base.rpartition(":")[2]))
    return path


def prepare(kubectl: Kubectl, case: Json) -> None:
    """What was there when the recording began."""
    for name, text in case["files"].items():
        (kubectl.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (kubectl.folder / name).write_text(text)
    kubectl("create", "namespace", case["namespace"])
    kubectl("create", "serviceaccount", "default", "--namespace", case["namespace"])


def text_of(done: Done, namespace: str) -> tuple[str, str, int]:
    out, err = (normal(each).replace(namespace, "<namespace>") for each in (done.out, done.err))
    return out, err, done.code


def wanted_of(command: Json, namespace: str) -> tuple[str, str, int]:
    return text_of(Done(command["exitCode"], command["stdout"], command["stderr"]), namespace)


@pytest.mark.parametrize("name", SEQUENCES)
def test_as_recorded(name: str, config: Path, tmp_path: Path) -> None:
    cases = recordings(name)
    kubectl = Kubectl(real.NEWEST, config, tmp_path)
    prepare(kubectl, cases[0])
    if name == "taint-cordon-drain":
        for node in NODES:
            kubectl("create", "-f", "-", stdin=json.dumps(
                {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}}))  # fmt: skip
    wrong = []
    for steps in zip(*(case["commands"] for case in cases), strict=True):
        if "argv" not in steps[0]:
            continue
        done = kubectl.run(*steps[0]["argv"], stdin=steps[0].get("stdin") or "")
        got = text_of(done, cases[0]["namespace"])
        wanted = [wanted_of(step, case["namespace"]) for step, case in zip(steps, cases, strict=True)]
        words = " ".join(steps[0]["argv"]).partition(" -n g-k-")[0]
        if got not in wanted and (name, words) not in DIFFERENCES:
            wrong.append(f"$ kubectl {words}\nwanted {wanted[-1]}\ngot    {got}")
    assert not wrong, "\n\n".join(wrong)
