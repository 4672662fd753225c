"""tar, gzip and their kin, on the container's files. Bounded by what a file may hold."""

from __future__ import annotations

import gzip as codec
import io
import stat
import tarfile
import zlib
from datetime import UTC, datetime

from services.runtime.filesystem import DIRECTORY, FILE, LINK, Entry, normal
from services.runtime.processes import Exit, Process, Program
from services.runtime.programs.input import path_of, tool, words_of
from services.runtime.programs.options import busybox, options, usage
from services.runtime.streams import read_all

TAR = "c|x|t [-ZzJjahmvokO] [-f TARFILE] [-C DIR] [FILE]..."
UNPACKED_BYTES_MAX = 16 * 1024 * 1024
MEMBERS_MAX = 5_000


def unpacked(data: bytes) -> bytes:
    """A gzip's content, up to a limit; ValueError when it is none."""
    try:
        decoder = zlib.decompressobj(31)
        return decoder.decompress(data, UNPACKED_BYTES_MAX)
    except zlib.error as error:
        raise ValueError(str(error)) from error


async def gzip(process: Process) -> int:
    name = tool(process)
    found, operands = await options(process, "cdfkvqt123456789n", synopsis="[-cfkdt123456789] [FILE]...")
    unpack = "d" in found or name in ("gunzip", "zcat")
    to_stdout = "c" in found or name == "zcat"
    filesystem, status = process.container.filesystem, 0
    for operand in operands or ["-"]:
        path = path_of(process, operand)
        try:
            data = (
                await read_all(process.stdin, UNPACKED_BYTES_MAX) if operand == "-" else filesystem.read(path)
            )
            if unpack and operand != "-" and not to_stdout and not operand.endswith((".gz", ".tgz")):
                raise ValueError("unknown suffix - ignored")
            changed = unpacked(data) if unpack else codec.compress(data, mtime=0)
            if operand == "-" or to_stdout:
                await process.write(changed)
                continue
            target = path.removesuffix(".gz").removesuffix(".tgz") if unpack else path + ".gz"
            filesystem.write(target, changed, modified=process.container.now_seconds())
            if "k" not in found:
                filesystem.remove(path)
        except OSError as error:
            await process.complain(f"{name}: {operand}: {words_of(error)}")
            status = 1
        except ValueError as error:
            words = str(error) if "suffix" in str(error) else "invalid magic"
            await process.complain(f"{name}: {f'{operand}: ' if 'suffix' in words else ''}{words}")
            status = 1
    return status


async def tar(process: Process) -> int:
    words = list(process.argv[1:])
    if words and words[0] and not words[0].startswith("-"):
        # The old form: letters first, their values after them, in order.
        letters = words.pop(0)
        for letter in letters:
            if letter in "fC" and words:
                words = [f"-{letter}{words[0]}", *words[1:], *()] if letters[-1] == letter else words
        rest = letters.rstrip("fC") if letters[-1] in "fC" else letters.replace("f", "")
        words = [f"-{rest}", *words] if rest else words
    long = {
        "extract": "x",
        "create": "c",
        "list": "t",
        "file": "f",
        "gzip": "z",
        "verbose": "v",
        "directory": "C",
        "touch": "m",
        "no-same-owner": "o",
        "no-same-permissions": "k",
        "same-permissions": "p",
        "preserve-permissions": "p",
    }
    found, operands = await options(process, "cxtzvf:C:jJkmoOpPh", words=words, synopsis=TAR, long=long)
    if not found.keys() & {"c", "x", "t"}:
        raise await usage(process, TAR)
    folder = normal(found.get("C", "."), process.cwd)
    if not process.container.filesystem.is_directory(folder):
        return await _no_folder(process, found["C"])
    try:
        if "c" in found:
            return await _create(process, found, operands, folder)
        return await _read(process, found, operands, folder)
    except tarfile.TarError:
        await process.complain(
            "tar: invalid tar magic" if busybox(process) else "tar: This does not look like a tar archive"
        )
        return 1 if busybox(process) else 2


async def _no_folder(process: Process, name: str) -> int:
    if busybox(process):
        await process.complain(f"tar: can't change directory to '{name}': No such file or directory")
        return 1
    await process.complain(f"tar: {name}: Cannot open: No such file or directory")
    await process.complain("tar: Error is not recoverable: exiting now")
    return 2


