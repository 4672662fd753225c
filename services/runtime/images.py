"""Images on one machine, and how they come there.

A pull resolves the name at the registry, fetches the layers that the machine lacks, and then knows the
image. Pulls of one name at the same time share one transfer. What layers show is kept once per process,
however many emulated machines hold them (`LayerStore`); which machine has which layer is counted
per machine, so that a pull there costs its own transfer time.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
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
    """Shared by all machines of a process. A layer that no machine holds any more is forgotten."""

    contents: dict[str, LayerContent] = field(default_factory=dict)
    _holders: Counter[str] = field(default_factory=Counter)
    _trees: dict[tuple[str, ...], Tree] = field(default_factory=dict)

    def hold(self, contents: Mapping[str, LayerContent]) -> None:
        """A machine has these layers now."""
        for digest, content in contents.items():
            self.contents.setdefault(digest, content)
            self._holders[digest] += 1

    def release(self, digests: Iterable[str]) -> None:
        """A machine has them no more. Containers that run keep the tree that they were given."""
        gone = set()
        for digest in digests:
            self._holders[digest] -= 1
            if self._holders[digest] <= 0:
                del self._holders[digest]
                self.contents.pop(digest, None)
                gone.add(digest)
        if gone:
            for stack in [stack for stack in self._trees if not gone.isdisjoint(stack)]:
                del self._trees[stack]

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
    """The registry answered, and the answer is no. `kind`: see `registry_client.KINDS`."""

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
        self._coming: dict[str, asyncio.Future[None]] = {}  # layers that some pull fetches
        self._wanted: list[tuple[str, ...]] = []  # stacks of pulls that are under way
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
            self._wanted.append(digests)
            try:
                await self._complete(reference, digests, credentials)
                tree = self._layers.tree(digests)
            finally:
                self._wanted.remove(digests)
        except RegistryRefusal as refusal:
            raise _refused(reference, refusal) from refusal
        except RegistryUnreachable as silence:
            raise _unreachable(reference, silence) from silence
        image = replace(image, tree=tree)
        self.images.setdefault(image.id, image)
        self.tags[reference] = image.id
        self.tags[f"{repository_of(reference)}@{image.digest}"] = image.id
        return self.images[image.id]

    async def _complete(self, reference: str, digests: tuple[str, ...], credentials: tuple[str, str]) -> None:
        """Fetches the layers that the machine lacks; those that another pull is fetching are waited for."""
        while missing := [digest for digest in dict.fromkeys(digests) if digest not in self._present]:
            if coming := [self._coming[digest] for digest in missing if digest in self._coming]:
                # Whatever becomes of that pull: what is still missing then is fetched here.
                await asyncio.wait(coming)
                continue
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._coming.update(dict.fromkeys(missing, done))
            try:
                fetched = await self._registry.fetch(reference, tuple(missing), credentials)
                self._layers.hold({digest: fetched.get(digest, LayerContent({})) for digest in missing})
                self._present.update(missing)
            finally:
                for digest in missing:
                    del self._coming[digest]
                done.set_result(None)

    def remove(self, name: str) -> None:
        """The image and all its names; layers that no other image has go too."""
        image = self.find(name)
        if image is None:
            return
        del self.images[image.id]
        self.tags = {tag: identifier for tag, identifier in self.tags.items() if identifier != image.id}
        unused = self._present - {layer.digest for layer in self._layers_of_all()}
        unused.difference_update(*self._wanted)
        self._present -= unused
        self._layers.release(unused)

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
    elif refusal.kind == "unauthorized":
        words = (
            f"failed to authorize: failed to fetch oauth token: {_token_request(reference)}: 401 Unauthorized"
        )
    elif refusal.kind == "no-platform":
        return RuntimeFault("NOT_FOUND", f'failed to pull and unpack image "{reference}": {words}')
    return RuntimeFault(
        code,
        f'failed to pull and unpack image "{reference}": failed to resolve reference "{reference}": {words}',
    )


def _token_request(reference: str) -> str:
    host, _, path = repository_of(reference).partition("/")
    if host == "docker.io":
        scope = f"scope=repository%3A{path.replace('/', '%2F')}%3Apull&service=registry.docker.io"
        return f"unexpected status from GET request to https://auth.docker.io/token?{scope}"
    return f"unexpected status from GET request to https://{host}/token"


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
