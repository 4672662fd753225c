"""Labels, annotations and selectors as one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NONE = "<none>"


def format_labels(labels: Mapping[str, str] | None) -> str:
    """`a=b,c=d` in key order; `<none>` for none."""
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items())) or NONE


def format_selector(selector: Mapping[str, Any] | None) -> str:
    """A LabelSelector as people type it. Upstream: metav1.FormatLabelSelector."""
    if selector is None:
        return NONE
    parts = [(key, f"{key}={value}") for key, value in (selector.get("matchLabels") or {}).items()]
    for expression in selector.get("matchExpressions") or ():
        key, values = expression["key"], ",".join(sorted(expression.get("values") or ()))
        text = {
            "In": f"{key} in ({values})",
            "NotIn": f"{key} notin ({values})",
            "Exists": key,
            "DoesNotExist": f"!{key}",
        }[expression["operator"]]
        parts.append((key, text))
    return ",".join(text for _, text in sorted(parts, key=lambda part: part[0])) or NONE
