"""A small OCI client, as docker is one: it is challenged, gets a token, pushes blobs and then a manifest."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import re
import tarfile
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import aiohttp

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def layer(files: dict[str, bytes | str], *extra: tarfile.TarInfo) -> bytes:
    """A gzipped tar of executable files; a text beginning with `->` is a link."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, content in files.items():
            member = tarfile.TarInfo(path)
            member.mode = 0o755
            if isinstance(content, str) and content.startswith("->"):
                member.type, member.linkname = tarfile.SYMTYPE, content[2:]
                archive.addfile(member)
                continue
            data = content.encode() if isinstance(content, str) else content
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for member in extra:
            archive.addfile(member)
    return gzip.compress(buffer.getvalue(), mtime=0)


def image(layers: Iterable[bytes], history: Iterable[str] = (), **config: Any) -> tuple[bytes, bytes]:
    """The configuration and the manifest."""
    stack = list(layers)
    described = json.dumps({
        "architecture": "amd64",
        "os": "linux",
        "created": "2026-03-01T10:00:00.123456789Z",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [sha256(gzip.decompress(one)) for one in stack]},
        "history": [{"created_by": step} for step in history],
    }).encode()  # fmt: skip
    manifest = json.dumps({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": sha256(described), "size": len(described)},
        "layers": [{"mediaType": LAYER, "digest": sha256(one), "size": len(one)} for one in stack],
    }).encode()  # fmt: skip
    return described, manifest


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]  # whatever the case of their names
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """Of the error."""
        return str(self.json["errors"][0]["code"])


@dataclass
class OciClient:
    session: aiohttp.ClientSession
    base: str
    user: str = ""
    password: str = ""
    tokens: list[str] = field(default_factory=list)

    async def ask(self, method: str, path: str, **options: Any) -> Answer:
        """With a token, once the server asked for one."""
        answer = await self.once(method, path, **options)
        challenge = answer.headers.get("WWW-Authenticate", "")
        if answer.status == 401 and challenge.startswith("Bearer ") and not self.tokens:
            words = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
            proof = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
            headers = {"Authorization": f"Basic {proof}"} if self.user else {}
            async with self.session.get(words["realm"], headers=headers) as response:
                if response.status != 200:
                    return Answer(response.status, response.headers, await response.read())
                self.tokens.append((await response.json())["token"])
            answer = await self.once(method, path, **options)
        return answer

    async def once(self, method: str, path: str, **options: Any) -> Answer:
        headers = dict(options.pop("headers", {}))
        if self.tokens:
            headers.setdefault("Authorization", f"Bearer {self.tokens[-1]}")
        url = path if path.startswith("http") else self.base + path
        async with self.session.request(
            method, url, headers=headers, allow_redirects=False, **options
        ) as got:
            return Answer(got.status, got.headers, await got.read())

    async def upload(self, name: str, data: bytes) -> Answer:
        begun = await self.ask("POST", f"/v2/{name}/blobs/uploads/")
        if begun.status != 202:
            return begun
        location = begun.headers["Location"]
        return await self.ask("PUT", f"{location}?digest={sha256(data)}", data=data)

    async def push(
        self, name: str, tag: str, layers: Iterable[bytes], history: Iterable[str] = (), **config: Any
    ) -> Answer:
        stack = list(layers)
        described, manifest = image(stack, history, **config)
        for blob in (*stack, described):
            answer = await self.upload(name, blob)
            if answer.status != 201:
                return answer
        return await self.put_manifest(name, tag, manifest)

    async def put_manifest(
        self, name: str, tag: str, manifest: bytes | BinaryIO, kind: str = MANIFEST
    ) -> Answer:
        return await self.ask(
            "PUT", f"/v2/{name}/manifests/{tag}", data=manifest, headers={"Content-Type": kind}
        )


@asynccontextmanager
async def oci_client(base: str, user: str = "", password: str = "") -> AsyncIterator[OciClient]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        yield OciClient(session, base, user, password)
