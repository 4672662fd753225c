"""What each client library is shown: the same, so that one test can be read beside the other."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

IMAGE = "luksa/kubia"
PORT = 8080
GREETING = "Kubia server starting..."
BYTES = bytes(range(256)) * 400
READS_LINES = 'while read line; do echo "heard $line"; done'  # of /bin/sh, and then ends well


def pod(name: str, image: str = IMAGE, **container: Any) -> Json:
    containers = [{"name": "main", "image": image, **container}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": containers}}


def config_map(name: str, **data: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"of": "test"}},
        "data": data,
    }
