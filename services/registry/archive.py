"""Reads the layers that people push: gzipped tars of unknown origin, as the entries that a container shows.

What could hurt is refused: paths that climb out, more entries than fit, archives that unpack to far more
than they are (bombs), headers without end. What is only large is cut: of a binary the first bytes
are kept (no node runs it), a text past its limit is kept empty. The archive is read as a stream: memory
is bounded by what is kept, whatever its size. Pure but for reading the stream that it is given.
"""

from __future__ import annotations

import posixpath
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from services.registry.files import DIRECTORY, FILE, LINK, OPAQUE, PROGRAM, REMOVED, File

ENTRIES_MAX = 50_000
PATH_LENGTH_MAX = 4096
HEADER_BYTES_MAX = 256 * 1024  # of a long name or a pax header
FILE_BYTES_MAX = 1024 * 1024
KEPT_BYTES_MAX = 16 * 1024 * 1024  # of one layer
UNPACKED_BYTES_MAX = 4 * 1024**3
RATIO_MAX, RATIO_FREE_BYTES = 100, 32 * 1024 * 1024  # honest archives stay below; zlib's limit is 1000
PIECE_BYTES = 256 * 1024
BLOCK = 512
MAX_ID = 2**32 - 1
MAGIC = b"\x1f\x8b"

Read = Callable[[int], bytes]  # at most that many bytes; none at the end


class BadArchive(Exception):
    """The layer is refused; the message says why."""


