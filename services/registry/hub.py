"""Which names stand for which image, who may have it, and what is stored: the Hub's rules.

    nginx, nginx:1.27        in the catalogue
    nginx:nope               there is a repository, but no such tag: not found
    crane, library/anything  no such official image: denied (the Hub does not say which it is)
    somebody/anything        a generic server, whatever the tag, unless the name is listed as missing
    registry.k8s.io/nothing  a registry that is not the Hub: not found

What was pushed comes before all of that, and a repository that somebody pushed to has only what was pushed.
Both doors, gRPC and HTTP, come here; it knows no wire.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from services.registry.accounts import Accounts
from services.registry.blob_store import DIGEST, BlobStore
from services.registry.catalogue import Catalogue, ImageEntry
from services.registry.files import File
from services.registry.images import Builder, Document, StoredImage, StoredLayer
from services.registry.inheritance import Behaviours
from services.registry.pushed import image_of, read_layer
from services.registry.references import DENIED, Refusal, parse
from services.registry.repositories import Repositories, Repository

# Kept built: repositories, and images of each. What goes is built again when somebody asks for it.
BUILT_MAX, BUILT_TAGS_MAX = 10_000, 1_000


@dataclass(slots=True)
class Hub:
    catalogue: Catalogue
    accounts: Accounts
    store: BlobStore
    repositories: Repositories
    builder: Builder = field(default_factory=Builder)
    _built: dict[str, dict[str, StoredImage]] = field(default_factory=dict)  # by repository, then by tag
    _pushed: dict[tuple[str, str], StoredImage] = field(default_factory=dict)  # by repository and digest
    behaviours: Behaviours = field(init=False)

    def __post_init__(self) -> None:
        self.behaviours = Behaviours(self.catalogue, self.builder)

    # -- what a name stands for -----------------------------------------------------------------

    def resolve(self, name: str, user: str = "") -> tuple[str, StoredImage]:
        """The full reference and the image. Raises Refusal."""
        reference, repository, version = parse(name)
        return reference, self.image(repository, version, user)

    def image(self, repository: str, version: str, user: str = "") -> StoredImage:
        """`version`: a tag or a digest. Raises Refusal."""
        if not self.accounts.may_pull(user, repository):
            raise Refusal("denied", DENIED)
        pushed = self.repositories.get(repository)
        if pushed is not None:
            digest = pushed.tags.get(version, version)
            if digest in pushed.manifests:
                return self._read(pushed, digest)
            if repository not in self.catalogue.images and pushed.manifests:
                raise Refusal("missing-tag", f"{repository}:{version}: not found")
        if DIGEST.fullmatch(version):
            return self._by_digest(repository, version)
        return self._build(repository, version)

    def layer(self, name: str, digest: str, user: str = "") -> StoredLayer:
        """A layer of an image. Raises Refusal."""
        _, image = self.resolve(name, user)
        for layer in image.layers:
            if layer.digest == digest:
                return layer
        raise Refusal("missing-tag", f"blob {digest}: not found")

    def files(self, layer: StoredLayer) -> list[File]:
        """What the layer shows. Reads the whole of a pushed one: not for the event loop."""
        return list(layer.files) if layer.files is not None else read_layer(self.store, layer.digest)

    # -- what HTTP asks for ----------------------------------------------------------------------

    def document(self, repository: str, version: str, user: str) -> tuple[str, Document]:
        """A manifest or an index, with its digest. Raises Refusal."""
        if not self.accounts.may_pull(user, repository):
            raise Refusal("denied", DENIED)
        pushed = self.repositories.get(repository)
        if pushed is not None:
            digest = pushed.tags.get(version, version)
            if digest in pushed.manifests:
                return digest, Document(pushed.manifests[digest].media_type, self.store.read(digest))
        image = self.image(repository, version, user)
        digest = version if version in image.documents else image.digest
        return digest, image.documents[digest]

    def known_blob(self, repository: str, digest: str) -> StoredLayer | bytes | int | None:
        """A blob that may be read through this repository: described, in memory, or its size in the store."""
        pushed = self.repositories.get(repository)
        if pushed is not None and (digest in pushed.blobs or digest in pushed.manifests):
            return self.store.size(digest)
        for image in self._images_of(repository):
            if digest in image.blobs:
                return image.blobs[digest]
            for layer in image.layers:
                if layer.digest == digest:
                    return layer
        return None

    def tags(self, repository: str, user: str) -> list[str]:
        """Sorted. Raises Refusal."""
        if not self.accounts.may_pull(user, repository):
            raise Refusal("denied", DENIED)
        pushed = self.repositories.get(repository)
        entry = self.catalogue.images.get(repository)
        if entry is None and (pushed is None or not pushed.manifests):
            entry = self._entry(repository)
        found = set(pushed.tags) if pushed is not None else set()
        return sorted(found | {tag for group in (entry.tags if entry else ()) for tag in group})

    def names(self, user: str = "") -> dict[str, list[str]]:
        """Repositories and tags that people can find."""
        known = {*self.catalogue.images, *(one.name for one in self.repositories if one.manifests)}
        return {name: self.tags(name, user) for name in sorted(known) if self.accounts.may_pull(user, name)}

    def is_official(self, repository: str) -> bool:
        """Official images, and those of other registries that the catalogue has: nobody may push there."""
        return repository in self.catalogue.images and (
            repository.startswith("docker.io/library/") or not repository.startswith("docker.io/")
        )

    def forget(self, repository: str) -> None:
        """After a change of what is pushed there."""
        for key in [key for key in self._pushed if key[0] == repository]:
            del self._pushed[key]

    # -- the catalogue -----------------------------------------------------------------------

    def _read(self, pushed: Repository, digest: str) -> StoredImage:
        image = self._pushed.get((pushed.name, digest))
        if image is None:
            image = image_of(self.store, pushed, digest, self.behaviours.of)
            if image is None:
                raise Refusal("no-platform", "no match for platform in manifest: not found")
            if len(self._pushed) >= BUILT_MAX:
                del self._pushed[next(iter(self._pushed))]
            self._pushed[pushed.name, digest] = image
        return image

    def _build(self, repository: str, tag: str) -> StoredImage:
        built = self._built.get(repository, {})
        image = built.get(tag)
        if image is None:
            entry = self._entry(repository)
            group = entry.group(tag)
            if group is None:
                raise Refusal("missing-tag", f"{repository}:{tag}: not found")
            image = built.get(group[0]) or self.builder.build(entry, group[0], repository)
            if repository not in self._built and len(self._built) >= BUILT_MAX:
                del self._built[next(iter(self._built))]
            if len(built) >= BUILT_TAGS_MAX:
                built.clear()
            built[tag] = built[group[0]] = image
            self._built[repository] = built
        return image

    def _entry(self, repository: str) -> ImageEntry:
        entry = self.catalogue.images.get(repository)
        if entry is not None:
            return entry
        if (problem := self.catalogue.broken.get(repository)) is not None:
            raise Refusal("broken", f"the image catalogue is wrong: {problem}")
        host, _, path = repository.partition("/")
        missing = any(pattern.fullmatch(path) for pattern in self.catalogue.missing)
        if missing or (host == "docker.io" and path.startswith("library/")):
            raise Refusal("denied", DENIED)
        if host in self.catalogue.closed_hosts or self.catalogue.generic is None:
            raise Refusal("missing-tag", f"{repository}: not found")
        return self.catalogue.generic

    def _by_digest(self, repository: str, digest: str) -> StoredImage:
        """Digests are known of catalogue images under their listed tags, and under tags asked for before."""
        for image in self._images_of(repository):
            if digest == image.digest or digest in image.documents:
                return image
        self._entry(repository)
        raise Refusal("missing-tag", f"{repository}@{digest}: not found")

    def _images_of(self, repository: str) -> Iterator[StoredImage]:
        yield from list(self._built.get(repository, {}).values())
        try:
            entry = self._entry(repository)
        except Refusal:
            return
        for group in entry.tags:
            yield self._build(repository, group[0])
