"""Shell patterns: `*`, `?`, `[a-z]`, `[!a]`, `[[:digit:]]`, a backslash quotes."""

from __future__ import annotations

import re


def matches(text: str, glob: str) -> bool:
    return re.fullmatch(translate(glob), text) is not None


def translate(glob: str) -> str:
    """A shell pattern as a regular expression; `[!a]` negates, a backslash quotes."""
    out, at = ["(?s:"], 0
    while at < len(glob):
        character = glob[at]
        at += 1
        if character == "*":
            out.append(".*")
        elif character == "?":
            out.append(".")
        elif character == "\\" and at < len(glob):
            out.append(re.escape(glob[at]))
            at += 1
        elif character == "[":
            found = _bracket(glob, at)
            if found is None:
                out.append(r"\[")
            else:
                out.append(found[0])
                at = found[1]
        else:
            out.append(re.escape(character))
    return "".join(out) + ")"


_CLASSES = {
    "digit": "0-9", "alpha": "a-zA-Z", "alnum": "a-zA-Z0-9", "upper": "A-Z", "lower": "a-z", "space": r"\s",
    "blank": r" \t", "punct": r"!-/:-@\[-`{-~", "xdigit": "0-9A-Fa-f",
}  # fmt: skip


def _bracket(glob: str, at: int) -> tuple[str, int] | None:
    end = at + (1 if glob[at : at + 1] in ("!", "^") else 0)
    end += 1 if glob[end : end + 1] == "]" else 0
    while end < len(glob) and glob[end] != "]":
        closing = glob.find(":]", end) if glob.startswith("[:", end) else -1
        end = closing + 2 if closing > 0 else end + 1
    if end >= len(glob):
        return None
    inner = glob[at:end]
    negated = inner[:1] in ("!", "^")
    inner = inner[1:] if negated else inner
    classes = "".join(_CLASSES.get(name, "") for name in re.findall(r"\[:(\w+):\]", inner))
    rest = re.sub(r"\[:\w+:\]", "", inner)
    rest = rest.replace("\\", "\\\\").replace("]", r"\]").replace("[", r"\[").replace("^", r"\^")
    regex = f"[{'^' if negated else ''}{rest}{classes}]"
    try:
        re.compile(regex)
    except re.error:
        return None
    return regex, end + 1
