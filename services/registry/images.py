"""From the catalogue to OCI images: configuration, layers, manifests; digests follow from the content.

Equal descriptions give equal digests on every start, so that a node that kept an image across a restart of
the registry is right to keep it. A tag stands for an index with one manifest per platform; the layers are the
same on all of them, since nothing in them is machine code. A layer's `size` is what the real one has
on the wire; the bytes that stand for it here are `length`. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from services.registry.catalogue import ImageEntry, LayerEntry
from services.registry.files import CREATED_SECONDS, DIRECTORY, PROGRAM, File, pack, sha256

_VERSION = re.compile(r"v?(\d+(?:\.\d+)*)")
CREATED_NANOSECONDS = CREATED_SECONDS * 1_000_000_000
CREATED_TEXT = "2026-01-01T00:00:00Z"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
PLATFORMS = ("amd64", "arm64")  # the nodes are amd64
LAYERS_CACHED_MAX = 5_000
ORIGIN = "behaviour of"  # in an image's history, and so in that of every image built on it


@dataclass(frozen=True, slots=True)
class StoredLayer:
    digest: str
    diff_id: str
    size: int  # bytes on the wire of the layer that it stands for; decides how long a pull takes
    length: int  # bytes of the blob
    files: tuple[File, ...] | None = None  # None: to be read from the blob
    comment: str = ""

    def blob(self) -> bytes:
        """The bytes of a layer that is known by its files: made again each time, and always the same."""
        return pack(self.files or (), self.comment)[0]


@dataclass(frozen=True, slots=True)
class Document:
    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class StoredImage:
    digest: str  # what the tag stands for
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
    behaviour: str = ""  # JSON
    derived: str = ""  # JSON: what images built on this one do, where that differs
    created: int = CREATED_NANOSECONDS
    documents: Mapping[str, Document] = field(default_factory=dict)  # index, manifests; by digest
    blobs: Mapping[str, bytes] = field(default_factory=dict)  # configurations; by digest
    origin: str = ""  # the step of the history that tells what it is

    @property
    def chain(self) -> tuple[str, ...]:
        return tuple(layer.diff_id for layer in self.layers)


class Builder:
    """Keeps the layers that it made, since many images share them."""

    def __init__(self) -> None:
        self._layers: dict[tuple[object, ...], StoredLayer] = {}

    def build(self, entry: ImageEntry, tag: str, repository: str = "") -> StoredImage:
        """The image behind one tag of an entry."""
        table = {**entry.table, **entry.variants.get(tag, {})}
        version = _version(entry, tag)

        def text(value: object) -> str:
            return str(value).replace("${tag}", tag).replace("${version}", version)

        def words(name: str) -> tuple[str, ...]:
            value = table.get(name, [])
            return tuple(text(word) for word in (value if isinstance(value, list) else str(value).split()))

        def told(name: str) -> str:
            return text(json.dumps(table[name], sort_keys=True)) if table.get(name) else ""

        stack = entry.variant_layers.get(tag, entry.layers)
        layers = tuple(
            self._layer(layer, text, seed=repository if index else "") for index, layer in enumerate(stack)
        )
        described: dict[str, Any] = {
            "entrypoint": words("entrypoint"),
            "cmd": words("cmd"),
            "env": tuple(f"{name}={text(value)}" for name, value in table.get("env", {}).items()),
            "working_dir": text(table.get("workingDir", "")),
            "user": text(table.get("user", "")),
            "ports": tuple(
                str(port) if "/" in str(port) else f"{port}/tcp" for port in table.get("ports", [])
            ),
            "stop_signal": text(table.get("stopSignal", "")),
            "labels": {str(name): text(value) for name, value in table.get("labels", {}).items()},
        }
        behaviour = told("behaviour"), told("derived")
        return _assembled(layers, described, behaviour, repository or entry.repository)

    def _layer(self, entry: LayerEntry, text: Callable[[object], str], *, seed: str) -> StoredLayer:
        contents = {path: text(content) for path, content in entry.files.items()}
        # Two images may add layers that we describe alike (nothing but a size); they are not the same.
        seed = "" if contents or entry.executables else seed
        key = (tuple(contents.items()), entry.executables, entry.size, seed)
        known = self._layers.get(key)
        if known is None:
            known = _described(contents, entry, f"{entry.size} bytes {seed}".strip())
            if len(self._layers) >= LAYERS_CACHED_MAX:
                self._layers.clear()
            self._layers[key] = known
        return known


def _described(contents: Mapping[str, str], entry: LayerEntry, comment: str) -> StoredLayer:
    files = {
        path.rstrip("/"): File(path.rstrip("/"), DIRECTORY, 0o1777 if path == "/tmp/" else 0o755)
        if path.endswith("/")
        else File(path, content=content.encode())
        for path, content in contents.items()
    }
    for path in entry.executables:
        content = files[path].content if path in files else PROGRAM
        files[path] = File(path, mode=0o755, content=content)
    blob, diff_id = pack(files.values(), comment)
    return StoredLayer(sha256(blob), diff_id, entry.size, len(blob), tuple(files.values()), comment)


def _assembled(
    layers: tuple[StoredLayer, ...], described: dict[str, Any], behaviour: tuple[str, str], repository: str
) -> StoredImage:
    # Two repositories may describe the same; they are two images, as the behaviour makes them.
    origin = f"{ORIGIN} {repository} {sha256(encode(behaviour))}"
    configs = {platform: config_document(described, layers, platform, origin) for platform in PLATFORMS}
    manifests = {platform: manifest_document(config, layers) for platform, config in configs.items()}
    index = encode({
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [
            {**descriptor(MANIFEST, manifest), "platform": {"architecture": platform, "os": "linux"}}
            for platform, manifest in manifests.items()
        ],
    })  # fmt: skip
    documents = {sha256(manifest): Document(MANIFEST, manifest) for manifest in manifests.values()}
    documents[sha256(index)] = Document(INDEX, index)
    return StoredImage(
        digest=sha256(index),
        config_digest=sha256(configs[PLATFORMS[0]]),
        layers=layers,
        documents=documents,
        blobs={sha256(config): config for config in configs.values()},
        origin=origin,
        behaviour=behaviour[0],
        derived=behaviour[1],
        **described,
    )


def config_document(
    described: Mapping[str, Any],
    layers: tuple[StoredLayer, ...],
    platform: str,
    origin: str,
) -> bytes:
    config = {
        "Entrypoint": list(described["entrypoint"]),
        "Cmd": list(described["cmd"]),
        "Env": list(described["env"]),
        "WorkingDir": described["working_dir"],
        "User": described["user"],
        "ExposedPorts": {port: {} for port in described["ports"]},
        "StopSignal": described["stop_signal"],
        "Labels": dict(described["labels"]),
    }
    steps: list[dict[str, object]] = [
        {"created": CREATED_TEXT, "created_by": f"layer {layer.comment}"} for layer in layers
    ]
    steps.append({"created": CREATED_TEXT, "created_by": origin, "empty_layer": True})
    return encode({
        "architecture": platform,
        "os": "linux",
        "created": CREATED_TEXT,
        "config": {name: value for name, value in config.items() if value},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": steps,
    })  # fmt: skip


def manifest_document(config: bytes, layers: tuple[StoredLayer, ...]) -> bytes:
    return encode({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(CONFIG, config),
        "layers": [{"mediaType": LAYER, "digest": layer.digest, "size": layer.length} for layer in layers],
    })  # fmt: skip


def descriptor(media_type: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": sha256(data), "size": len(data)}


def encode(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _version(entry: ImageEntry, tag: str) -> str:
    group = entry.group(tag) or (tag,)
    for candidate in sorted(group, key=len, reverse=True):
        match = _VERSION.match(candidate)
        if match:
            return match[1]
    return entry.version
