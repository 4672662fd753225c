"""Refusals and warnings, word for word as a real API server gave them; without a server."""

from __future__ import annotations

import pytest

from tests.golden.normal import differences, normal
from tests.golden.rules_world import play
from tests.golden.runner import GOLDEN, available, cases

FOLDER = "errors"
pytestmark = pytest.mark.skipif(not available(FOLDER), reason=f"no recordings at {GOLDEN}")
CASES = dict(cases(FOLDER)) if available(FOLDER) else {}

# What the rules alone answer differently, and why; -1: every exchange of the case.
ACCEPTED: dict[tuple[str, int], str] = {
    ("configmap-key-bad", 2): "causes out of one Go map come in random order, also in the message",
    ("generatename-bad", 2): "the generated name is random and stands in the message",
    ("endpoints-loopback", 2): "a refusal carries no warnings over gRPC",
    ("finalizers", 8): "that the object is being deleted is the store's to say",
    ("immutable-metadata-uid", 3): "the store compares UIDs before the rules run",
    ("resourceversion-on-create", 2): "resource versions are the store's",
    ("stale-resourceversion", -1): "resource versions are the store's",
    ("quota-exceeded", -1): "quotas are charged where objects are written",
    ("quota-scopes", -1): "quotas are charged where objects are written",
    ("vap-deny", -1): "policies are asked beside these rules; test_rest plays it",
    ("webhook-failing", -1): "webhooks are asked beside these rules; test_rest plays it",
}


@pytest.mark.parametrize("name", CASES)
def test_case(name: str) -> None:
    compared = 0
    for index, wanted, got in play(CASES[name]):
        if (name, index) in ACCEPTED or (name, -1) in ACCEPTED:
            continue
        compared += 1
        # Managed fields are the patch code's, and compared with its own recordings.
        wanted, got = normal(wanted, ("managedFields",)), normal(got, ("managedFields",))
        assert list(differences(wanted, got)) == [], f"exchange {index}"
    if not compared:
        pytest.skip("nothing here that the rules alone answer")


def test_nothing_is_accepted_in_vain() -> None:
    """An accepted difference that is none any more has to leave the list."""
    for name, index in ACCEPTED:
        played = list(play(CASES[name]))
        differ = [
            at
            for at, wanted, got in played
            if list(differences(normal(wanted, ("managedFields",)), normal(got, ("managedFields",))))
        ]
        assert differ if index == -1 else index in differ, name
