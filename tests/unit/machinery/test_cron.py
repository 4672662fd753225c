"""Cron schedules: what they mean, and what is said of those that are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.machinery import cron


def test_fields_are_numbers_ranges_steps_and_names() -> None:
    found = cron.parse("*/15 9-17/4 1,15 jan-MAR mon")
    assert found.minute == cron.Field(frozenset({0, 15, 30, 45}))
    assert found.hour.values == {9, 13, 17}
    assert found.day.values == {1, 15}
    assert found.month.values == {1, 2, 3}
    assert found.weekday.values == {1}


def test_a_step_after_one_number_goes_to_the_end() -> None:
    assert cron.parse("50/4 * * * *").minute.values == {50, 54, 58}


def test_open_fields_are_known() -> None:
    found = cron.parse("0 0 * * 1")
    assert found.day.is_open
    assert not found.weekday.is_open
    assert cron.parse("*/1 ? * * *").minute.is_open


def test_words() -> None:
    assert cron.parse("@daily") == cron.parse("0 0 * * *")
    assert cron.parse("@every 1h30m").every_seconds == 5400
    assert cron.parse("@every 10ms").every_seconds == 1


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty spec string"),
        ("* * *", "expected exactly 5 fields, found 3: [* * *]"),
        ("60 * * * *", "end of range (60) above maximum (59): 60"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("* * * * 7", "end of range (7) above maximum (6): 7"),
        ("5-2 * * * *", "beginning of range (5) beyond end of range (2): 5-2"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
        ("1/2/3 * * * *", "too many slashes: 1/2/3"),
        ("x * * * *", 'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax'),
        ("@often", "unrecognized descriptor: @often"),
        ("@every x", 'failed to parse duration @every x: time: invalid duration "x"'),
    ],
)
def test_refusals(text: str, why: str) -> None:
    with pytest.raises(cron.CronError) as refused:
        cron.parse(text)
    assert str(refused.value) == why


@given(st.text(max_size=30))
def test_any_text_is_a_schedule_or_refused(text: str) -> None:
    try:
        found = cron.parse(text)
    except cron.CronError:
        return
    assert found.minute.values <= set(range(60))


def test_a_number_longer_than_python_reads() -> None:
    with pytest.raises(cron.CronError, match="value out of range"):
        cron.parse("9" * 5000 + " * * * *")
