"""`Rules`: what one kind, or one of its subresources, has of its own; the rest of a write is everybody's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from services.apiserver.rules import prepare
from services.apiserver.rules.validation.core import service_account_update
from services.machinery.field_errors import Causes

Json = dict[str, Any]


def _nothing(obj: Json) -> None:
    """For kinds and steps without rules of their own."""


def _keep(new: Json, old: Json) -> None:
    """An update without rules of its own."""


def _no_create(obj: Json, out: Causes) -> None:
    """Subresources do not create."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The steps of a write, as functions of the object, or of the new and the old one."""

    validate: Callable[[Json, Causes], None] = _no_create
    validate_update: Callable[[Json, Json, Causes], None] = service_account_update
    prepare: Callable[[Json], None] = _nothing
    prepare_update: Callable[[Json, Json], None] = _keep
    allows_create_on_update: bool = False
    allows_unconditional_update: bool = True
    is_status: bool = False  # Only the status counts; the spec is the old one and needs no defaults.


def of_status(
    check: Callable[[Json, Json, Causes], None],
    prepare_update: Callable[[Json, Json], None] = prepare.status_update,
) -> Rules:
    """Of the `status` subresource."""
    return Rules(validate_update=check, prepare_update=prepare_update, is_status=True)
