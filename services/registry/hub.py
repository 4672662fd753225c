"""Which names stand for which image, and which are refused: the Hub's rules.

    nginx, nginx:1.27        in the catalogue
    nginx:nope               there is a repository, but no such tag: not found
    crane, library/anything  no such official image: denied (the Hub does not say which it is)
    somebody/anything        a generic server, whatever the tag, unless the name is listed as missing
    registry.k8s.io/nothing  a registry that is not the Hub: not found

What was pushed comes before all of that. Pure: knows no wire and no clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from services.machinery.image_names import canonical, repository_of, tag_of
from services.registry.catalogue import Catalogue, ImageEntry
from services.registry.images import StoredImage, StoredLayer, build

DENIED = (
    "pull access denied, repository does not exist or may require authorization: "
    "server message: insufficient_scope: authorization failed"
)
BUILT_MAX = 10_000  # images kept built; the oldest goes and is built again when asked for
PUSHED_MAX = 10_000


class Refusal(Exception):
    """The name stands for nothing. `kind`: denied, missing-tag or invalid."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(slots=True)
class Hub:
    catalogue: Catalogue
    pushed: dict[str, StoredImage] = field(default_factory=dict)  # by reference
    _built: dict[str, StoredImage] = field(default_factory=dict)

    def resolve(self, name: str) -> tuple[str, StoredImage]:
        """The full reference and the image. Raises Refusal."""
        try:
            reference = canonical(name)
        except ValueError as error:
            raise Refusal("invalid", f'could not parse reference "{name}": {error}') from error
        if reference in self.pushed:
            return reference, self.pushed[reference]
        if "@" in reference:
            return reference, self._by_digest(reference)
        image = self._built.get(reference)
        if image is None:
            image = self._build(reference)
            if len(self._built) >= BUILT_MAX:
                del self._built[next(iter(self._built))]
            self._built[reference] = image
        return reference, image

    def layer(self, reference: str, digest: str) -> StoredLayer:
        """A layer of an image. Raises Refusal."""
        _, image = self.resolve(reference)
        for layer in image.layers:
            if layer.digest == digest:
                return layer
        raise Refusal("missing-tag", f"blob {digest}: not found")

    def push(self, name: str, image: StoredImage) -> str:
        try:
            reference = canonical(name)
        except ValueError as error:
            raise Refusal("invalid", f'could not parse reference "{name}": {error}') from error
        if reference not in self.pushed and len(self.pushed) >= PUSHED_MAX:
            raise Refusal("denied", "the registry is full")
        self.pushed[reference] = image
        return reference

    def names(self) -> dict[str, list[str]]:
        """Repositories and tags that people can find."""
        found = {
            name: [tag for group in entry.tags for tag in group]
            for name, entry in self.catalogue.images.items()
        }
        for reference in self.pushed:
            found.setdefault(repository_of(reference), []).append(tag_of(reference))
        return found

    def _build(self, reference: str) -> StoredImage:
        repository, tag = repository_of(reference), tag_of(reference)
        entry = self._entry(repository)
        group = entry.group(tag)
        if group is None:
            raise Refusal("missing-tag", f"{reference}: not found")
        return build(entry, group[0], repository)

    def _entry(self, repository: str) -> ImageEntry:
        entry = self.catalogue.images.get(repository)
        if entry is not None:
            return entry
        host, _, path = repository.partition("/")
        missing = any(pattern.fullmatch(path) for pattern in self.catalogue.missing)
        if missing or (host == "docker.io" and path.startswith("library/")):
            raise Refusal("denied", DENIED)
        if host == "registry.k8s.io" or self.catalogue.generic is None:
            raise Refusal("missing-tag", f"{repository}: not found")
        return self.catalogue.generic

    def _by_digest(self, reference: str) -> StoredImage:
        """Digests are known of catalogue images under their listed tags, and of what was pushed."""
        repository, _, digest = reference.partition("@")
        for pushed, image in self.pushed.items():
            if repository_of(pushed) == repository and image.digest == digest:
                return image
        entry = self._entry(repository)
        for group in entry.tags:
            image = build(entry, group[0], repository)
            if image.digest == digest:
                return image
        known = [image for name, image in self._built.items() if repository_of(name) == repository]
        for image in known:
            if image.digest == digest:
                return image
        raise Refusal("missing-tag", f"{reference}: not found")
