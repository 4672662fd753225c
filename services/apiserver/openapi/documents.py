"""The documents: the whole in the second edition, one for each group version in the third.

A document is made when first asked for, and kept as compressed bytes until what it tells of changes. Its hash
is of what it is made from, so that the index of all documents costs none of them.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import orjson

from services.api.kinds import SERVED, Resource
from services.apiserver.openapi.operations import Operation, camel_group, operations_of, snake_tag
from services.apiserver.openapi.rendering import Second, Third, described_path
from services.apiserver.openapi.types import META, Types, kinds_of

Json = dict[str, Any]

TITLE, VERSION = "Kubernetes", "v1.36.2"
_SECURITY = {"BearerToken": {"description": "Bearer Token authentication", "type": "apiKey",
                             "name": "authorization", "in": "header"}}  # fmt: skip
_COMPRESSION = 6


@dataclass(frozen=True, slots=True)
class Document:
    """A document and its hash: upper case hexadecimal digits."""

    hash: str
    packed: bytes

    @property
    def body(self) -> bytes:
        return gzip.decompress(self.packed)


@cache
def of_all() -> Documents:
    """Those of everything that is served, the same for all fronts."""
    return Documents(lambda: SERVED)


class Documents:
    """Those for the resources that `served` names at the moment."""

    def __init__(self, served: Callable[[], tuple[Resource, ...]]) -> None:
        self._served = served
        self._hashed_for: tuple[Resource, ...] = ()
        self._hashes: dict[str, str] = {}
        self._kept: dict[str, Document] = {}

    def index(self) -> Json:
        """Where each document of the third edition lies."""
        return {
            "paths": {
                path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={self.hash(path)}"}
                for path in self.paths()
            }
        }

    def paths(self) -> list[str]:
        versions = {(each.group, each.version) for each in self._served()}
        found = {"api", "apis", "version"}
        for group, version in versions:
            found |= {f"apis/{group}", f"apis/{group}/{version}"} if group else {f"api/{version}"}
        return sorted(found)

    def hash(self, path: str) -> str:
        """Of what the document is made from: the types and operations that are served."""
        served = self._served()
        if served is not self._hashed_for:
            self._hashes, self._hashed_for = {}, served
        found = self._hashes.get(path)
        if found is None:
            found = self._hashes[path] = self._hash(path)
        return found

    def _hash(self, path: str) -> str:
        parts = [path, VERSION, _facts_hash(), *map(repr, self._within(path))]
        return hashlib.sha512("\n".join(parts).encode()).hexdigest().upper()

    def third(self, path: str) -> Document | None:
        """`api/v1`, `apis/apps/v1`. None for what the index does not name."""
        return self._keep(path, self._third) if path in self.paths() else None

    def second(self, others: Sequence[Json] = ()) -> Document:
        """With other servers' parts, each of which has its own hash."""
        own = self._keep("v2", lambda _: self._second())
        if not others:
            return own
        from services.apiserver.openapi.merging import merged

        return self._keep("v2 of all", lambda _: orjson.dumps(merged(orjson.loads(own.body), others)), others)

    def second_protobuf(self, others: Sequence[Json] = ()) -> Document:
        """The second edition as client-go reads it."""
        from services.apiserver.openapi.protobuf import encode

        return self._keep("v2 protobuf", lambda _: encode(orjson.loads(self.second(others).body)), others)

    def _keep(self, key: str, make: Callable[[str], bytes], others: Sequence[Json] = ()) -> Document:
        wanted = self.hash(key)
        if others:
            hashes = "\n".join((wanted, *(each["hash"] for each in others)))
            wanted = hashlib.sha512(hashes.encode()).hexdigest().upper()
        found = self._kept.get(key)
        if found is None or found.hash != wanted:
            packed = gzip.compress(make(key), _COMPRESSION, mtime=0)
            found = self._kept[key] = Document(wanted, packed)
        return found

    def _within(self, path: str) -> list[Resource]:
        if path.partition(" ")[0] == "v2":
            return list(self._served())
        return [each for each in self._served() if _path_of(each) == path or _path_of(each).startswith(path)]

    def _third(self, path: str) -> bytes:
        resources = tuple(each for each in self._served() if _path_of(each) == path)
        types = Types(3, self._served())
        writer = Third(types)
        operations = [operation for each in resources for operation in operations_of(each)]
        operations += [each for each in _about(self._served()) if each.path.strip("/") == path]
        names = {name for *_, name in kinds_of(resources)} | _bodies(operations)
        document = {
            "openapi": "3.0.0",
            "info": {"title": TITLE, "version": VERSION},
            "paths": _paths(operations, writer),
            "components": {"schemas": types.closure(names), "securitySchemes": _SECURITY},
            "security": [{"BearerToken": []}],
        }
        return orjson.dumps(document)

    def _second(self) -> bytes:
        types = Types(2, self._served())
        writer = Second(types)
        operations = [operation for each in self._served() for operation in operations_of(each)]
        operations += _about(self._served())
        names = {name for *_, name in kinds_of(self._served())} | _bodies(operations)
        document = {
            "swagger": "2.0",
            "info": {"title": TITLE, "version": VERSION},
            "paths": _paths(operations, writer),
            "definitions": types.closure(names),
            "parameters": writer.shared,
            "securityDefinitions": _SECURITY,
            "security": [{"BearerToken": []}],
        }
        return orjson.dumps(document)


def _path_of(resource: Resource) -> str:
    return f"apis/{resource.api_version}" if resource.group else f"api/{resource.version}"


@cache
def _facts_hash() -> str:
    held = hashlib.sha256()
    for package, name in (("services.machinery.schema", "definitions.json"), (__package__, "facts.json")):
        held.update(files(package).joinpath(name).read_bytes())
    return held.hexdigest()


def _bodies(operations: list[Operation]) -> set[str]:
    return {name for each in operations for name in (each.body, each.answer) if name}


def _paths(operations: list[Operation], writer: Second | Third) -> Json:
    grouped: dict[str, list[Operation]] = {}
    for operation in operations:
        grouped.setdefault(operation.path, []).append(operation)
    return {path: described_path(grouped[path], writer) for path in sorted(grouped)}


def _about(resources: tuple[Resource, ...]) -> list[Operation]:
    """The operations that describe the API itself."""
    found = [
        _get("/api/", "getCoreAPIVersions", "APIVersions", "core"),
        _get("/apis/", "getAPIVersions", "APIGroupList", "apis"),
        _get("/version/", "getCodeVersion", "io.k8s.apimachinery.pkg.version.Info", "version"),
    ]
    for group, version in sorted({(each.group, each.version) for each in resources}):
        name = camel_group(group)
        version_name = version[0].upper() + version[1:]
        root = f"/apis/{group}" if group else "/api"
        if group:
            found.append(_get(f"{root}/", f"get{name}APIGroup", "APIGroup", snake_tag(group, "")))
        tag = snake_tag(group, version)
        found.append(
            _get(f"{root}/{version}/", f"get{name}{version_name}APIResources", "APIResourceList", tag)
        )
    return list({each.path: each for each in found}.values())


def _get(path: str, identifier: str, answer: str, tag: str) -> Operation:
    media = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf")
    if path == "/version/":
        return Operation(path, "get", identifier, "", answer=answer, consumes=media[:1], produces=media[:1],
                         tag=tag, pretty=False)  # fmt: skip
    return Operation(path, "get", identifier, "", answer=META + answer, consumes=media, produces=media,
                     tag=tag, pretty=False)  # fmt: skip
