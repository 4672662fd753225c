"""Generated names, template hashes, growing delays."""

from __future__ import annotations

from random import Random

from services.machinery import hashing, names
from services.machinery.backoff import Backoff, jitter


def test_generated_names_fit_and_spell_no_words() -> None:
    name = names.generate_name("kubia-", Random(1))
    assert name.startswith("kubia-")
    assert set(name.removeprefix("kubia-")) <= set(names.ALPHABET)
    assert len(names.generate_name("x" * 300, Random(1))) == 63


def test_equal_templates_share_a_hash_and_a_collision_changes_it() -> None:
    one = hashing.template_hash(b'{"a":1}')
    assert one == hashing.template_hash(b'{"a":1}')
    assert one != hashing.template_hash(b'{"a":2}')
    assert one != hashing.template_hash(b'{"a":1}', 0)
    assert set(one) <= set(names.ALPHABET)
    assert hashing.fnv32a(b"a") == 0xE40C292C


def test_delays_double_per_key_up_to_the_maximum() -> None:
    backoff = Backoff(10, 300)
    assert [backoff.next("a") for _ in range(7)] == [10, 20, 40, 80, 160, 300, 300]
    assert backoff.next("b") == 10
    assert backoff.peek("a") == 300
    backoff.forget("a")
    assert backoff.peek("a") == 0
    assert backoff.next("a") == 10
    assert backoff.seconds(10_000) == 300


def test_jitter_only_adds() -> None:
    assert 10 <= jitter(10, 0.5, Random(1)) < 15
