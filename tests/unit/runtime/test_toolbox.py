"""The table of programs says what their modules have; nothing is loaded before it is wanted."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

from services.runtime import behaviours
from services.runtime.toolbox import NAMES, PROGRAMS


@pytest.mark.parametrize("module", NAMES)
def test_every_module_has_just_the_programs_that_the_table_says(module: str) -> None:
    assert set(import_module(module).PROGRAMS) == set(NAMES[module])


def test_every_name_leads_to_something_that_runs() -> None:
    assert len(PROGRAMS) == sum(len(names) for names in NAMES.values()), "no name stands twice"
    for found in (*PROGRAMS.values(), *behaviours.SPEAKERS.values(), *behaviours.ACTORS.values()):
        assert callable(found)
    assert "nonesuch" not in PROGRAMS
    with pytest.raises(KeyError):
        PROGRAMS["nonesuch"]


def test_a_node_starts_without_loading_them() -> None:
    code = "import sys, services.node.__main__; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    heavy = (
        "services.runtime.shell",
        "services.runtime.programs.awk",
        "dns.message",
        "aiohttp",
        "tarfile",
        "yaml",
    )
    assert [name for name in heavy if name in loaded.split()] == []
