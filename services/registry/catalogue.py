"""The images that the registry knows from the start, read from YAML: config/images/*.yaml.

A file may hold `layers` (pieces that images share), `images`, `missing` (patterns of names that are refused),
`closed` (hosts that have nothing but what is listed) and `generic` (what any other user/name is). Read once.
A mistake costs the image that it is in: it becomes a `problem`, one line with file, image and field, which
the registry logs and whoever pulls the image is told; all other images are served. Pure but for reading the
files.
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

from services.registry import behaviour_schema

Table = Mapping[str, Any]
UNITS = {"": 1, "B": 1, "kB": 1000, "MB": 1000**2, "GB": 1000**3, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_SIZE = re.compile(r"([\d.]+)\s*([kKMG]?i?B?)")
IMAGE_FIELDS = frozenset({
    "names", "tags", "pattern", "version", "base", "layers", "entrypoint", "cmd", "env", "workingDir", "user",
    "ports", "stopSignal", "labels", "behaviour", "derived", "variants",
})  # fmt: skip
FILE_FIELDS = frozenset({"layers", "images", "missing", "closed", "generic"})
FILE_BYTES_MAX = 8 * 1024 * 1024
PROBLEMS_MAX = 100
REPOSITORY = re.compile(r"[a-z0-9.-]+(:\d+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+")
PORT = re.compile(r"\d{1,5}(/(tcp|udp|sctp))?")
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
    layers: Mapping[str, LayerEntry] = field(default_factory=dict)
    closed_hosts: frozenset[str] = frozenset()
    problems: tuple[str, ...] = ()  # what was skipped, and why
    broken: Mapping[str, str] = field(default_factory=dict)  # repository to its problem


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


class _Loading:
    """What was read so far, and what had to be left out."""

    def __init__(self) -> None:
        self.layers: dict[str, LayerEntry] = {}
        self.images: dict[str, ImageEntry] = {}
        self.missing: list[re.Pattern[str]] = []
        self.closed: set[str] = set()
        self.generic: ImageEntry | None = None
        self.problems: list[str] = []
        self.broken: dict[str, str] = {}

    def skip(self, error: CatalogueError, repositories: Iterable[str] = ()) -> None:
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(str(error))
        for repository in repositories:
            self.broken[repository] = str(error)

    def add_layers(self, file: str, document: Table) -> None:
        for name, table in _items(document, "layers"):
            try:
                self.layers[str(name)] = _layer(f"{file}: layer {name}", table)
            except CatalogueError as error:
                self.skip(error)

    def add_names(self, file: str, document: Table) -> None:
        for pattern in _list(document.get("missing") or []):
            try:
                self.missing.append(_pattern(f"{file}: missing", pattern))
            except CatalogueError as error:
                self.skip(error)
        self.closed.update(str(host) for host in _list(document.get("closed") or []))

    def add_images(self, file: str, document: Table) -> None:
        for name, table in _items(document, "images"):
            where, names = f"{file}: image {name}", [str(name)]
            try:
                if not isinstance(table, dict):
                    raise CatalogueError(f"{where}: a table is wanted")
                names += [str(one) for one in _list(table.get("names", []))]
                for repository in map(full, names):
                    if not REPOSITORY.fullmatch(repository):
                        raise CatalogueError(f"{where}: {repository} cannot be a name")
                    self.images[repository] = _image(where, repository, table, self.layers)
                    self.broken.pop(repository, None)
            except CatalogueError as error:
                self.skip(error, map(full, names))
        if "generic" in document:
            try:
                self.generic = _image(f"{file}: generic", "generic", document["generic"], self.layers)
            except CatalogueError as error:
                self.skip(error)


def load(folder: Path) -> Catalogue:
    """Raises CatalogueError only when there is nothing to read."""
    paths = sorted(folder.glob("*.yaml"))
    if not paths:
        raise CatalogueError(f"there are no *.yaml files in {folder}")
    loading = _Loading()
    documents: list[tuple[str, Table]] = []
    for path in paths:
        try:
            documents.append((path.name, _read(path)))
        except CatalogueError as error:
            loading.skip(error)
    for step in (loading.add_layers, loading.add_names, loading.add_images):
        for file, document in documents:
            step(file, document)
    for repository in loading.broken:
        loading.images.pop(repository, None)
    return Catalogue(
        loading.images,
        tuple(loading.missing),
        loading.generic,
        loading.layers,
        frozenset(loading.closed),
        tuple(loading.problems),
        loading.broken,
    )


def _read(path: Path) -> Table:
    if path.stat().st_size > FILE_BYTES_MAX:
        raise CatalogueError(f"{path.name}: larger than {FILE_BYTES_MAX // 1024**2} MiB")
    try:
        document = yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise CatalogueError(f"{path.name}: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict):
        raise CatalogueError(f"{path.name}: a table is wanted at the top")
    _only(path.name, document, FILE_FIELDS)
    for name in ("layers", "images"):
        if not isinstance(document.get(name) or {}, dict):
            raise CatalogueError(f"{path.name}: {name}: a table is wanted")
    return document


def _items(document: Table, name: str) -> Iterable[tuple[Any, Any]]:
    return (document.get(name) or {}).items()


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


def _layer(where: str, table: Table) -> LayerEntry:
    if not isinstance(table, dict):
        raise CatalogueError(f"{where}: a table is wanted")
    _only(where, table, LAYER_FIELDS)
    try:
        size = size_bytes(table.get("size", 0))
    except ValueError as error:
        raise CatalogueError(f"{where}: {error}") from error
    executables: list[str] = []
    for folder, names in _table(where, table, "executables").items():
        words = names.split() if isinstance(names, str) else _list(names)
        executables += [f"{str(folder).rstrip('/')}/{name}" for name in words]
    files = {str(path): str(content) for path, content in _table(where, table, "files").items()}
    for path in (*files, *executables):
        if not path.startswith("/") or ".." in path.split("/"):
            raise CatalogueError(f"{where}: {path}: an absolute path is wanted")
    return LayerEntry(size, files, tuple(executables))


def _image(where: str, repository: str, table: Table, layers: Mapping[str, LayerEntry]) -> ImageEntry:
    if not isinstance(table, dict):
        raise CatalogueError(f"{where}: a table is wanted")
    tags = tuple(tuple(str(tag) for tag in _list(group)) for group in _list(table.get("tags", [["latest"]])))
    pattern = table.get("pattern")
    variants = {str(tag): variant for tag, variant in _table(where, table, "variants").items()}
    _check(where, table)
    for tag, variant in variants.items():
        _check(f"{where}: variant {tag}", variant)
    return ImageEntry(
        repository,
        tags,
        _pattern(f"{where}: pattern", pattern) if pattern else None,
        str(table.get("version", "1.0")),
        _stack(where, table, layers),
        table,
        variants,
        {tag: _stack(where, {**table, **variant}, layers) for tag, variant in variants.items()},
    )


def _check(where: str, table: object) -> None:
    """The fields that end up in an image's configuration have the shapes that they have there."""
    if not isinstance(table, dict):
        raise CatalogueError(f"{where}: a table is wanted")
    _only(where, table, IMAGE_FIELDS)
    try:
        for name in ("entrypoint", "cmd"):
            if name in table and not isinstance(table[name], str):
                behaviour_schema.list_of(behaviour_schema.scalar)(name, table[name])
        for name in ("env", "labels"):
            if name in table:
                behaviour_schema.table_of(behaviour_schema.scalar)(name, table[name])
        for name in ("workingDir", "user", "stopSignal", "version", "pattern"):
            if name in table:
                behaviour_schema.scalar(name, table[name])
        for port in table.get("ports", []):
            if not PORT.fullmatch(str(port)):
                raise behaviour_schema.BadBehaviour(f"ports: {port}: a port is wanted")
        for name in ("behaviour", "derived"):
            if table.get(name):
                behaviour_schema.check(name, table[name])
    except (behaviour_schema.BadBehaviour, TypeError) as error:
        raise CatalogueError(f"{where}: {error}") from error


def _table(where: str, table: Table, name: str) -> Table:
    value = table.get(name) or {}
    if not isinstance(value, dict):
        raise CatalogueError(f"{where}: {name}: a table is wanted")
    return value


def _pattern(where: str, text: object) -> re.Pattern[str]:
    try:
        return re.compile(str(text))
    except re.error as error:
        raise CatalogueError(f"{where}: {error}") from error


def _stack(where: str, table: Table, layers: Mapping[str, LayerEntry]) -> tuple[LayerEntry, ...]:
    stack: list[LayerEntry] = []
    for item in [*_list(table.get("base", [])), *_list(table.get("layers", []))]:
        if isinstance(item, str):
            if item not in layers:
                raise CatalogueError(f"{where}: there is no layer {item}")
            stack.append(layers[item])
        else:
            stack.append(_layer(where, item))
    return tuple(stack)


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else [value]


def _only(where: str, table: Table, known: frozenset[str]) -> None:
    unknown = set(table) - known
    if unknown:
        raise CatalogueError(f"{where}: unknown field {sorted(map(str, unknown))[0]!r}")
