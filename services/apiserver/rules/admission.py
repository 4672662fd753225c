"""Admission: what the cluster as a whole adds to a request, or forbids.

Upstream's plugins of the same names: NamespaceLifecycle, ServiceAccount, Priority,
DefaultTolerationSeconds, TaintNodesByCondition. `mutate` runs before validation, `validate` after.
"""

from __future__ import annotations

from typing import Any, Literal

from services.api import kinds
from services.apiserver.rules.context import Context

Json = dict[str, Any]
Verb = Literal["create", "update", "delete"]


def mutate(
    verb: Verb, resource: kinds.Resource, subresource: str, obj: Json, old: Json | None, ctx: Context
) -> None:
    """Completes `obj` in place. ApiError (403, 404) where a plugin refuses."""


def validate(
    verb: Verb, resource: kinds.Resource, subresource: str, obj: Json | None, old: Json | None, ctx: Context
) -> None:
    """ApiError where a plugin refuses the finished object, or (`obj` None) the deletion of `old`."""
