"""kr8s: objects that do things themselves. It asks `/api/` and `/apis/` for what there is, and speaks httpx.

`kr8s_scenarios` tells what it does. It leaves its connections to the garbage, so each scenario has a process.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.e2e.cluster import PATIENCE_SECONDS
from tests.support.etcd import ROOT

pytest.importorskip("kr8s", reason="the Python package kr8s is not installed")
from tests.e2e.clients import kr8s_scenarios

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.mark.parametrize("scenario", [each.__name__ for each in kr8s_scenarios.SCENARIOS])
def test_with_kr8s(kubeconfig: str, space: str, scenario: str) -> None:
    done = subprocess.run(
        (sys.executable, "-m", kr8s_scenarios.__name__, scenario, kubeconfig, space),
        cwd=ROOT,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS * 2,
    )
    assert done.returncode == 0, done.stdout + done.stderr
