"""@kubernetes/client-node, the official client in JavaScript: `node/scenarios.mjs` tells what it does."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.cluster import PATIENCE_SECONDS
from tests.support.etcd import ROOT

HERE = Path(__file__).parent / "node"
INSTALLED = ROOT / ".cache" / "clients-node"
INSTALL_SECONDS = 240
NODE_MIN = 18
SCENARIOS = re.findall(r"^  async (\w+)\(\)", (HERE / "scenarios.mjs").read_text(), re.MULTILINE)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(INSTALL_SECONDS + 200)]


@pytest.fixture(scope="module")
def folder() -> Path:
    """Where the client is installed, beside the scenarios."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        pytest.skip("node and npm are not installed")
    version = subprocess.check_output((node, "--version"), text=True).strip()
    if int(version.removeprefix("v").split(".")[0]) < NODE_MIN:
        pytest.skip(f"the client needs Node.js {NODE_MIN}; {version} is installed")
    INSTALLED.mkdir(parents=True, exist_ok=True)
    wanted = (HERE / "package-lock.json").read_bytes()
    marker = INSTALLED / "installed.json"
    for name in ("package.json", "package-lock.json", "scenarios.mjs"):
        shutil.copy(HERE / name, INSTALLED / name)
    if not marker.exists() or marker.read_bytes() != wanted:
        words = (npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
        done = subprocess.run(words, cwd=INSTALLED, capture_output=True, text=True, timeout=INSTALL_SECONDS)
        if done.returncode:
            pytest.skip(f"npm could not install the client: {done.stderr.strip()[-500:]}")
        marker.write_bytes(wanted)
    return INSTALLED


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_in_javascript(folder: Path, kubeconfig: str, space: str, scenario: str) -> None:
    done = subprocess.run(
        ("node", "scenarios.mjs", scenario, space),
        cwd=folder,
        env={**os.environ, "KUBECONFIG": kubeconfig},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
