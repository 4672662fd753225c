"""What holds for all tests: each file answers for its own garbage, and chance plays no part.

A socket that nobody closed is noticed when the collector finds it: without more, in the middle of a test of
another file. So all garbage is collected when a file ends, and what complains then is a failure of that
file's. What outlives it (modules, caches) is not looked at again, which is what makes this cheap.

Hypothesis tries the same examples in every run, however slow the machine is; `--hypothesis-profile=search`
lets it look for others.
"""

from __future__ import annotations

import gc
import sys
import traceback
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", settings.get_profile("search"), derandomize=True, database=None)
settings.load_profile("same")


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    ended = yield
    if nextitem is None or nextitem.path != item.path:
        complaints = collected()
        gc.freeze()
        if complaints:
            text = f"Left to the collector by tests of {item.path.name}:\n\n" + "\n".join(complaints)
            report = pytest.TestReport(item.nodeid, item.location, {}, "failed", text, "teardown")
            item.ihook.pytest_runtest_logreport(report=report)
    return ended


def collected() -> list[str]:
    """What objects complained about when they were collected."""
    complaints: list[str] = []

    def complain(found: sys.UnraisableHookArgs) -> None:
        shown = traceback.format_exception(found.exc_type, found.exc_value, found.exc_traceback)
        complaints.append(f"{found.err_msg or 'Exception ignored in'}: {found.object!r}\n{''.join(shown)}")

    usual, sys.unraisablehook = sys.unraisablehook, complain
    try:
        gc.collect()
    finally:
        sys.unraisablehook = usual
    return complaints
