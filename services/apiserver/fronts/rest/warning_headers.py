"""What a caller is warned of, as headers of the answer: each text once, and bounded in sum. Pure.

Whoever says more than fits has each text cut short, and what still does not fit left out. Control characters,
which no header may contain, become blanks. Upstream: `endpoints/filters/warning.go`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

LENGTH_MAX, CUT_LENGTH = 4 * 1024, 256


def headers_of(warnings: Iterable[str]) -> list[str]:
    texts = [_clean(text) for text in dict.fromkeys(warnings) if text]
    if sum(map(len, texts)) > LENGTH_MAX:
        texts = _cut(texts)
    return [f'299 - "{text}"' for text in (_escaped(text) for text in texts)]


def _cut(texts: list[str]) -> list[str]:
    found, length = [], 0
    for text in texts:
        if length >= LENGTH_MAX:
            break
        found.append(text[:CUT_LENGTH])
        length += len(found[-1])
    return found


def _clean(text: str) -> str:
    return "".join(" " if unicodedata.category(each) == "Cc" else each for each in text)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