async def _create(process: Process, found: dict[str, str], operands: list[str], folder: str) -> int:
    if not operands:
        await process.complain(
            "tar: empty archive" if busybox(process) else "tar: Cowardly refusing to create an empty archive"
        )
        return 1
    await _tell_of_roots(process, operands)
    buffer = io.BytesIO()
    status = 0
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for operand in operands:
            path = normal(operand, folder)
            try:
                names = _add(process, archive, path, operand.strip("/") or ".")
            except OSError as error:
                doing = "" if busybox(process) else "Cannot stat: "
                await process.complain(f"tar: {operand}: {doing}{words_of(error)}")
                status = 1 if busybox(process) else 2
                continue
            if "v" in found:
                await process.write("".join(f"{name}\n" for name in names))
    data = codec.compress(buffer.getvalue(), mtime=0) if "z" in found else buffer.getvalue()
    name = found.get("f", "-")
    if name == "-":
        await process.write(data)
    else:
        try:
            process.container.filesystem.write(
                path_of(process, name), data, modified=process.container.now_seconds()
            )
        except OSError as error:
            await process.complain(f"tar: can't open '{name}': {words_of(error)}")
            return 1
    if status:
        delayed = "error exit delayed from" if busybox(process) else "Exiting with failure status due to"
        await process.complain(f"tar: {delayed} previous errors")
    return status


async def _tell_of_roots(process: Process, operands: list[str]) -> None:
    """Members are never above the folder that they are unpacked in, and tar says so."""
    if any(operand.startswith("/") for operand in operands):
        removing = "removing leading '/'" if busybox(process) else "Removing leading `/'"
        await process.complain(f"tar: {removing} from member names")


def _add(process: Process, archive: tarfile.TarFile, path: str, name: str) -> list[str]:
    filesystem = process.container.filesystem
    entry = filesystem.lookup(path, follow=False)
    member = tarfile.TarInfo(name)
    member.mode, member.mtime, member.uid, member.gid = entry.mode, int(entry.modified), entry.uid, entry.gid
    if entry.kind == DIRECTORY:
        member.type = tarfile.DIRTYPE
        archive.addfile(member)
        names = [f"{name}/"]
        for inner in filesystem.listing(path):
            names += _add(process, archive, f"{path.rstrip('/')}/{inner}", f"{name}/{inner}")
        return names
    if entry.kind == LINK:
        member.type, member.linkname = tarfile.SYMTYPE, entry.target
        archive.addfile(member)
    elif entry.kind == FILE:
        data = entry.content()
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return [name]


async def _read(process: Process, found: dict[str, str], operands: list[str], folder: str) -> int:
    filesystem, name = process.container.filesystem, found.get("f", "-")
    try:
        data = (
            await read_all(process.stdin, UNPACKED_BYTES_MAX)
            if name == "-"
            else filesystem.read(path_of(process, name))
        )
    except OSError as error:
        await process.complain(f"tar: can't open '{name}': {words_of(error)}")
        return 1
    if data[:2] == b"\x1f\x8b":
        try:
            data = unpacked(data)
        except ValueError as error:
            raise tarfile.ReadError(str(error)) from error
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        for count, member in enumerate(archive):
            if count > MEMBERS_MAX:
                break
            if operands and not any(
                member.name == one or member.name.startswith(f"{one}/") for one in operands
            ):
                continue
            if "t" in found or "v" in found:
                await process.write(f"{_shown(process, member, long='t' in found and 'v' in found)}\n")
            if "x" in found:
                await _extract(process, archive, member, folder)
    return 0


def _shown(process: Process, member: tarfile.TarInfo, long: bool) -> str:
    name = f"{member.name}/" if member.isdir() else member.name
    if not long:
        return name
    kind = stat.S_IFDIR if member.isdir() else stat.S_IFLNK if member.issym() else stat.S_IFREG
    owner = f"{member.uname or member.uid}/{member.gname or member.gid}"
    form = "%Y-%m-%d %H:%M:%S" if busybox(process) else "%Y-%m-%d %H:%M"
    moment = datetime.fromtimestamp(member.mtime, UTC).strftime(form)
    target = f" -> {member.linkname}" if member.issym() else ""
    mode = stat.filemode(kind | member.mode)
    return f"{mode} {owner} {member.size:>{max(9, 18 - len(owner))}} {moment} {name}{target}"


async def _extract(process: Process, archive: tarfile.TarFile, member: tarfile.TarInfo, folder: str) -> None:
    """Never above the folder: the name is made absolute inside it first."""
    filesystem = process.container.filesystem
    path = folder.rstrip("/") + normal(member.name)
    now = float(member.mtime)
    try:
        filesystem.make_directories(path.rpartition("/")[0] or "/", modified=now)
        if member.isdir():
            filesystem.make_directories(path, modified=now)
        elif member.issym():
            filesystem.make_link(path, member.linkname, modified=now)
        elif member.isfile():
            source = archive.extractfile(member)
            data = source.read(UNPACKED_BYTES_MAX) if source is not None else b""
            filesystem.put(path, Entry(mode=member.mode & 0o7777, data=data, modified=now))
    except OSError as error:
        await process.complain(f"tar: can't create '{member.name}': {words_of(error)}")
        raise Exit(1) from error


PROGRAMS: dict[str, Program] = {"tar": tar, "gzip": gzip, "gunzip": gzip, "zcat": gzip}
