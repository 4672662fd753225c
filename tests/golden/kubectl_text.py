"""What kubectl prints, made comparable: what is random, or of the moment or the machine, is a mark."""

from __future__ import annotations

import re

_MARKS = tuple(
    (re.compile(pattern), mark)
    for pattern, mark in (
        (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uid>"),
        (r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} \d\d:\d\d:\d\d \+0000", "<time>"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ \+0000", "<time>"),
        (r"(/tmp/)?(LIVE|MERGED)(-\d+)?/", r"\2/"),
        (r'"?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( \+0000 UTC|Z)"?', "<time>"),
        (r'(resourceVersion\\?"?): \\?"\d+\\?"', r"\1: N"),
        (r"(Resource Version): +\S+", r"\1: N"),
        (r"\b10\.\d+\.\d+\.\d+", "<address>"),
        (r"(?<!-)\b(\d+[dhmsy]){1,3}\b|<invalid>", "<age>"),
        (r"127\.0\.0\.1:\d{4,5}", "<server>"),
        (r'(nodePort\\?"?): \d+', r"\1: N"),
        (r"\b(NodePort: .* )\d{5}/", r"\1N/"),
        (r":3\d{4}/", ":N/"),
        (r"kube-api-access-\w{5}", "kube-api-access-*"),
        (r"X509SHA256=\w+", "<certificate>"),
        # The older and the newer word for one line.
        (r"ConfigMapOptional: +<nil>", "Optional: false"),
        # Which file kubectl is, and in which folder it ran.
        (r"kubectl\.1\.\d+", "kubectl"),
        (r"'(\w+)' : lstat \S*\1", r"'\1' : lstat \1"),
        # Columns are as wide as what is in them.
        (r"-{3,}|={3,}", "---"),
        (r" +", " "),
    )
)
# What a version of kubectl says to itself, or of itself.
_OWN = re.compile(r"<klog>|[EIW]\d{4} \d\d:\d\d:\d\d|Flag --\S+ has been deprecated")


def normal(text: str) -> str:
    lines = [line for line in text.splitlines(keepends=True) if not _OWN.match(line)]
    text = "".join(lines)
    for pattern, mark in _MARKS:
        text = pattern.sub(mark, text)
    return text
