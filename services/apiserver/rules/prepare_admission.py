"""Preparation of webhook configurations and admission policies: their generation counts what they say."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def webhooks_update(new: Json, old: Json) -> None:
    if (new.get("webhooks") or []) != (old.get("webhooks") or []):
        new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
