"""Flags that every component has: what the environment says for them is checked, too."""

from __future__ import annotations

import argparse

import pytest

from services.process.run import Process, run


async def nothing(flags: argparse.Namespace, process: Process) -> None:
    raise AssertionError("started")


@pytest.mark.parametrize(
    ("name", "flag"), [("ORRERY_LOG_LEVEL", "--log-level"), ("ORRERY_LOG_FORMAT", "--log-format")]
)
def test_a_value_of_the_environment_that_is_none(
    name: str, flag: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, "loud")
    with pytest.raises(SystemExit) as end:
        run("scheduler", nothing, argv=[])
    assert end.value.code == 2
    assert f"error: argument {flag}: invalid choice: 'loud'" in capsys.readouterr().err
