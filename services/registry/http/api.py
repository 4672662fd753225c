"""Reads and manifests: /v2/<name>/manifests, blobs, tags/list, referrers, _catalog. As the OCI distribution
specification has them.

A blob of the catalogue takes as long as the layer that it stands for: its size ÷ the rate of the line. What
a client may send is bounded; whom it may read is the hub's to say.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

from aiohttp import web

from services.machinery.clock import Clock
from services.process.logging import Logger
from services.registry.blob_store import DIGEST
from services.registry.http.auth import Auth
from services.registry.http.errors import ApiError
from services.registry.http.uploads import SILENCE_SECONDS
from services.registry.hub import Hub
from services.registry.images import INDEX, MANIFEST
from services.registry.pushed import INDEXES, MANIFESTS
from services.registry.pushing import MANIFEST_BYTES_MAX, Pushing
from services.registry.references import Refusal, repository_at, shown

PIECE_BYTES = 256 * 1024
PAGE_MAX = 1000
_TAG_OR_DIGEST = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}|sha256:[0-9a-f]{64}")
_BYTES = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")


class Api:
    def __init__(
        self, hub: Hub, pushing: Pushing, auth: Auth, clock: Clock, log: Logger, bytes_per_second: float
    ) -> None:
        self._hub, self._pushing, self._auth = hub, pushing, auth
        self._clock, self._log, self._rate = clock, log, bytes_per_second

    def _asked(self, request: web.Request) -> tuple[str, str]:
        """The repository and the user."""
        repository = repository_at(request.match_info["name"], request.query.get("ns", ""))
        return repository, self._auth.user(request)

    # -- manifests -----------------------------------------------------------------------------

    async def get_manifest(self, request: web.Request) -> web.StreamResponse:
        repository, user = self._asked(request)
        version = _version(request)
        digest, document = self._hub.document(repository, version, user)
        accepted = ",".join(request.headers.getall("Accept", []))
        if document.media_type == INDEX and not _takes_index(accepted) and not DIGEST.fullmatch(version):
            # An old client gets the manifest for the first platform, as Docker Hub gives it.
            digest = json.loads(document.data)["manifests"][0]["digest"]
            digest, document = self._hub.document(repository, digest, user)
        headers = {
            "Docker-Content-Digest": digest,
            "ETag": f'"{digest}"',
            "Content-Type": document.media_type,
        }
        if request.method == "GET":
            self._log.info("Sent a manifest", image=f"{repository}:{version}"[:300])
        return web.Response(body=document.data, headers=headers)

    async def put_manifest(self, request: web.Request) -> web.StreamResponse:
        repository, user = self._asked(request)
        self._pushing.require(user, repository)
        data = await self._body(request)
        media_type = request.content_type if "Content-Type" in request.headers else ""
        version = request.match_info["reference"]
        digest, manifest = await self._pushing.manifest(repository, version, media_type, data)
        self._log.info("Stored an image", image=f"{repository}:{version}"[:300], digest=digest, user=user)
        location = f"/v2/{request.match_info['name']}/manifests/{digest}"
        headers = {"Location": location, "Docker-Content-Digest": digest}
        if manifest.subject:
            headers["OCI-Subject"] = manifest.subject
        return web.Response(status=201, headers=headers)

    async def delete_manifest(self, request: web.Request) -> web.StreamResponse:
        repository, user = self._asked(request)
        self._pushing.require(user, repository)
        if not self._pushing.delete_manifest(repository, _version(request)):
            raise ApiError("MANIFEST_UNKNOWN", "manifest unknown")
        return web.Response(status=202)

    async def _body(self, request: web.Request) -> bytes:
        data = bytearray()
        while True:
            async with self._clock.timeout(SILENCE_SECONDS):
                piece = await request.content.read(PIECE_BYTES)
            if not piece:
                return bytes(data)
            data += piece
            if len(data) > MANIFEST_BYTES_MAX:
                raise ApiError("MANIFEST_INVALID", "manifest invalid", "manifest too large", status=413)

    # -- blobs ---------------------------------------------------------------------------------

    async def get_blob(self, request: web.Request) -> web.StreamResponse:
        repository, user = self._asked(request)
        digest = _digest(request)
        known = self._hub.known_blob(repository, digest) if self._may_pull(user, repository) else None
        if known is None:
            raise ApiError("BLOB_UNKNOWN", "blob unknown to registry", digest)
        told = 0
        if isinstance(known, int):
            length = known
        elif isinstance(known, bytes):
            length = len(known)
        else:
            told, length = known.size, known.length
        first, last = _range(request, length)
        headers = {
            "Docker-Content-Digest": digest,
            "ETag": f'"{digest}"',
            "Accept-Ranges": "bytes",
            "Content-Type": "application/octet-stream",
            "Content-Length": str(last - first + 1),
        }
        whole = (first, last) == (0, length - 1)
        if not whole:
            headers["Content-Range"] = f"bytes {first}-{last}/{length}"
        response = web.StreamResponse(status=200 if whole else 206, headers=headers)
        if request.method == "HEAD":
            return web.Response(headers=headers)
        await response.prepare(request)
        data = known if isinstance(known, bytes) else known.blob() if not isinstance(known, int) else None
        factor = max(told, length) / max(length, 1)
        async for piece in self._paced(self._pieces(digest, data, first, last), factor):
            await response.write(piece)
        await response.write_eof()
        return response

    def _may_pull(self, user: str, repository: str) -> bool:
        if not self._hub.accounts.may_pull(user, repository):
            raise Refusal("denied", "")
        return True

    def _pieces(self, digest: str, data: bytes | None, first: int, last: int) -> Iterator[bytes]:
        if data is not None:
            yield data[first : last + 1]
            return
        with self._hub.store.open(digest) as file:
            file.seek(first)
            left = last - first + 1
            while left > 0 and (piece := file.read(min(PIECE_BYTES, left))):
                left -= len(piece)
                yield piece

    async def _paced(self, pieces: Iterator[bytes], factor: float) -> AsyncIterator[bytes]:
        for piece in pieces:
            if self._rate and piece:
                await self._clock.sleep(len(piece) * factor / self._rate)
            yield piece

    async def delete_blob(self, request: web.Request) -> web.StreamResponse:
        repository, user = self._asked(request)
        self._pushing.require(user, repository)
        try:
            found = self._pushing.delete_blob(repository, _digest(request))
        except Refusal as refusal:
            raise ApiError("UNSUPPORTED", str(refusal)) from refusal
        if not found:
            raise ApiError("BLOB_UNKNOWN", "blob unknown to registry")
        return web.Response(status=202)

    # -- lists ---------------------------------------------------------------------------------

    async def tags(self, request: web.Request) -> web.StreamResponse:
        repository, user = self._asked(request)
        try:
            found = self._hub.tags(repository, user)
        except Refusal as refusal:
            if refusal.kind == "missing-tag":
                raise ApiError("NAME_UNKNOWN", "repository name not known to registry") from refusal
            raise
        page, headers = _page(request, found)
        return web.json_response({"name": request.match_info["name"], "tags": page}, headers=headers)

    async def catalog(self, request: web.Request) -> web.StreamResponse:
        found = sorted(shown(name) for name in self._hub.names(self._auth.user(request)))
        page, headers = _page(request, found)
        return web.json_response({"repositories": page}, headers=headers)

    async def referrers(self, request: web.Request) -> web.StreamResponse:
        repository, user = self._asked(request)
        self._may_pull(user, repository)
        digest, wanted = _digest(request), request.query.get("artifactType", "")
        home = self._hub.repositories.get(repository)
        found: list[dict[str, Any]] = []
        for name, manifest in (home.manifests if home is not None else {}).items():
            if manifest.subject == digest and (not wanted or manifest.artifact_type == wanted):
                one = {"mediaType": manifest.media_type, "digest": name, "size": manifest.size}
                found.append(
                    {**one, "artifactType": manifest.artifact_type, "annotations": manifest.annotations}
                )
        headers = {"OCI-Filters-Applied": "artifactType"} if wanted else {}
        body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": found}).encode()
        return web.Response(body=body, headers={**headers, "Content-Type": INDEX})


def _takes_index(accepted: str) -> bool:
    named = any(kind in accepted for kind in INDEXES)
    return named or not any(kind in accepted for kind in (*MANIFESTS, MANIFEST))


def _version(request: web.Request) -> str:
    reference = request.match_info["reference"]
    if not _TAG_OR_DIGEST.fullmatch(reference):
        code = "DIGEST_INVALID" if ":" in reference else "TAG_INVALID"
        raise ApiError(code, "invalid digest" if ":" in reference else "invalid tag", reference[:200])
    return reference


def _digest(request: web.Request) -> str:
    digest = request.match_info["digest"]
    if not DIGEST.fullmatch(digest):
        raise ApiError("DIGEST_INVALID", "provided digest did not match uploaded content", digest[:200])
    return digest


def _range(request: web.Request, length: int) -> tuple[int, int]:
    """First and last byte. A header that is no range of bytes counts as none, as HTTP wants it."""
    match = _BYTES.fullmatch(request.headers.get("Range", "").strip())
    if match is None or not (match[1] or match[2]):
        return 0, length - 1
    if match[1]:
        first, last = int(match[1]), min(int(match[2] or length - 1), length - 1)
    else:
        first, last = max(length - int(match[2]), 0), length - 1
    if first > last:
        raise ApiError("RANGE_INVALID", "invalid range", headers={"Content-Range": f"bytes */{length}"})
    return first, last


def _page(request: web.Request, found: list[str]) -> tuple[list[str], dict[str, str]]:
    """The names behind `last`, at most `n`; with a Link to the rest."""
    last, text = request.query.get("last", ""), request.query.get("n", str(PAGE_MAX))
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise ApiError("PAGINATION_NUMBER_INVALID", "invalid number of results requested", text[:100])
    count = min(int(text), PAGE_MAX)
    rest = [name for name in found if name > last]
    page = rest[:count]
    if len(rest) > count and page:
        return page, {"Link": f'<{request.path}?n={count}&last={page[-1]}>; rel="next"'}
    return page, {}
