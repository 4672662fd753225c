"""A Deployment from a name and images."""

from __future__ import annotations

import re
from typing import Any

from services.kubectl.errors import Fail
from services.kubectl.flags import Flag, integer, texts
from services.kubectl.session import Session

Json = dict[str, Any]

DEPLOYMENT_FLAGS: tuple[Flag, ...] = (
    texts("image", "Image of a container; several make several containers", required=True, split=True),
    integer("port", "Port that the container exposes", default=-1),
    integer("replicas", "How many Pods", default=1, short="r"),
)


def container_name(image: str) -> str:
    """A container's name from its image: the last word, without tag or digest."""
    word = image.rpartition("/")[2].partition(":")[0].partition("@")[0].lower()
    return re.sub(r"[^a-z0-9-]", "-", word.replace("_", "-")).strip("-")[:63] or "container"


def deployment(session: Session) -> Json:
    flags = session.flags
    names = session.args[: flags.dash] if flags.dash >= 0 else session.args
    command = session.args[flags.dash :] if flags.dash >= 0 else []
    if len(names) != 1:
        raise session.usage_error(f"exactly one NAME is required, got {len(names)}")
    images = flags["image"]
    if len(images) > 1 and command:
        raise Fail("cannot specify multiple --image options and command")
    if flags["replicas"] < 0:
        raise Fail("--replicas must be a non-negative integer")
    name = names[0]
    containers: list[Json] = []
    for image in images:
        container: Json = {"name": container_name(image), "image": image, "resources": {}}
        if command:
            container["command"] = command
        containers.append(container)
    if flags["port"] > 0:
        containers[0]["ports"] = [{"containerPort": flags["port"]}]
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": flags["replicas"],
            "selector": {"matchLabels": labels},
            "strategy": {},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
        },
        "status": {},
    }
