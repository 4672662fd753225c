"""Images on one machine, and how they come there.

A pull resolves the name at the registry, fetches the layers that the machine lacks, and then knows the
image. Pulls of one name at the same time share one transfer. What layers show is kept once per process,
however many emulated machines hold them (`LayerStore`); which machine has which layer is counted
per machine, so that a pull there costs its own transfer time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from services.machinery.image_names import canonical, repository_of
from services.runtime.filesystem import DIRECTORY, Entry, Tree
from services.runtime.model import Image, Layer, RuntimeFault

DOCKER_HUB = "registry-1.docker.io"


@dataclass(frozen=True, slots=True)
class LayerContent:
    files: Mapping[str, Entry]
    removed: frozenset[str] = frozenset()  # paths of layers below that do not show any more
    opaque: frozenset[str] = frozenset()  # directories of which nothing below shows

    def put_on(self, entries: dict[str, Entry]) -> None:
        """Adds this layer to what the ones below it show."""
        covered = [path for path in self.removed if path in entries]
        covered += [
            path
            for path, entry in self.files.items()
            if entry.kind != DIRECTORY and path in entries and entries[path].kind == DIRECTORY
        ]
        if covered or self.opaque:
            under = tuple(f"{path}/" for path in (*covered, *self.opaque))
            for path in [path for path in entries if path in self.removed or path.startswith(under)]:
                del entries[path]
        entries.update(self.files)


@dataclass(slots=True)
class LayerStore:
    """Shared by all machines of a process."""

    contents: dict[str, LayerContent] = field(default_factory=dict)
    _trees: dict[tuple[str, ...], Tree] = field(default_factory=dict)

    def tree(self, digests: tuple[str, ...]) -> Tree:
        """The layers on top of each other; equal stacks are one tree."""
        tree = self._trees.get(digests)
        if tree is None:
            entries: dict[str, Entry] = {}
            for digest in digests:
                if (content := self.contents.get(digest)) is not None:
                    content.put_on(entries)
            tree = self._trees[digests] = Tree(entries)
        return tree


class RegistryRefusal(Exception):
    """The registry answered, and the answer is no. `kind`: missing-tag, denied, invalid, limited."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class RegistryUnreachable(Exception):
    """Nobody answered at `address`."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(reason)
        self.address = address


class Registry(Protocol):
    async def resolve(self, reference: str, credentials: tuple[str, str]) -> Image:
        """An image without its tree."""
        ...

    async def fetch(
        self, reference: str, digests: tuple[str, ...], credentials: tuple[str, str]
    ) -> dict[str, LayerContent]: ...


class ImageStore:
    """Runs on asyncio. The faults it raises carry containerd's words."""

    def __init__(self, registry: Registry, layers: LayerStore) -> None:
        self._registry = registry
        self._layers = layers
        self._present: set[str] = set()
        self._pulls: dict[tuple[str, tuple[str, str]], asyncio.Future[Image]] = {}
        self.images: dict[str, Image] = {}  # by id
        self.tags: dict[str, str] = {}  # docker.io/library/nginx:latest to id

    def find(self, name: str) -> Image | None:
        """By id, tag, repository@digest or anything short for a tag."""
        found = self.images.get(name)
        if found is not None or not name:
            return found
        tagged = self.tags.get(name)
        if tagged is None:
            try:
                tagged = self.tags.get(canonical(name))
            except ValueError:
                return None
        return self.images.get(tagged) if tagged is not None else None

    def tags_of(self, image: Image) -> list[str]:
        return [tag for tag, identifier in self.tags.items() if identifier == image.id and "@" not in tag]

    def digests_of(self, image: Image) -> list[str]:
        return [tag for tag, identifier in self.tags.items() if identifier == image.id and "@" in tag]

    async def pull(self, name: str, credentials: tuple[str, str] = ("", "")) -> Image:
        try:
            reference = canonical(name)
        except ValueError as error:
            raise RuntimeFault(
                "INVALID_ARGUMENT", f'failed to parse image reference "{name}": invalid reference format'
            ) from error
        key = (reference, credentials)
        running = self._pulls.get(key)
        if running is None:
            running = self._pulls[key] = asyncio.ensure_future(self._pull(reference, credentials))
            running.add_done_callback(lambda _: self._pulls.pop(key, None))
        return await asyncio.shield(running)

    async def _pull(self, reference: str, credentials: tuple[str, str]) -> Image:
        try:
            image = await self._registry.resolve(reference, credentials)
            digests = tuple(layer.digest for layer in image.layers)
            missing = tuple(dict.fromkeys(digest for digest in digests if digest not in self._present))
            if missing:
                self._layers.contents.update(await self._registry.fetch(reference, missing, credentials))
                self._present.update(missing)
        except RegistryRefusal as refusal:
            raise _refused(reference, refusal) from refusal
        except RegistryUnreachable as silence:
            raise _unreachable(reference, silence) from silence
        image = replace(image, tree=self._layers.tree(digests))
        self.images.setdefault(image.id, image)
        self.tags[reference] = image.id
        self.tags[f"{repository_of(reference)}@{image.digest}"] = image.id
        return self.images[image.id]

    def remove(self, name: str) -> None:
        """The image and all its names; layers that no other image has go too."""
        image = self.find(name)
        if image is None:
            return
        del self.images[image.id]
        self.tags = {tag: identifier for tag, identifier in self.tags.items() if identifier != image.id}
        self._present = {layer.digest for layer in self._layers_of_all()}

    def used_bytes(self) -> int:
        return sum({layer.digest: layer.size for layer in self._layers_of_all()}.values())

    def _layers_of_all(self) -> list[Layer]:
        return [layer for image in self.images.values() for layer in image.layers]


def _refused(reference: str, refusal: RegistryRefusal) -> RuntimeFault:
    code, words = "UNKNOWN", str(refusal)
    if refusal.kind == "missing-tag":
        code, words = "NOT_FOUND", f"{reference}: not found"
    elif refusal.kind == "denied":
        words = (
            "pull access denied, repository does not exist or may require authorization: "
            "server message: insufficient_scope: authorization failed"
        )
    return RuntimeFault(
        code,
        f'failed to pull and unpack image "{reference}": failed to resolve reference "{reference}": {words}',
    )


def _unreachable(reference: str, silence: RegistryUnreachable) -> RuntimeFault:
    host, _, path = repository_of(reference).partition("/")
    tag = reference.rpartition("@" if "@" in reference else ":")[2]
    host = DOCKER_HUB if host == "docker.io" else host
    return RuntimeFault(
        "UNKNOWN",
        f'failed to pull and unpack image "{reference}": failed to resolve reference "{reference}": '
        f'failed to do request: Head "https://{host}/v2/{path}/manifests/{tag}": dial tcp {silence.address}: '
        f"connect: {silence}",
    )
