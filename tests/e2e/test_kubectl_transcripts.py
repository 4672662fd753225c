"""Real kubectl through all that it can do, on a cluster with containers: transcripts, each in its namespace.

The newest kubectl here plays all of them, several at a time; older ones play a few (see also test_kubectl.py,
which asks each version the same things).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e import transcript
from tests.e2e.cluster import Cluster, running
from tests.support import kubectl as real

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not real.FOUND, reason="no kubectl here"),
]

NEWEST = {version: path for version, path in real.FOUND.items() if path == real.NEWEST}
# What older ones play: it prints the same with every version.
OLDER = {"1.27": ("create", "apply", "get"), "1.32": ("apply",)}
# Nobody else may run beside those that take a node out of service.
ALONE = ("nodes",)
NAMES = sorted(path.stem for path in transcript.FOLDER.glob("*.txt"))
CASES = [(version, name) for version in NEWEST for name in NAMES]
CASES += [(version, name) for version, names in OLDER.items() for name in names
          if version in real.FOUND and version not in NEWEST]  # fmt: skip


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running("--nodes", "2") as cluster:
        yield cluster


def play(cluster: Cluster, version: str, name: str, folder: Path) -> list[str]:
    """In a namespace and a folder of its own, where `kubectl` is the version and remembers discovery."""
    (folder / "bin").mkdir()
    (folder / "bin" / "kubectl").symlink_to(real.FOUND[version])
    namespace = f"{name}-{version.replace('.', '-')}"
    home = folder.parent / f"home-{version}"
    home.mkdir(exist_ok=True)
    config = folder / "config"
    config.write_text((cluster.home / "kubeconfig").read_text())
    environment = {
        "PATH": f"{folder / 'bin'}:{os.environ.get('PATH', '')}",
        "HOME": str(home),
        "KUBECONFIG": str(config),
        "TZ": "UTC",
        "NS": namespace,
    }
    kubectl = real.Kubectl(real.FOUND[version], config, folder)
    kubectl("create", "namespace", namespace)
    kubectl("config", "set-context", "--current", f"--namespace={namespace}")
    while kubectl.run("get", "serviceaccount", "default", "-n", namespace).code:
        pass  # controllers make it; Pods are refused before
    work = folder / "work"
    work.mkdir()
    found = transcript.play(transcript.FOLDER / f"{name}.txt", environment, work)
    kubectl("delete", "namespace", namespace, "--wait=false")
    return found


@pytest.fixture(scope="module")
def played(
    request: pytest.FixtureRequest, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[tuple[str, str], Future[list[str]]]]:
    root = tmp_path_factory.mktemp("transcripts")
    wanted = {item.callspec.id for item in real.asked_for(request, test_as_written.__name__)}
    cases = [case for case in CASES if "-".join(case) in wanted]

    def folder(case: tuple[str, str]) -> Path:
        path = root / "-".join(case)
        path.mkdir()
        return path

    with ThreadPoolExecutor(real.AT_ONCE) as together, ThreadPoolExecutor(1) as alone:
        made = {case: together.submit(play, cluster, *case, folder(case))
                for case in cases if case[1] not in ALONE}  # fmt: skip

        def last(case: tuple[str, str]) -> list[str]:
            for other in list(made.values()):
                other.exception()
            return play(cluster, *case, folder(case))

        lone = {case: alone.submit(last, case) for case in cases if case[1] in ALONE}
        yield {**made, **lone}


@pytest.mark.parametrize(("version", "name"), CASES)
def test_as_written(version: str, name: str, played: dict[tuple[str, str], Future[list[str]]]) -> None:
    wrong = played[version, name].result()
    assert not wrong, "\n\n".join(wrong)


def test_count() -> None:
    commands = sum(step.command.count("kubectl ") for name in NAMES
                   for step in transcript.read(transcript.FOLDER / f"{name}.txt"))  # fmt: skip
    print(f"{commands} invocations in {len(NAMES)} transcripts")
    assert commands >= 150
