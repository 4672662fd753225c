"""What a request wants, as those see it who decide whether it may; and how its refusal reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from services.api import errors
from services.apiserver.authentication.users import User
from services.machinery.field_errors import quoted

MEMORABLE_LENGTH_MAX = 1024


@dataclass(frozen=True, slots=True)
class Attributes:
    """`path` where the request is for no resource. `fields` is the field selector of a list."""

    user: User
    verb: str
    namespace: str = ""
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""
    path: str = ""
    fields: str = ""

    @property
    def memorable(self) -> bool:
        """Whether what is decided may be remembered: anybody may ask for names and paths of any length."""
        texts = (self.path, self.group, self.resource, self.subresource, self.namespace)
        return sum(map(len, texts)) <= MEMORABLE_LENGTH_MAX


class Decision(NamedTuple):
    allowed: bool
    reason: str = ""


def refusal(asked: Attributes, reason: str = "") -> errors.ApiError:
    """403 in upstream's words."""
    who = f"User {quoted(asked.user.name)} cannot"
    why = f": {reason}" if reason else ""
    if asked.path:
        message = f"forbidden: {who} {asked.verb} path {quoted(asked.path)}{why}"
        return errors.failure(403, "Forbidden", message, {})
    part = f"{asked.resource}/{asked.subresource}" if asked.subresource else asked.resource
    scope = f"in the namespace {quoted(asked.namespace)}" if asked.namespace else "at the cluster scope"
    what = f"{asked.verb} resource {quoted(part)} in API group {quoted(asked.group)} {scope}"
    subject = f"{asked.resource}.{asked.group}" if asked.group else asked.resource
    name = f" {quoted(asked.name)}" if asked.name else ""
    details = {"name": asked.name, "group": asked.group, "kind": asked.resource}
    return errors.failure(403, "Forbidden", f"{subject}{name} is forbidden: {who} {what}{why}", details)
