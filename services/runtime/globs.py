"""Shell patterns: `*`, `?`, `[a-z]`, `[!a]`, `[[:digit:]]`, a backslash quotes."""

from __future__ import annotations

import re


def matches(text: str, glob: str) -> bool:
    return re.fullmatch(translate(glob), text) is not None


def translate(glob: str) -> str:
    """A shell pattern as a regular expression that takes no longer than the text is long."""
    parts: list[str] = [""]  # what stands between the stars
    at = 0
    while at < len(glob):
        character = glob[at]
        at += 1
        if character == "*":
            if parts[-1] or len(parts) == 1:
                parts.append("")
        elif character == "?":
            parts[-1] += "."
        elif character == "\\" and at < len(glob):
            parts[-1] += re.escape(glob[at])
            at += 1
        elif character == "[":
            found = _bracket(glob, at)
            if found is None:
                parts[-1] += r"\["
            else:
                parts[-1] += found[0]
                at = found[1]
        else:
            parts[-1] += re.escape(character)
    if len(parts) == 1:
        return f"(?s:{parts[0]})"
    # The first place where a middle part fits is as good as any: nothing is tried twice.
    middle = "".join(f"(?>.*?{part})" for part in parts[1:-1] if part)
    return f"(?s:{parts[0]}{middle}.*{parts[-1]})"


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
