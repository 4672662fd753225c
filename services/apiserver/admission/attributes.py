"""What admission is asked about: one request, as webhooks and policies see it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from services.api.kinds import Resource
from services.apiserver.authentication.users import User

Json = dict[str, Any]
Operation = Literal["CREATE", "UPDATE", "DELETE", "CONNECT"]
GROUP = "admissionregistration.k8s.io"


class GroupVersionKind(NamedTuple):
    group: str
    version: str
    kind: str


class Asks(Protocol):
    """What admission may ask of a request's context."""

    @property
    def warnings(self) -> list[str]: ...

    def lookup(self, resource: Resource, namespace: str, name: str) -> Json | None: ...

    def warn(self, text: str) -> None: ...


@dataclass(slots=True)
class Attributes:
    """`obj` is None where something goes, `old` where something comes. `options` are the verb's own."""

    operation: Operation
    resource: Resource
    subresource: str
    namespace: str
    name: str
    obj: Json | None
    old: Json | None
    user: User
    ctx: Asks
    options: Json = field(default_factory=dict)
    dry_run: bool = False

    @property
    def kind(self) -> GroupVersionKind:
        """Of the object: a subresource may have a kind of its own."""
        resource = self.resource
        for part in resource.subresources:
            if part.name == self.subresource and part.kind:
                version = part.version or resource.version
                return GroupVersionKind(part.group, version, part.kind)
        return GroupVersionKind(resource.group, resource.version, resource.kind)

    @property
    def is_exempt(self) -> bool:
        """Whoever may register may also repair what is registered: nothing is asked about it."""
        return self.resource.group == GROUP

    @property
    def shown_name(self) -> str:
        meta = (self.obj or {}).get("metadata") or {}
        return str(self.name or meta.get("name") or meta.get("generateName", ""))
