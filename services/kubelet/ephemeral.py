"""Ephemeral containers, which somebody adds to a running Pod to look at it.

They have the fields of a container, but no ports, probes or resources, and are never restarted.
The rest of the kubelet sees them as containers, made once for each spec.
"""

from __future__ import annotations

from services.api.core_v1 import Container, EphemeralContainer, Pod

_FIELDS = tuple(name for name in Container.__struct_fields__ if hasattr(EphemeralContainer, name))


def as_container(given: EphemeralContainer) -> Container:
    return Container(**{name: getattr(given, name) for name in _FIELDS})


def containers(pod: Pod) -> list[Container]:
    return [as_container(given) for given in pod.spec.ephemeral_containers]


def target_of(pod: Pod, name: str) -> str:
    """The container whose processes it is to see; empty when it names none."""
    found = (given for given in pod.spec.ephemeral_containers if given.name == name)
    return next((given.target_container_name or "" for given in found), "")
