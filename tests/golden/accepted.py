"""Where our answers differ from the recorded ones, and why that is right.

Keyed by case and the number of the exchange; -1 stands for every exchange of the case.
"""

from __future__ import annotations

ACCEPTED: dict[tuple[str, int], str] = {}
