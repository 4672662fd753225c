"""Columns, durations and sizes as crictl and docker print them."""

from __future__ import annotations

import pytest

from services.node.shell.containers import Options
from services.node.shell.tables import ago, human_duration, human_size, table


def test_columns_are_tabwriters() -> None:
    rows = [("CONTAINER ID", "IMAGE", "NAMES"), ("0123456789ab", "a", "k8s_x")]
    assert table(rows, least=10) == "CONTAINER ID   IMAGE     NAMES\n0123456789ab   a         k8s_x\n"
    assert (
        table([("POD ID", "CREATED"), ("x", "y")], least=20).splitlines()[0] == "POD ID              CREATED"
    )
    assert table([], least=10) == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "Less than a second"), (1, "1 second"), (59, "59 seconds"), (60, "About a minute"),
     (119, "About a minute"), (120, "2 minutes"), (3600, "About an hour"), (7200, "2 hours"),
     (3 * 86400, "3 days"), (15 * 86400, "2 weeks"), (90 * 86400, "3 months"), (800 * 86400, "2 years")],
)  # fmt: skip
def test_durations_are_go_units(seconds: float, text: str) -> None:
    assert human_duration(seconds) == text


def test_sizes() -> None:
    assert [human_size(n) for n in (0, 999, 2_200_000, 303_300_360)] == ["0B", "999B", "2.2MB", "303MB"]
    assert ago(1_000_000_000, 4.0) == "3 seconds ago"


def test_flags_may_stand_anywhere_and_a_command_keeps_its_own() -> None:
    options = Options(["-aq", "--filter", "label=a=b", "--filter=name=x", "word"], ("filter",))
    assert options.has("all", "a")
    assert options.has("quiet", "q")
    assert options.all("filter") == ["label=a=b", "name=x"]
    assert options.words == ["word"]
    command = Options(["-it", "c1", "ls", "-l"], (), until_word=True)
    assert command.words == ["c1", "ls", "-l"]
