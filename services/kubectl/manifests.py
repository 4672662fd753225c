"""Manifests: files, directories and stdin as a stream of objects with their kinds and namespaces.

YAML of several documents, JSON, and Lists, which stand for their items. What is wrong with a file
is told as kubectl tells it; whether an object is valid, only the server knows. Nothing is fetched
from the network: an address of a file is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.api import kinds
from services.kubectl import served
from services.kubectl.decoding import documents, kind_of
from services.kubectl.errors import Fail, quote
from services.kubectl.resources import Found, Wanted
from services.kubectl.session import Session

Json = dict[str, Any]

SUFFIXES = (".json", ".yaml", ".yml")
VALIDATE_HINT = "; if you choose to ignore these errors, turn validation off with --validate=false"


@dataclass
class Manifest:
    """One object as somebody wrote it."""

    source: str
    object: Json
    resource: kinds.Resource
    namespace: str

    @property
    def name(self) -> str:
        return str((self.object.get("metadata") or {}).get("name") or "")


@dataclass
class Unreadable:
    """A document that is no object of this cluster; the others are still dealt with."""

    error: Fail


def read(session: Session) -> list[Manifest | Unreadable]:
    """Every object of the files that `-f` names."""
    if session.flags.get("kustomize"):
        raise Fail("kustomizations are not supported; render them first and use -f")
    result: list[Manifest | Unreadable] = []
    for source, text in _sources(session):
        for document in documents(text, source):
            for obj in _flatten(document):
                result.append(_manifest(session, source, obj))
    return result


def objects(session: Session) -> list[Manifest]:
    """As `read`, but the first unreadable document ends it."""
    result = []
    for item in read(session):
        if isinstance(item, Unreadable):
            raise item.error
        result.append(item)
    return result


def references(session: Session) -> list[Wanted]:
    """The objects that files name, to be read from the server."""
    return [Wanted(item.resource, item.name) for item in objects(session)]


def local(session: Session) -> list[Found]:
    """The objects as files have them (`--local`): the server is not asked."""
    if not session.flags["filename"]:
        raise Fail("--local wants files: -f FILENAME")
    return [Found(item.resource, item.object) for item in objects(session)]


def _sources(session: Session) -> Iterator[tuple[str, bytes]]:
    for name in session.flags["filename"]:
        if name == "-":
            if session.stdin is None:
                session.stdin = session.world.stdin.read()
            yield "STDIN", session.stdin
        elif name.startswith(("http://", "https://")):
            raise Fail(f"the URL {quote(name)} is not read: download the file first and name it with -f")
        else:
            for path in _paths(name, recursive=bool(session.flags.get("recursive"))):
                try:
                    yield str(path), path.read_bytes()
                except OSError as error:
                    raise Fail(f"open {path}: {str(error.strerror).lower()}") from error


def _paths(name: str, *, recursive: bool) -> list[Path]:
    path = Path(name)
    if not path.exists():
        raise Fail(f'the path "{name}" does not exist')
    if not path.is_dir():
        return [path]
    found = sorted(path.rglob("*") if recursive else path.glob("*"))
    files = [file for file in found if file.suffix in SUFFIXES and file.is_file()]
    if not files:
        raise Fail(f"error reading [{name}]: recognized file extensions are [.json .yaml .yml]")
    return files


def _flatten(document: Any) -> Iterator[Any]:
    is_list = isinstance(document, dict) and str(document.get("kind", "")).endswith("List")
    if is_list and isinstance(document.get("items"), list):
        for item in document["items"]:
            yield from _flatten(item)
    else:
        yield document


def _manifest(session: Session, source: str, obj: Any) -> Manifest | Unreadable:
    if not isinstance(obj, dict):
        return _invalid(source, "invalid object to validate")
    api_version, kind = obj.get("apiVersion"), obj.get("kind")
    missing = [name for name, value in (("apiVersion", api_version), ("kind", kind)) if not value]
    if missing:
        faults = [f"{name} not set" for name in missing]
        return _invalid(source, faults[0] if len(faults) == 1 else f"[{', '.join(faults)}]")
    for name, value in (("apiVersion", api_version), ("kind", kind)):
        if not isinstance(value, str):
            fault = f"json: cannot unmarshal {kind_of(value)} into Go struct field .{name} of type string"
            return Unreadable(Fail(f"unable to decode {quote(source)}: {fault}"))
    resource = served.of_kind(str(api_version), str(kind))
    metadata = obj.get("metadata") if isinstance(obj.get("metadata"), dict) else {}
    assert isinstance(metadata, dict)
    if resource is None:
        return Unreadable(
            Fail(
                f"resource mapping not found for name: {quote(str(metadata.get('name') or ''))}"
                f" namespace: {quote(str(metadata.get('namespace') or ''))} from {quote(source)}:"
                f" no matches for kind {quote(str(kind))} in version {quote(str(api_version))}\n"
                "ensure CRDs are installed first"
            )
        )
    return _placed(session, source, obj, resource, metadata)


def _placed(
    session: Session, source: str, obj: Json, resource: kinds.Resource, metadata: Json
) -> Manifest | Unreadable:
    if not resource.namespaced:
        return Manifest(source, obj, resource, "")
    written = metadata.get("namespace") or ""
    if written and session.namespace_given and written != session.namespace:
        return Unreadable(
            Fail(
                f"the namespace from the provided object {quote(str(written))} does not match the namespace"
                f" {quote(session.namespace)}. You must pass '--namespace={written}' to perform this"
                " operation."
            )
        )
    if not written and isinstance(obj.get("metadata"), dict):
        metadata["namespace"] = session.namespace
    return Manifest(source, obj, resource, str(written or session.namespace))


def _invalid(source: str, fault: str) -> Unreadable:
    return Unreadable(
        Fail(f"error validating {quote(source)}: error validating data: {fault}{VALIDATE_HINT}")
    )
