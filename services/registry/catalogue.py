"""The images that the registry knows from the start, read from YAML: config/images/*.yaml.

A file may hold `layers` (pieces that images share), `images`, `missing` (patterns of names that are refused)
and `generic` (what any other user/name is). Read once; a mistake is told with its file and name, and
ends the process, since half a catalogue would mislead. Pure but for reading the files.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

Table = Mapping[str, Any]
UNITS = {"": 1, "B": 1, "kB": 1000, "MB": 1000**2, "GB": 1000**3, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_SIZE = re.compile(r"([\d.]+)\s*([kKMG]?i?B?)")
IMAGE_FIELDS = frozenset({
    "names", "tags", "pattern", "version", "base", "layers", "entrypoint", "cmd", "env", "workingDir", "user",
    "ports", "stopSignal", "labels", "behaviour", "variants", "private",
})  # fmt: skip
LAYER_FIELDS = frozenset({"size", "files", "executables", "note"})


class CatalogueError(Exception):
    """The catalogue cannot be used as it is written."""


@dataclass(frozen=True, slots=True)
class LayerEntry:
    size: int
    files: Mapping[str, str]
    executables: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ImageEntry:
    """One image under one or several tags. Strings may hold ${tag} and ${version}."""

    repository: str  # docker.io/library/nginx
    tags: tuple[tuple[str, ...], ...]  # tags in one group are one image
    pattern: re.Pattern[str] | None  # other tags that exist
    version: str
    layers: tuple[LayerEntry, ...]
    table: Table  # entrypoint, cmd, env, …
    variants: Mapping[str, Table] = field(default_factory=dict)  # by tag: what differs
    variant_layers: Mapping[str, tuple[LayerEntry, ...]] = field(default_factory=dict)

    def group(self, tag: str) -> tuple[str, ...] | None:
        """The tags that mean the same image as this one; None when there is no such tag."""
        for group in self.tags:
            if tag in group:
                return group
        return (tag,) if self.pattern is not None and self.pattern.fullmatch(tag) else None


@dataclass(frozen=True, slots=True)
class Catalogue:
    images: Mapping[str, ImageEntry]  # by repository
    missing: tuple[re.Pattern[str], ...]
    generic: ImageEntry | None


def default_folder() -> Path:
    """Beside the code in a checkout, else where an installation puts it; ORRERY_CONFIG overrides both."""
    named = os.environ.get("ORRERY_CONFIG")
    candidates = [
        *([Path(named)] if named else []),
        Path(__file__).resolve().parents[2] / "config",
        Path(sys.prefix) / "share" / "orrery",
    ]
    for folder in candidates:
        if (folder / "images").is_dir():
            return folder / "images"
    raise CatalogueError("there is no image catalogue: set ORRERY_CONFIG to the folder that has images/")


def load(folder: Path) -> Catalogue:
    documents = [(path.name, _read(path)) for path in sorted(folder.glob("*.yaml"))]
    layers: dict[str, LayerEntry] = {}
    images: dict[str, ImageEntry] = {}
    missing: list[re.Pattern[str]] = []
    generic: ImageEntry | None = None
    for file, document in documents:
        for name, table in document.get("layers", {}).items():
            layers[name] = _layer(f"{file}: layer {name}", table, layers)
    for file, document in documents:
        missing += [re.compile(pattern) for pattern in document.get("missing", ())]
        for name, table in document.get("images", {}).items():
            where = f"{file}: image {name}"
            for repository in _repositories(name, table):
                images[repository] = _image(where, repository, table, layers)
        if "generic" in document:
            generic = _image(f"{file}: generic", "generic", document["generic"], layers)
    return Catalogue(images, tuple(missing), generic)


def _read(path: Path) -> Table:
    try:
        document = yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise CatalogueError(f"{path.name}: {error}") from error
    if not isinstance(document, dict):
        raise CatalogueError(f"{path.name}: a table is wanted at the top")
    return document


def _repositories(name: str, table: Table) -> Iterable[str]:
    return [full(one) for one in (name, *table.get("names", ()))]


def full(name: str) -> str:
    if "/" not in name:
        return f"docker.io/library/{name}"
    return name if "." in name.split("/")[0] else f"docker.io/{name}"


def size_bytes(text: object) -> int:
    """57MB, 1.2 GB, 900. ValueError for anything else."""
    match = _SIZE.fullmatch(str(text).strip())
    if match is None or match[2] not in UNITS:
        raise ValueError(f"not a size: {text}")
    return int(float(match[1]) * UNITS[match[2]])


def _layer(where: str, table: Table, known: Mapping[str, LayerEntry]) -> LayerEntry:
    _only(where, table, LAYER_FIELDS)
    try:
        size = size_bytes(table.get("size", 0))
    except ValueError as error:
        raise CatalogueError(f"{where}: {error}") from error
    executables: list[str] = []
    groups = table.get("executables", {})
    for folder, names in groups.items():
        words = names.split() if isinstance(names, str) else names
        executables += [f"{folder.rstrip('/')}/{name}" for name in words]
    files = {str(path): str(content) for path, content in table.get("files", {}).items()}
    return LayerEntry(size, files, tuple(executables))


def _image(where: str, repository: str, table: Table, layers: Mapping[str, LayerEntry]) -> ImageEntry:
    _only(where, table, IMAGE_FIELDS)
    tags = tuple(tuple(str(tag) for tag in _list(group)) for group in table.get("tags", [["latest"]]))
    pattern = table.get("pattern")
    variants = {str(tag): variant for tag, variant in table.get("variants", {}).items()}
    return ImageEntry(
        repository,
        tags,
        re.compile(str(pattern)) if pattern else None,
        str(table.get("version", "1.0")),
        _stack(where, table, layers),
        table,
        variants,
        {tag: _stack(where, {**table, **variant}, layers) for tag, variant in variants.items()},
    )


def _stack(where: str, table: Table, layers: Mapping[str, LayerEntry]) -> tuple[LayerEntry, ...]:
    stack: list[LayerEntry] = []
    for item in [*_list(table.get("base", [])), *_list(table.get("layers", []))]:
        if isinstance(item, str):
            if item not in layers:
                raise CatalogueError(f"{where}: there is no layer {item}")
            stack.append(layers[item])
        else:
            stack.append(_layer(where, item, layers))
    return tuple(stack)


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else [value]


def _only(where: str, table: Table, known: frozenset[str]) -> None:
    unknown = set(table) - known
    if unknown:
        raise CatalogueError(f"{where}: unknown field {sorted(unknown)[0]!r}")
