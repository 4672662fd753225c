"""Which shell a shell is, in the order of what they understand."""

from __future__ import annotations

from enum import IntEnum


class Dialect(IntEnum):
    DASH = 0
    ASH = 1
    BASH = 2
