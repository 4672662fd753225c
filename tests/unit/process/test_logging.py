"""Log lines: one line an event, whatever the values contain."""

from __future__ import annotations

import io
from random import Random

import orjson
import pytest
import structlog

from services.machinery import trace
from services.process.logging import configure, get_logger
from tests.support.clock import ManualClock


@pytest.fixture(autouse=True)
def unconfigured() -> object:
    yield
    structlog.reset_defaults()


def lines(form: str, **values: object) -> str:
    out = io.StringIO()
    configure(ManualClock(), form=form, stream=out)
    get_logger("scheduler").info("Scheduled the Pod", **values)
    return out.getvalue()


def test_a_sentence_then_the_facts() -> None:
    text = lines("text", kind="Pod", name="kubia", node="node 1")
    assert (
        text
        == '00:00:00.000 scheduler          INFO    Scheduled the Pod  kind=Pod name=kubia node="node 1"\n'
    )


def test_a_value_cannot_forge_a_second_line() -> None:
    text = lines("text", name="a\n00:00:00.000 etcd INFO gone", bell="\x07")
    assert text.count("\n") == 1
    assert "\\n00:00" in text


def test_an_endless_value_is_cut() -> None:
    assert len(lines("text", value="x" * 100_000)) < 3_000


def test_the_trace_of_the_running_task_is_on_the_line() -> None:
    parent = trace.start(Random(1))
    with trace.scope(parent):
        text, record = lines("text"), orjson.loads(lines("json", kind="Pod"))
    assert text.endswith(f"  trace={trace.trace_id(parent)[:8]}\n")
    assert record["trace"] == trace.trace_id(parent)
    assert record["message"] == "Scheduled the Pod"
    assert record["time"] == "2026-01-01T00:00:00.000000Z"


def test_work_without_a_cause_has_no_trace() -> None:
    assert "trace" not in lines("text")
