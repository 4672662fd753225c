"""The entries of a layer, and the archive that a layer is on the wire: a tar, gzipped.

Equal entries give equal bytes, hence equal digests, on every start: times, owners and order are fixed. Pure.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

FILE, DIRECTORY, LINK, REMOVED, OPAQUE = "file", "directory", "link", "removed", "opaque"
PROGRAM = b"\x7fELF"  # all that there is inside an emulated binary
CREATED_SECONDS = 1_767_225_600  # 2026-01-01: catalogue images are all of one day
GZIP = 31  # zlib's window bits for a gzip frame, whose header holds no time then


@dataclass(frozen=True, slots=True)
class File:
    path: str  # absolute
    kind: str = FILE
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    content: bytes = b""
    target: str = ""  # of a link


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def pack(files: Iterable[File], comment: str) -> tuple[bytes, str]:
    """The blob, and the digest of what it unpacks to. `comment` tells apart layers that show the same."""
    buffer = io.BytesIO()
    header = {"comment": comment}
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, pax_headers=header) as archive:
        for file in sorted(files, key=lambda one: one.path):
            archive.addfile(_member(file), io.BytesIO(file.content) if file.kind == FILE else None)
    unpacked = buffer.getvalue()
    packer = zlib.compressobj(9, zlib.DEFLATED, GZIP)
    return packer.compress(unpacked) + packer.flush(), sha256(unpacked)


def _member(file: File) -> tarfile.TarInfo:
    folder, _, name = file.path.lstrip("/").rpartition("/")
    prefix = f"{folder}/" if folder else ""
    path = {REMOVED: f"{prefix}.wh.{name}", OPAQUE: f"{prefix}{name}/.wh..wh..opq"}.get(
        file.kind, prefix + name
    )
    member = tarfile.TarInfo(path)
    member.type = {DIRECTORY: tarfile.DIRTYPE, LINK: tarfile.SYMTYPE}.get(file.kind, tarfile.REGTYPE)
    member.mode, member.uid, member.gid, member.mtime = file.mode, file.uid, file.gid, CREATED_SECONDS
    member.size = len(file.content) if file.kind == FILE else 0
    member.linkname = file.target
    return member
