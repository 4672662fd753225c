"""Blobs on disk under their digests, and uploads on their way there.

    blobs/sha256/<hex>    complete and checked; never changes
    uploads/<id>          as far as it came; gone after an hour without a byte, and at every start

A blob appears by renaming a complete file, so that a process that dies leaves no half of one. The sum of
all bytes is bounded: what would pass it is refused with `Full`, and the upload is gone.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, BinaryIO

from services.machinery.clock import Clock

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
UPLOADS_MAX = 100
UPLOAD_IDLE_SECONDS = 3600.0
BLOB_BYTES_MAX = 4 * 1024**3


class Full(Exception):
    """There is no room for it."""


class WrongDigest(Exception):
    """The bytes are not those that were announced."""


@dataclass(slots=True)
class Upload:
    name: str
    repository: str
    path: Path
    file: BinaryIO
    touched: float
    offset: int = 0
    busy: bool = False  # a request is writing to it
    digest: Any = field(default_factory=hashlib.sha256)


class BlobStore:
    def __init__(self, folder: Path, clock: Clock, random: Random, bytes_max: int) -> None:
        self._blobs, self._uploads_folder = folder / "blobs" / "sha256", folder / "uploads"
        self._clock, self._random, self._bytes_max = clock, random, bytes_max
        shutil.rmtree(self._uploads_folder, ignore_errors=True)
        for needed in (self._blobs, self._uploads_folder):
            needed.mkdir(parents=True, exist_ok=True)
        self._sizes = {
            f"sha256:{entry.name}": entry.stat().st_size
            for entry in os.scandir(self._blobs)
            if DIGEST.fullmatch(f"sha256:{entry.name}")
        }
        self._uploads: dict[str, Upload] = {}
        self.used_bytes = sum(self._sizes.values())

    def size(self, digest: str) -> int | None:
        return self._sizes.get(digest)

    def open(self, digest: str) -> BinaryIO:
        """KeyError when it is not there."""
        if digest not in self._sizes:
            raise KeyError(digest)
        return (self._blobs / digest.removeprefix("sha256:")).open("rb")

    def read(self, digest: str) -> bytes:
        with self.open(digest) as file:
            return file.read()

    def put(self, data: bytes) -> str:
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        if digest not in self._sizes:
            self._require_room(len(data))
            path = self._uploads_folder / f"put-{digest.removeprefix('sha256:')}"
            try:
                path.write_bytes(data)
            except OSError as error:
                path.unlink(missing_ok=True)
                raise Full(f"the registry cannot keep it: {error.strerror}") from error
            self._keep(path, digest, len(data))
            self.used_bytes += len(data)
        return digest

    def remove_all_but(self, wanted: Iterable[str]) -> int:
        """Deletes what nothing refers to any more. Returns how many."""
        gone = set(self._sizes) - set(wanted)
        for digest in gone:
            (self._blobs / digest.removeprefix("sha256:")).unlink(missing_ok=True)
            self.used_bytes -= self._sizes.pop(digest)
        return len(gone)

    # -- uploads ------------------------------------------------------------------------------

    def begin(self, repository: str) -> Upload:
        self._sweep()
        if len(self._uploads) >= UPLOADS_MAX:
            raise Full("too many uploads at once")
        name = f"{self._random.getrandbits(128):032x}"
        path = self._uploads_folder / name
        upload = Upload(name, repository, path, path.open("wb"), self._clock.monotonic())
        self._uploads[name] = upload
        return upload

    def upload(self, name: str, repository: str) -> Upload | None:
        found = self._uploads.get(name)
        return found if found is not None and found.repository == repository else None

    def append(self, upload: Upload, data: bytes) -> None:
        if upload.offset + len(data) > BLOB_BYTES_MAX:
            self.cancel(upload)
            raise Full("the blob is larger than a blob may be")
        try:
            self._require_room(len(data))
        except Full:
            self.cancel(upload)
            raise
        try:
            upload.file.write(data)
        except OSError as error:
            self.cancel(upload)
            raise Full(f"the registry cannot keep it: {error.strerror}") from error
        upload.digest.update(data)
        upload.offset += len(data)
        self.used_bytes += len(data)
        upload.touched = self._clock.monotonic()

    def complete(self, upload: Upload, digest: str) -> None:
        """The upload is gone afterwards, whatever comes of it."""
        if f"sha256:{upload.digest.hexdigest()}" != digest:
            self.cancel(upload)
            raise WrongDigest(digest)
        upload.file.close()
        del self._uploads[upload.name]
        if digest in self._sizes:
            upload.path.unlink()
            self.used_bytes -= upload.offset
        else:
            self._keep(upload.path, digest, upload.offset)

    def cancel(self, upload: Upload) -> None:
        if self._uploads.pop(upload.name, None) is not None:
            with suppress(OSError):  # what it still held cannot be written either
                upload.file.close()
            upload.path.unlink(missing_ok=True)
            self.used_bytes -= upload.offset

    def close(self) -> None:
        for upload in list(self._uploads.values()):
            self.cancel(upload)

    def _keep(self, path: Path, digest: str, size: int) -> None:
        path.replace(self._blobs / digest.removeprefix("sha256:"))
        self._sizes[digest] = size

    def _require_room(self, size: int) -> None:
        if self.used_bytes + size > self._bytes_max:
            raise Full("the registry is full")

    def _sweep(self) -> None:
        limit = self._clock.monotonic() - UPLOAD_IDLE_SECONDS
        for upload in [one for one in self._uploads.values() if one.touched < limit and not one.busy]:
            self.cancel(upload)
