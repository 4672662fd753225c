"""Which replica a container is: the DNS answer, read, and its name, understood."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.node.name_from_dns import first_name, node_name, question

# An answer as Docker's DNS gives it: the question, then a PTR record whose owner is a pointer to it.
RECORD = b"\x0dorrery-node-2\x0eorrery_default\x00"
ANSWER = (
    question("172.18.0.5", 7)[:6]
    + b"\x00\x01\x00\x00\x00\x00"
    + question("172.18.0.5", 7)[12:]
    + b"\xc0\x0c\x00\x0c\x00\x01\x00\x00\x02\x58"
    + len(RECORD).to_bytes(2, "big")
    + RECORD
)


@pytest.mark.parametrize(
    ("container", "name"),
    [
        ("orrery-node-2.orrery_default", "node-2"),
        ("orrery-test-node-13.orrery-test_default", "node-13"),
        ("orrery_node_1.orrery_default", "node-1"),
        ("laptop", "laptop"),
    ],
)
def test_the_end_of_a_containers_name_names_its_node(container: str, name: str) -> None:
    assert node_name(container) == name


def test_the_question_asks_for_the_reversed_address() -> None:
    assert b"\x015\x010\x0218\x03172\x07in-addr\x04arpa\x00" in question("172.18.0.5", 7)


def test_the_answers_name_is_found_behind_the_pointer() -> None:
    assert first_name(ANSWER) == "orrery-node-2.orrery_default"


def test_an_answer_without_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="no name"):
        first_name(question("172.18.0.5", 7))


@given(st.binary(max_size=200))
def test_whatever_comes_back_it_ends(noise: bytes) -> None:
    with contextlib.suppress(ValueError):
        first_name(ANSWER[:12] + noise)
