"""Storing what people push: blobs that exist already are linked, manifests are checked, then a tag moves.

Used by both doors. A manifest is stored whole or not at all; a push that is refused leaves what was there.
Checking reads every new layer once, in a thread, within the limits of archive.py.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from typing import Any

from services.registry.archive import BadArchive
from services.registry.blob_store import DIGEST, Upload, WrongDigest
from services.registry.files import File, pack, sha256
from services.registry.hub import Hub
from services.registry.images import StoredLayer, config_document, manifest_document
from services.registry.pushed import (
    BEHAVIOUR_LABEL,
    CONFIG_BYTES_MAX,
    CONFIGS,
    LAYERS,
    MANIFESTS,
    BadManifest,
    Config,
    Executables,
    described_behaviour,
    parse,
    parse_config,
    program_of,
    read_layer,
)
from services.registry.references import Refusal
from services.registry.repositories import Manifest, Repository

_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
MANIFEST_BYTES_MAX = 4 * 1024 * 1024
PUSH_DENIED = "requested access to the resource is denied"
CHECKED_MAX = 10_000


class Pushing:
    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._checked: dict[str, Executables] = {}  # layers read before: what can be started of them
        self._examining = asyncio.Lock()  # one layer at a time is unpacked
        layer = hub.catalogue.layers.get("busybox")
        self._tools = frozenset(path.rpartition("/")[2] for path in (layer.executables if layer else ()))

    def require(self, user: str, repository: str) -> None:
        """Raises Refusal."""
        official = self._hub.is_official(repository)
        if not self._hub.accounts.may_push(user, repository, official=official):
            raise Refusal("denied", PUSH_DENIED)

    # -- blobs ---------------------------------------------------------------------------------

    def complete(self, upload: Upload, digest: str) -> None:
        """Raises WrongDigest, Full."""
        if not DIGEST.fullmatch(digest):
            self._hub.store.cancel(upload)
            raise WrongDigest(digest)
        size = upload.offset
        self._hub.store.complete(upload, digest)
        self._link(upload.repository, digest, size)

    def mount(self, digest: str, source: str, target: str, user: str) -> bool:
        """Links a blob of another repository that the user may read. False: it must be uploaded."""
        if not self._hub.accounts.may_pull(user, source):
            return False
        known = self._hub.known_blob(source, digest)
        if known is None:
            return False
        if isinstance(known, StoredLayer):
            self._hub.store.put(known.blob())
            self._link(target, digest, known.size)
        else:
            if isinstance(known, bytes):
                self._hub.store.put(known)
            from_there = self._hub.repositories.get(source)
            told = from_there.blobs.get(digest) if from_there is not None else None
            self._link(target, digest, told or self._hub.store.size(digest) or 0)
        return True

    def _link(self, repository: str, digest: str, size: int) -> None:
        repositories = self._hub.repositories
        repositories.add_blob(repositories.get_or_add(repository), digest, size)

    # -- manifests -----------------------------------------------------------------------------

    async def manifest(
        self, repository: str, version: str, media_type: str, data: bytes
    ) -> tuple[str, Manifest]:
        """Stores it under its digest, and under `version` if that is a tag. Raises BadManifest, Full."""
        digest = sha256(data)
        if DIGEST.fullmatch(version):
            if version != digest:
                raise BadManifest("DIGEST_INVALID", "provided digest did not match uploaded content")
        elif not _TAG.fullmatch(version):
            raise BadManifest("TAG_INVALID", "manifest tag did not match URI")
        manifest, whole = parse(data, media_type)
        home = self._hub.repositories.get_or_add(repository)
        if manifest.media_type in MANIFESTS:
            self._require_blobs(home, whole)
            async with self._examining:
                manifest.program = await self._examine(whole, home)
        else:
            for child in manifest.blobs:
                if child not in home.manifests:
                    raise BadManifest(
                        "MANIFEST_BLOB_UNKNOWN", "manifest unknown to registry", {"digest": child}
                    )
        self._hub.store.put(data)
        tag = "" if version == digest else version
        self._hub.repositories.add_manifest(home, digest, manifest, tag)
        self._hub.forget(repository)
        return digest, manifest

    def _require_blobs(self, home: Repository, whole: dict[str, Any]) -> None:
        for one in [whole["config"], *whole.get("layers", [])]:
            digest = one["digest"]
            if digest not in home.blobs and not self.mount(digest, home.name, home.name, ""):
                raise BadManifest("MANIFEST_BLOB_UNKNOWN", "blob unknown to registry", {"digest": digest})
            if self._hub.store.size(digest) != one["size"]:
                raise BadManifest("MANIFEST_INVALID", "manifest invalid", f"the size of {digest} is another")

    async def _examine(self, whole: dict[str, Any], home: Repository) -> str:
        """The program that an image starts; what is no image of containers only has to be there."""
        if whole["config"].get("mediaType") not in CONFIGS:
            return ""
        if whole["config"]["size"] > CONFIG_BYTES_MAX:
            raise BadManifest("MANIFEST_INVALID", "manifest invalid", "the configuration is too large")
        config = parse_config(self._hub.store.read(whole["config"]["digest"]))
        layers = whole.get("layers", [])
        if len(config.diff_ids) != len(layers):
            raise BadManifest(
                "MANIFEST_INVALID", "manifest invalid", "rootfs.diff_ids: one per layer is wanted"
            )
        for one in layers:
            if not LAYERS.fullmatch(str(one.get("mediaType"))):
                kind = str(one.get("mediaType"))[:200]
                raise BadManifest("MANIFEST_INVALID", "manifest invalid", f"unsupported layer type {kind}")
        described_behaviour(config)
        digests = [one["digest"] for one in layers]
        program = await asyncio.to_thread(self._examine_layers, digests, config)
        for digest, diff_id in zip(digests, config.diff_ids, strict=True):
            if known := self._hub.behaviours.layer_sizes.get(diff_id):
                home.blobs[digest] = known
        return program

    def _examine_layers(self, digests: Sequence[str], config: Config) -> str:
        self._hub.behaviours.prepare(config)
        executables = Executables()
        for digest in digests:
            known = self._checked.get(digest)
            if known is None:
                try:
                    files = read_layer(self._hub.store, digest)
                except BadArchive as error:
                    raise BadManifest("MANIFEST_INVALID", "manifest invalid", f"{digest}: {error}") from error
                known = Executables()
                known.add(files)
                if len(self._checked) >= CHECKED_MAX:
                    self._checked.clear()
                self._checked[digest] = known
            executables.merge(known)
        return program_of(config, executables, self._tools) or ""

    def delete_manifest(self, repository: str, version: str) -> bool:
        """By digest with its tags, by tag only the tag. False when there is none."""
        home = self._hub.repositories.get(repository)
        if home is None:
            return False
        if version in home.manifests:
            self._hub.repositories.remove_manifest(home, version)
        elif version in home.tags:
            del home.tags[version]
            self._hub.repositories.save(home)
        else:
            return False
        self._hub.forget(repository)
        self.collect()
        return True

    def delete_blob(self, repository: str, digest: str) -> bool:
        """False when there is none. Raises Refusal while a manifest refers to it."""
        home = self._hub.repositories.get(repository)
        if home is None or digest not in home.blobs:
            return False
        if any(digest in manifest.blobs for manifest in home.manifests.values()):
            raise Refusal("denied", "the blob is in use")
        del home.blobs[digest]
        self.collect()
        return True

    def collect(self) -> None:
        """Deletes the blobs that no repository has any more."""
        self._hub.store.remove_all_but(self._hub.repositories.digests())

    # -- described images (registry.v1 Push) -----------------------------------------------------

    async def described(
        self,
        repository: str,
        tag: str,
        config: dict[str, Any],
        layers: Sequence[tuple[str, int, list[File]]],
        behaviour: str,
    ) -> str:
        """An image told by its files, as the bytes that it would be. Returns the digest."""
        store, home = self._hub.store, self._hub.repositories.get_or_add(repository)
        stored: list[StoredLayer] = []
        for named, size, files in layers:
            known = None if files else self._hub.known_blob(repository, named)
            if isinstance(known, StoredLayer):
                stored.append(known)
                continue
            blob, diff_id = pack(files, f"{size} bytes")
            digest = store.put(blob)
            self._hub.repositories.add_blob(home, digest, size)
            stored.append(StoredLayer(digest, diff_id, size, len(blob)))
        if behaviour:
            config = {**config, "labels": {**config["labels"], BEHAVIOUR_LABEL: behaviour}}
        document = config_document(config, tuple(stored), "amd64", "pushed")
        self._hub.repositories.add_blob(home, store.put(document), len(document))
        data = manifest_document(document, tuple(stored))
        media_type = json.loads(data)["mediaType"]
        return (await self.manifest(repository, tag, media_type, data))[0]
