"""What a kubelet is told on its command line."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from services.kubelet.configuration import KubeletConfiguration
from services.node import kubelet_flags
from services.process.run import Fatal


def told(*words: str) -> KubeletConfiguration:
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=0)
    kubelet_flags.add(parser)
    return kubelet_flags.configuration(parser.parse_args(words), Path("/root"))


def test_logs_and_pulls_are_as_upstreams_by_default() -> None:
    found = told()
    assert (found.container_log_bytes_max, found.container_log_files_max) == (10 * 1024 * 1024, 5)
    assert found.parallel_pulls == 1


def test_logs_and_pulls_can_be_set() -> None:
    found = told(
        "--container-log-max-size=64Ki", "--container-log-max-files=2", "--serialize-image-pulls=false"
    )
    assert (found.container_log_bytes_max, found.container_log_files_max) == (64 * 1024, 2)
    assert found.parallel_pulls > 1


@pytest.mark.parametrize(
    "word", ["--container-log-max-size=0", "--container-log-max-size=much", "--container-log-max-files=1"]
)
def test_what_makes_no_sense_is_refused(word: str) -> None:
    with pytest.raises(Fatal, match="makes no sense"):
        told(word)
