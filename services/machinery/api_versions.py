"""Which of a group's versions clients should prefer: v2 before v1 before v1beta1 before v1alpha1. Pure."""

from __future__ import annotations

import re

_VERSION = re.compile(r"v(\d+)(?:(alpha|beta)(\d+))?")
_STAGES = {"": 2, "beta": 1, "alpha": 0}
_LAST = 0x10FFFF


def preference(version: str) -> tuple[int, int, int, str]:
    """The greater, the better. Names of another form come last, in the order of the alphabet."""
    found = _VERSION.fullmatch(version)
    if found is None:
        return (-1, 0, 0, "".join(chr(_LAST - ord(each)) for each in version) + chr(_LAST))
    return (_STAGES[found[2] or ""], int(found[1]), int(found[3] or 0), "")
