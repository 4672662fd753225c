"""From the catalogue to manifests: configuration, layers, and digests that follow from the content.

Equal descriptions give equal digests on every start, so that a node that kept an image across a restart of
the registry is right to keep it. Pure.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.registry.catalogue import ImageEntry, LayerEntry

_VERSION = re.compile(r"v?(\d+(?:\.\d+)*)")
CREATED_NANOSECONDS = 1_767_225_600_000_000_000  # 2026-01-01: catalogue images are all of one day


@dataclass(frozen=True, slots=True)
class StoredLayer:
    digest: str
    size: int
    files: Mapping[str, bytes]
    executables: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StoredImage:
    digest: str
    config_digest: str
    layers: tuple[StoredLayer, ...]
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    working_dir: str = ""
    user: str = ""
    ports: tuple[str, ...] = ()
    stop_signal: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    behaviour: str = ""
    created: int = CREATED_NANOSECONDS


def build(entry: ImageEntry, tag: str, repository: str = "") -> StoredImage:
    """The image behind one tag of an entry."""
    table = {**entry.table, **entry.variants.get(tag, {})}
    version = _version(entry, tag)

    def text(value: object) -> str:
        return str(value).replace("${tag}", tag).replace("${version}", version)

    def words(name: str) -> tuple[str, ...]:
        value = table.get(name, [])
        return tuple(text(word) for word in (value if isinstance(value, list) else str(value).split()))

    stack = entry.variant_layers.get(tag, entry.layers)
    layers = tuple(_layer(layer, text, seed=repository if index else "") for index, layer in enumerate(stack))
    behaviour = table.get("behaviour")
    described: dict[str, Any] = {
        "entrypoint": words("entrypoint"),
        "cmd": words("cmd"),
        "env": tuple(f"{name}={text(value)}" for name, value in table.get("env", {}).items()),
        "working_dir": text(table.get("workingDir", "")),
        "user": text(table.get("user", "")),
        "ports": tuple(port if "/" in str(port) else f"{port}/tcp" for port in table.get("ports", [])),
        "stop_signal": text(table.get("stopSignal", "")),
        "labels": {str(name): text(value) for name, value in table.get("labels", {}).items()},
        "behaviour": text(json.dumps(behaviour, sort_keys=True)) if behaviour else "",
    }
    config_digest = digest_of({**described, "layers": [layer.digest for layer in layers], "of": repository})
    return StoredImage(
        digest=digest_of({"config": config_digest}), config_digest=config_digest, layers=layers, **described
    )


def _layer(entry: LayerEntry, text: Any, *, seed: str) -> StoredLayer:
    files = {path: text(content).encode() for path, content in entry.files.items()}
    described = {
        "size": entry.size,
        "files": {path: content.decode() for path, content in files.items()},
        "executables": entry.executables,
        # Two images may add layers that we describe alike (nothing but a size); they are not the same.
        "seed": seed if not files and not entry.executables else "",
    }
    return StoredLayer(digest_of(described), entry.size, files, entry.executables)


def digest_of(value: object) -> str:
    data = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _version(entry: ImageEntry, tag: str) -> str:
    group = entry.group(tag) or (tag,)
    for candidate in sorted(group, key=len, reverse=True):
        match = _VERSION.match(candidate)
        if match:
            return match[1]
    return entry.version
