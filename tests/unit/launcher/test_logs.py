"""`orrery logs`: lines of all components in the order of their times, whatever their format."""

from __future__ import annotations

import pytest

from services.launcher.logs import time_of


@pytest.mark.parametrize(
    ("line", "moment"),
    [
        ("12:41:03.120 scheduler  INFO    Scheduled the Pod", "12:41:03.120"),
        ('{"component":"x","time":"2026-11-21T12:41:03.120581Z","message":"m"}', "12:41:03.120"),
        ('{"level":"warn","ts":"2026-11-21T12:41:03.120581Z","caller":"etcd"}', "12:41:03.120"),
        ("  a traceback's line", ""),
        ("", ""),
    ],
)
def test_the_time_of_a_line(line: str, moment: str) -> None:
    assert time_of(line) == moment
