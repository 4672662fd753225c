"""The reader of layers against Python's own writer, and against bytes that are no archive."""

from __future__ import annotations

import contextlib
import gzip
import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.registry.archive import FILE_BYTES_MAX, BadArchive, entries
from services.registry.files import DIRECTORY, FILE, LINK, OPAQUE, REMOVED, File, pack, sha256

NAMES = st.text(
    st.characters(min_codepoint=33, blacklist_characters="/\x7f", blacklist_categories=["Cs"]), min_size=1
)


def read(data: bytes) -> list[File]:
    return entries(io.BytesIO(data).read)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("packed", [True, False])
def test_every_kind_of_tar(form: int, packed: bool) -> None:
    long = "/".join(["part" * 6] * 8)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name in ("./a", long, "z"):
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.uid = 700, 0o4755, 1000
            archive.addfile(member, io.BytesIO(b"x" * 700))
        folder = tarfile.TarInfo("folder/")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    data = gzip.compress(buffer.getvalue()) if packed else buffer.getvalue()
    found = {file.path: file for file in read(data)}
    assert set(found) == {"/a", f"/{long}", "/z", "/folder"}
    assert found["/z"] == File("/z", FILE, 0o4755, 1000, 0, b"x" * 700)
    assert found["/folder"].kind == DIRECTORY


def test_what_we_pack_is_what_we_read() -> None:
    files = [
        File("/a", content=b"text"),
        File("/bin/x", mode=0o755, content=b"\x7fELF"),
        File("/d", DIRECTORY, 0o1777),
        File("/d/old", REMOVED),
        File("/l", LINK, 0o777, target="a"),
        File("/o", OPAQUE),
    ]
    blob, diff_id = pack(files, "a comment")
    assert sha256(gzip.decompress(blob)) == diff_id
    found = {file.path: file for file in read(blob)}
    assert {path: file.kind for path, file in found.items()} == {file.path: file.kind for file in files}
    assert found["/bin/x"] == files[1]
    assert found["/l"].target == "a"
    assert pack(reversed(files), "a comment")[0] == blob
    assert pack(files, "another")[0] != blob


def test_large_files_and_binaries_are_cut() -> None:
    large = {"/text": b"a" * (FILE_BYTES_MAX + 1), "/program": b"\x7fELF" + b"x" * 5000, "/after": b"b"}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, content in large.items():
            member = tarfile.TarInfo(path)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    assert {file.path: file.content for file in read(buffer.getvalue())} == {
        "/text": b"",
        "/program": b"\x7fELF",
        "/after": b"b",
    }


def test_several_gzip_frames_and_zeros_behind_them() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("a")
        member.size = 5000
        archive.addfile(member, io.BytesIO(b"x" * 5000))
    data = buffer.getvalue()
    frames = b"".join(gzip.compress(data[at : at + 1000]) for at in range(0, len(data), 1000))
    assert read(frames + bytes(512))[0].content == b"x" * 5000


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=2000), st.booleans())
def test_anything_is_read_or_refused(data: bytes, packed: bool) -> None:
    with contextlib.suppress(BadArchive):
        read(gzip.compress(data) if packed else data)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 511), st.binary(min_size=1, max_size=12))
def test_a_header_that_was_tampered_with(at: int, bytes_: bytes) -> None:
    member = tarfile.TarInfo("name")
    member.size = 10
    block = bytearray(member.tobuf(format=tarfile.PAX_FORMAT) + b"x" * 512)
    block[at : at + len(bytes_)] = bytes_
    header = block[:512]
    total = sum(header[:148]) + 256 + sum(header[156:512])
    block[148:156] = f"{total:06o}\0 ".encode()
    with contextlib.suppress(BadArchive):
        for file in read(bytes(block)):
            assert file.path.startswith("/")
            assert ".." not in file.path.split("/")


@settings(max_examples=100, deadline=None)
@given(NAMES)
def test_names_of_all_sorts(name: str) -> None:
    data, _ = pack([File(f"/{name}", content=b"x")], "c")
    if name == "..":
        with pytest.raises(BadArchive, match="leads out"):
            read(data)
    elif name != ".":
        assert len(read(data)) == 1
