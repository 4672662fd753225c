"""What is wrong with an expression that cannot be read, in the words of upstream's generated parser.

The `cel` library has the same grammar in the same parser generator, and so says the same. It is loaded, for a
third of a second, only where an expression has been refused already.
"""

from __future__ import annotations

import re

from services.apiserver.cel.faults import CompileError, shown_at

_FAULT = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")
# Words of its own, for what it does not know and upstream does.
_FOREIGN = "unsupported syntax"


def of(text: str) -> CompileError | None:
    """None where that parser has nothing to say that upstream would."""
    import cel

    try:
        cel.compile(text)
    except ValueError as error:
        found = _FAULT.findall(str(error))
    else:
        return None
    if not found or any(_FOREIGN in message for _, _, message in found):
        return None
    return CompileError("\n".join(shown_at(text, int(line), int(at) - 1, why) for line, at, why in found))
