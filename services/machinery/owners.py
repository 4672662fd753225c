"""Who owns an object: ownerReferences, and the one of them that is its controller."""

from __future__ import annotations

from services.api.meta_v1 import OwnerReference
from services.api.object import Object


def controller_of(obj: Object) -> OwnerReference | None:
    """The reference to the controller that manages `obj`, if there is one."""
    for reference in obj.metadata.owner_references:
        if reference.controller:
            return reference
    return None


def new_controller_ref(owner: Object) -> OwnerReference:
    """The reference that makes `owner` the controller of an object."""
    return OwnerReference(
        api_version=owner.api_version,
        kind=owner.kind,
        name=owner.metadata.name or "",
        uid=owner.metadata.uid or "",
        controller=True,
        block_owner_deletion=True,
    )


def is_controlled_by(obj: Object, owner: Object) -> bool:
    reference = controller_of(obj)
    return reference is not None and reference.uid == owner.metadata.uid


def is_owned_by(obj: Object, uid: str) -> bool:
    """Whether any reference, controller or not, names that uid."""
    return any(reference.uid == uid for reference in obj.metadata.owner_references)
