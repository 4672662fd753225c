"""What creation and replacement fill in, field by field as a real API server did; without a server."""

from __future__ import annotations

import pytest

from tests.golden.normal import differences, normal
from tests.golden.rules_world import play
from tests.golden.runner import GOLDEN, available, cases

FOLDER = "defaults"
pytestmark = pytest.mark.skipif(not available(FOLDER), reason=f"no recordings at {GOLDEN}")
CASES = dict(cases(FOLDER)) if available(FOLDER) else {}


@pytest.mark.parametrize("name", CASES)
def test_case(name: str) -> None:
    compared = 0
    for index, wanted, got in play(CASES[name]):
        compared += 1
        # Managed fields are the patch code's, and compared with its own recordings.
        wanted, got = normal(wanted, ("managedFields",)), normal(got, ("managedFields",))
        assert list(differences(wanted, got)) == [], f"exchange {index}"
    if not compared:
        pytest.skip("nothing here that the rules alone answer")