class _Unpacked:
    """The bytes of the tar, whether it came gzipped or plain."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._pending = read(PIECE_BYTES)
        self._packer = zlib.decompressobj(31) if self._pending.startswith(MAGIC) else None
        self._buffer, self._at = b"", 0
        self.taken_bytes, self._given_bytes = len(self._pending), 0

    def _packed(self) -> bytes:
        data, self._pending = self._pending, b""
        if not data:
            data = self._read(PIECE_BYTES)
            self.taken_bytes += len(data)
        return data

    def _more(self) -> bytes:
        while data := self._packed():
            if self._packer is None:
                return data
            try:
                unpacked = self._packer.decompress(data, PIECE_BYTES)
            except zlib.error as error:
                raise BadArchive(f"the layer is no gzip archive: {error}") from error
            self._pending = self._packer.unconsumed_tail
            if self._packer.eof:
                # Some tools write several gzip frames, one behind the other, and zeros at the end.
                rest = self._packer.unused_data
                self._pending, self._packer = rest, zlib.decompressobj(31)
                if rest and not rest.startswith(MAGIC[: len(rest)]):
                    self._pending, self._read = b"", lambda _: b""
            if unpacked:
                return unpacked
        return b""

    def take(self, count: int) -> bytes:
        """Exactly so many bytes, fewer only at the end."""
        start, self._at = self._at, self._at + count
        if self._at > len(self._buffer):
            pieces, have = [self._buffer[start:]], len(self._buffer) - start
            while have < count and (piece := self._more()):
                pieces.append(piece)
                have += len(piece)
            self._buffer, start, self._at = b"".join(pieces), 0, min(count, have)
        self._given_bytes += self._at - start
        if self._given_bytes > min(UNPACKED_BYTES_MAX, self.taken_bytes * RATIO_MAX + RATIO_FREE_BYTES):
            raise BadArchive("the layer unpacks to more than a layer may")
        return self._buffer[start : self._at]

    def skip(self, count: int) -> None:
        while count > 0:
            if not (piece := self.take(min(count, PIECE_BYTES))):
                raise BadArchive("the layer ends in the middle of a file")
            count -= len(piece)


@dataclass(slots=True)
class _Header:
    name: str
    mode: int
    uid: int
    gid: int
    size: int
    type: bytes
    target: str


def entries(read: Read) -> list[File]:
    """What the archive holds. Raises BadArchive."""
    archive = _Unpacked(read)
    found: dict[str, File] = {}
    kept = count = 0
    for header in _headers(archive):
        count += 1
        if count > ENTRIES_MAX:
            raise BadArchive(f"the layer has more than {ENTRIES_MAX} entries")
        file = _entry(header, archive, found)
        if file is None:
            continue
        if kept + len(file.content) > KEPT_BYTES_MAX:
            file = replace(file, content=b"")
        kept += len(file.content) + len(file.target)
        found[file.path if file.kind != OPAQUE else f"{file.path}\0"] = file
    return list(found.values())


def _entry(header: _Header, archive: _Unpacked, found: dict[str, File]) -> File | None:
    """One entry, its content read; None for what containers here have no use for (devices, pipes)."""
    path = _path(header.name)
    folder, _, name = path.rpartition("/")
    if name == ".wh..wh..opq":
        archive.skip(_padded(header.size))
        return File(folder or "/", OPAQUE)
    if name.startswith(".wh."):
        archive.skip(_padded(header.size))
        return File(f"{folder}/{name[4:]}", REMOVED)
    mode, uid, gid = header.mode & 0o7777, header.uid & MAX_ID, header.gid & MAX_ID
    if header.type in (b"0", b"\0", b"7"):
        return File(path, FILE, mode, uid, gid, _content(header.size, archive))
    archive.skip(_padded(header.size) if header.type not in (b"1", b"2") else 0)
    if header.type == b"5":
        return File(path, DIRECTORY, mode, uid, gid) if path != "/" else None
    if header.type == b"2":
        return File(path, LINK, mode, uid, gid, target=header.target)
    if header.type == b"1":
        original = found.get(_path(header.target))
        if original is None or original.kind != FILE:
            raise BadArchive(f"{path}: a hard link to something that is not in the layer")
        return replace(original, path=path)
    return None


def _content(size: int, archive: _Unpacked) -> bytes:
    head = archive.take(min(size, 4))
    if head == PROGRAM or size > FILE_BYTES_MAX:
        archive.skip(_padded(size) - len(head))
        return PROGRAM if head == PROGRAM else b""
    rest = archive.take(size - len(head))
    if len(head) + len(rest) < size:
        raise BadArchive("the layer ends in the middle of a file")
    archive.skip(_padded(size) - size)
    return head + rest


def _headers(archive: _Unpacked) -> Iterator[_Header]:
    """Headers of real entries, with the names that extended headers give them."""
    extended: dict[str, str] = {}
    while True:
        block = archive.take(BLOCK)
        if not block.strip(b"\0"):
            if not block and archive.taken_bytes == 0:
                raise BadArchive("the layer is empty")
            return
        if len(block) < BLOCK:
            raise BadArchive("the layer ends in the middle of a header")
        header = _parse(block)
        if header.type in (b"L", b"K", b"x", b"g"):
            if header.size > HEADER_BYTES_MAX:
                raise BadArchive("the layer has a header without end")
            data = archive.take(_padded(header.size))[: header.size]
            if header.type == b"x":
                extended |= _pax(data)
            elif header.type != b"g":
                field = "path" if header.type == b"L" else "linkpath"
                extended[field] = data.rstrip(b"\0").decode("utf-8", "replace")
            continue
        header.name = extended.get("path", header.name)
        header.target = extended.get("linkpath", header.target)
        if "size" in extended:
            header.size = _decimal(extended["size"])
        extended = {}
        yield header


def _parse(block: bytes) -> _Header:
    expected = sum(block[:148]) + 8 * 32 + sum(block[156:])
    try:
        told = int(block[148:156].strip(b"\0 ") or b"0", 8)
    except ValueError:
        told = -1
    if told != expected:
        raise BadArchive("the layer is no tar archive")
    name = _text(block[0:100])
    if block[257:262] == b"ustar" and block[257:265] != b"ustar  \0" and (prefix := _text(block[345:500])):
        name = f"{prefix}/{name}"
    return _Header(
        name,
        _number(block[100:108]),
        _number(block[108:116]),
        _number(block[116:124]),
        _number(block[124:136]),
        block[156:157],
        _text(block[157:257]),
    )


def _number(field: bytes) -> int:
    if field[:1] == b"\x80":  # GNU's way to write what has no room in octal
        return int.from_bytes(field[1:], "big") if len(field) < 9 else struct.unpack(">Q", field[-8:])[0]
    digits = field.strip(b"\0 ")
    try:
        return int(digits or b"0", 8)
    except ValueError:
        raise BadArchive("the layer has a header that is no number") from None


def _decimal(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise BadArchive("the layer has a header that is no number")
    return int(text)


def _pax(data: bytes) -> dict[str, str]:
    """Records of the form `LENGTH name=value\\n`."""
    found: dict[str, str] = {}
    at = 0
    while at < len(data):
        length, space, _ = data[at : at + 20].partition(b" ")
        if not space or not length.isdigit() or int(length) <= len(length) + 1:
            raise BadArchive("the layer has a broken extended header")
        record = data[at + len(length) + 1 : at + int(length)]
        name, _, value = record.rstrip(b"\n").partition(b"=")
        found[name.decode("utf-8", "replace")] = value.decode("utf-8", "replace")
        at += int(length)
    return found


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "replace")


def _padded(size: int) -> int:
    return (size + BLOCK - 1) // BLOCK * BLOCK


def _path(name: str) -> str:
    if len(name) > PATH_LENGTH_MAX or "\0" in name:
        raise BadArchive("the layer has a name that is too long")
    if ".." in name.split("/"):
        raise BadArchive(f"the layer has a path that leads out of it: {name[:200]}")
    return posixpath.normpath("/" + name.lstrip("/"))
