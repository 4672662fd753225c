"""Expressions that select devices: which are refused, in which words, and what they may cost."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from services.apiserver.crd.costs import Estimate
from services.apiserver.rules.validation import device_selectors, devices
from services.machinery.field_errors import Causes

ATTRIBUTES = 'device.attributes["dra.example.com"]'
# Expressions, and what upstream estimates that they cost at most.
GOOD = [
    ("true", 0),
    ('"no-such-domain" in device.attributes', 3),
    ('device.driver == ""', 2),
    ('device.driver == "dra.example.com"', 4),
    (f"{ATTRIBUTES}.name", 4),
    (f'{ATTRIBUTES}["name"]', 4),
    (f"{ATTRIBUTES}.name > 0", 5),
    (f'{ATTRIBUTES}.name == "fish"', 5),
    ('device.attributes["no-such-domain"].noSuchAttr.isGreaterThan(quantity("0"))', 6),
    (f"cel.bind(dra, {ATTRIBUTES}, dra.name)", 15),
]
BAD = [
    ("?!", "compilation failed: ERROR: <input>:1:1: Syntax error"),
    ("1", "must evaluate to bool or the unknown type, not int"),
    ("dyn(1)", "must evaluate to bool or the unknown type, not dyn"),
    ("device.bogus == 1", "compilation failed: ERROR: <input>:1:7: undefined field 'bogus'"),
    (f'{ATTRIBUTES}.attr.includes("fish")', "undeclared reference to 'includes'"),
    (f"{ATTRIBUTES}.a.all(x, x == 1)", "expression of type 'any' cannot be range of a comprehension"),
    ("cel.bind(a.b, 1, a)", "argument must be a simple name"),
]
_TEN = "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]"


def faults(expression: str) -> Causes:
    out: Causes = []
    found = {"metadata": {"name": "c"}, "spec": {"selectors": [{"cel": {"expression": expression}}]}}
    devices.device_class(found, out)
    return out


@pytest.mark.parametrize(("expression", "cost"), GOOD)
def test_what_is_sound_is_taken_and_costs_what_upstream_says(expression: str, cost: int) -> None:
    assert faults(expression) == []
    tree = device_selectors.ENVIRONMENT.compile(expression).tree
    assert Estimate(tree, device_selectors.PLACE, ("device",)).most == cost


@pytest.mark.parametrize(("expression", "why"), BAD)
def test_what_is_not_is_refused(expression: str, why: str) -> None:
    (found,) = faults(expression)
    assert found["reason"] == "FieldValueInvalid"
    assert found["field"] == "spec.selectors[0].cel.expression"
    assert why in found["message"]


def test_what_could_cost_too_much_is_refused() -> None:
    expression = "true"
    for name in "abcdef":
        expression = f"{_TEN}.all({name}, {expression})"
    assert faults(expression)[0]["message"] == "Forbidden: too complex, exceeds cost limit"
    assert faults("x" * 10_241)[0]["reason"] == "FieldValueTooLong"


def test_a_selector_sees_a_device() -> None:
    seen: dict[str, Any] = {
        "driver": "dra.example.com",
        "allowMultipleAllocations": False,
        "attributes": {"dra.example.com": {"model": "a", "ready": True}},
        "capacity": {"dra.example.com": {}},
    }
    expression = (
        f"cel.bind(it, {ATTRIBUTES}, it.ready && it.model == 'a') && !device.allowMultipleAllocations"
    )
    program = device_selectors.ENVIRONMENT.compile(expression)
    assert program.evaluate({"device": seen})[0] is True
    seen["attributes"]["dra.example.com"]["model"] = "b"
    assert program.evaluate({"device": seen})[0] is False


def test_cel_is_loaded_with_the_first_expression() -> None:
    loads = "import sys, services.apiserver.rules.validation.devices"
    text = f"{loads}; print('services.apiserver.cel' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert said.stdout == "False\n"
