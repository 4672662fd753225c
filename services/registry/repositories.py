"""What was pushed: which repository has which tags, manifests and blobs. One JSON file per repository.

    repositories/docker.io/me/app/_repository.json     (no part of a name begins with `_`)

A file that cannot be read is put aside under another name and told, and the rest is served. Bounded in
repositories, and per repository in tags and manifests.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.registry.blob_store import DIGEST, Full

REPOSITORIES_MAX, MANIFESTS_MAX, TAGS_MAX, BLOBS_MAX = 10_000, 2_000, 2_000, 20_000
FILE_NAME = "_repository.json"


@dataclass(slots=True)
class Manifest:
    media_type: str
    size: int
    subject: str = ""
    artifact_type: str = ""
    annotations: dict[str, str] = field(default_factory=dict)
    blobs: list[str] = field(default_factory=list)  # what it refers to: configuration, layers, manifests
    program: str = ""  # of an image: what it starts, where that is no shell and no tool


@dataclass(slots=True)
class Repository:
    name: str  # docker.io/me/app
    tags: dict[str, str] = field(default_factory=dict)  # to digests
    manifests: dict[str, Manifest] = field(default_factory=dict)  # by digest
    blobs: dict[str, int] = field(default_factory=dict)  # digest to the size that nodes are told

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "tags": self.tags,
            "blobs": self.blobs,
            "manifests": {
                digest: {name: getattr(manifest, name) for name in Manifest.__slots__}
                for digest, manifest in self.manifests.items()
            },
        }

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Repository:
        manifests = {digest: Manifest(**fields) for digest, fields in record["manifests"].items()}
        return cls(str(record["name"]), dict(record["tags"]), manifests, dict(record["blobs"]))


class Repositories:
    """`unreadable` are the files that were put aside at the start."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "repositories"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._all: dict[str, Repository] = {}
        self.unreadable: list[Path] = []
        for path in sorted(self._folder.rglob(FILE_NAME)):
            try:
                repository = Repository.from_json(json.loads(path.read_bytes()))
            except (ValueError, TypeError, KeyError, AttributeError):
                aside = path.with_suffix(".unreadable")
                path.replace(aside)
                self.unreadable.append(aside)
                continue
            _drop_unused(repository)
            self._all[repository.name] = repository

    def get(self, name: str) -> Repository | None:
        return self._all.get(name)

    def get_or_add(self, name: str) -> Repository:
        """A new one is on disk only once it is saved. Raises Full."""
        found = self._all.get(name)
        if found is None:
            if len(self._all) >= REPOSITORIES_MAX:
                raise Full("the registry is full")
            found = self._all[name] = Repository(name)
        return found

    def __iter__(self) -> Iterator[Repository]:
        return iter(self._all.values())

    def add_blob(self, repository: Repository, digest: str, size: int) -> None:
        if digest not in repository.blobs and len(repository.blobs) >= BLOBS_MAX:
            raise Full("the repository is full")
        repository.blobs[digest] = size

    def add_manifest(self, repository: Repository, digest: str, manifest: Manifest, tag: str) -> None:
        if digest not in repository.manifests and len(repository.manifests) >= MANIFESTS_MAX:
            raise Full("the repository is full")
        if tag and tag not in repository.tags and len(repository.tags) >= TAGS_MAX:
            raise Full("the repository is full")
        repository.manifests[digest] = manifest
        if tag:
            repository.tags[tag] = digest
        self.save(repository)

    def remove_manifest(self, repository: Repository, digest: str) -> None:
        """With the tags that mean it, and the blobs that only it referred to."""
        del repository.manifests[digest]
        repository.tags = {tag: meant for tag, meant in repository.tags.items() if meant != digest}
        _drop_unused(repository)
        self.save(repository)

    def save(self, repository: Repository) -> None:
        path = self._folder / repository.name.replace(":", "_") / FILE_NAME
        if not repository.manifests:
            path.unlink(missing_ok=True)
            self._all.pop(repository.name, None)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        written = path.with_suffix(".new")
        written.write_text(json.dumps(repository.to_json()))
        written.replace(path)

    def digests(self) -> set[str]:
        """Everything that some repository still has."""
        found: set[str] = set()
        for repository in self._all.values():
            found.update(repository.blobs, repository.manifests)
        return {digest for digest in found if DIGEST.fullmatch(digest)}


def _drop_unused(repository: Repository) -> None:
    """Blobs that came for a manifest that never did."""
    used = {blob for manifest in repository.manifests.values() for blob in manifest.blobs}
    repository.blobs = {blob: size for blob, size in repository.blobs.items() if blob in used}
