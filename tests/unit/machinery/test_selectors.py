"""Label and field selectors: what they match, how they print, how they refuse."""

from __future__ import annotations

import pytest

from services.api.meta_v1 import LabelSelector, LabelSelectorRequirement
from services.machinery import fields, labels

LABELS = {"app": "kubia", "tier": "web", "weight": "7"}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("app=kubia", True),
        ("app==kubia,tier!=db", True),
        ("app!=kubia", False),
        ("other!=x", True),
        ("app in (a, kubia)", True),
        ("app notin (a,b)", True),
        ("other notin (a)", True),
        ("app", True),
        ("!app", False),
        ("!other,app", True),
        ("weight>6,weight<8", True),
        ("weight>7", False),
        ("tier=", False),
    ],
)
def test_what_a_label_selector_matches(text: str, matches: bool) -> None:
    assert labels.parse(text).matches(LABELS) is matches


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a==b==c", "found '==', expected: ',' or 'end of string'"),
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("!", "unable to parse requirement: found '', expected: identifier"),
        ("!!", "unable to parse requirement: found '!', expected: identifier"),
        (",", "found ',', expected: !, identifier, or 'end of string'"),
        ("a,", "found '', expected: identifier after ','"),
        (
            "a>x",
            'unable to parse requirement: values[0]: Invalid value: "x": '
            "for 'Gt', 'Lt' operators, the value must be an integer",
        ),
    ],
)
def test_how_a_label_selector_is_refused(text: str, message: str) -> None:
    with pytest.raises(labels.SelectorError) as refused:
        labels.parse(text)
    assert str(refused.value) == message


def test_label_selectors_print_sorted_and_canonical() -> None:
    assert str(labels.parse("tier in (b,a) , app == x,!canary")) == "app==x,!canary,tier in (a,b)"


def test_the_selector_of_a_spec() -> None:
    expression = LabelSelectorRequirement(key="tier", operator="NotIn", values=["db"])
    spec = LabelSelector(match_labels={"app": "kubia"}, match_expressions=[expression])
    assert labels.from_label_selector(spec).matches(LABELS)
    assert not labels.from_label_selector(None).matches({})
    assert labels.from_label_selector(LabelSelector()).matches({})
    with pytest.raises(labels.SelectorError):
        labels.from_label_selector(
            LabelSelector(match_expressions=[LabelSelectorRequirement(key="a", operator="In")])
        )


def test_field_selectors() -> None:
    selector = fields.parse("spec.nodeName=node-1,status.phase!=Running")
    assert selector.matches({"spec.nodeName": "node-1", "status.phase": "Pending"})
    assert not selector.matches({"spec.nodeName": "node-1", "status.phase": "Running"})
    assert fields.parse("spec.nodeName=").matches({})
    assert selector.exact("spec.nodeName") == "node-1"
    assert selector.exact("status.phase") is None
    assert fields.parse(r"a=b\,c").requirements[0].value == "b,c"
    with pytest.raises(fields.FieldSelectorError, match=r"^invalid selector: 'x'; can't understand 'x'$"):
        fields.parse("x")
