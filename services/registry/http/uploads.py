"""Uploads: POST begins one, PATCH adds to it, PUT ends it with a digest; or all at once; or by mounting.

Bytes go to disk as they come. A client that is silent for a minute has ended its request, not its upload:
it may go on where it was, for an hour. Chunks come in order, each where the last one ended.
"""

from __future__ import annotations

import re

from aiohttp import web

from services.machinery.clock import Clock
from services.registry.blob_store import DIGEST, BlobStore, Upload
from services.registry.http.auth import Auth
from services.registry.http.errors import ApiError
from services.registry.hub import Hub
from services.registry.pushing import Pushing
from services.registry.references import Refusal, repository_at

PIECE_BYTES = 256 * 1024
SILENCE_SECONDS = 60.0
_RANGE = re.compile(r"(?:bytes[= ])?(\d{1,15})-(\d{1,15})(?:/.*)?")


class Uploads:
    def __init__(self, hub: Hub, pushing: Pushing, auth: Auth, clock: Clock) -> None:
        self._hub, self._pushing, self._auth, self._clock = hub, pushing, auth, clock

    @property
    def _store(self) -> BlobStore:
        return self._hub.store

    def _repository(self, request: web.Request) -> tuple[str, str]:
        repository = repository_at(request.match_info["name"], request.query.get("ns", ""))
        user = self._auth.user(request)
        self._pushing.require(user, repository)
        return repository, user

    def _upload(self, request: web.Request) -> Upload:
        repository, _ = self._repository(request)
        upload = self._store.upload(request.match_info["upload"], repository)
        if upload is None:
            raise ApiError("BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        return upload

    async def begin(self, request: web.Request) -> web.StreamResponse:
        repository, user = self._repository(request)
        mount = request.query.get("mount", "")
        if DIGEST.fullmatch(mount) and self._mount(request, mount, repository, user):
            return _created(request, mount)
        upload = self._store.begin(repository)
        digest = request.query.get("digest")
        if digest is None:
            return self._accepted(request, upload)
        await self._receive(request, upload)
        self._pushing.complete(upload, digest)
        return _created(request, digest)

    def _mount(self, request: web.Request, digest: str, repository: str, user: str) -> bool:
        try:
            source = repository_at(request.query.get("from") or request.match_info["name"])
        except Refusal:
            return False
        return self._pushing.mount(digest, source, repository, user)

    async def add(self, request: web.Request) -> web.StreamResponse:
        upload = self._upload(request)
        self._require_place(request, upload)
        await self._receive(request, upload)
        return self._accepted(request, upload)

    async def end(self, request: web.Request) -> web.StreamResponse:
        upload = self._upload(request)
        digest = request.query.get("digest", "")
        if not DIGEST.fullmatch(digest):
            raise ApiError("DIGEST_INVALID", "provided digest did not match uploaded content", digest[:200])
        self._require_place(request, upload)
        await self._receive(request, upload)
        self._pushing.complete(upload, digest)
        return _created(request, digest)

    async def status(self, request: web.Request) -> web.StreamResponse:
        upload = self._upload(request)
        return web.Response(status=204, headers=self._place(request, upload))

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        self._store.cancel(self._upload(request))
        return web.Response(status=204)

    def _require_place(self, request: web.Request, upload: Upload) -> None:
        if upload.busy:
            raise ApiError("RANGE_INVALID", "another request is writing to this upload")
        text = request.headers.get("Content-Range")
        if text is None:
            return
        match = _RANGE.fullmatch(text.strip())
        if match is None or int(match[1]) != upload.offset or int(match[2]) < int(match[1]):
            raise ApiError(
                "RANGE_INVALID", "invalid content range", text[:100], headers=self._place(request, upload)
            )
        length = request.content_length
        if length is not None and length != int(match[2]) - int(match[1]) + 1:
            raise ApiError("SIZE_INVALID", "provided length did not match content length")

    async def _receive(self, request: web.Request, upload: Upload) -> None:
        upload.busy = True
        try:
            while True:
                async with self._clock.timeout(SILENCE_SECONDS):
                    piece = await request.content.read(PIECE_BYTES)
                if not piece:
                    return
                self._store.append(upload, piece)
        finally:
            upload.busy = False

    def _accepted(self, request: web.Request, upload: Upload) -> web.StreamResponse:
        return web.Response(status=202, headers=self._place(request, upload))

    def _place(self, request: web.Request, upload: Upload) -> dict[str, str]:
        return {
            "Location": f"/v2/{request.match_info['name']}/blobs/uploads/{upload.name}{_namespace(request)}",
            "Range": f"0-{max(upload.offset - 1, 0)}",
            "Docker-Upload-UUID": upload.name,
        }


def _created(request: web.Request, digest: str) -> web.StreamResponse:
    location = f"/v2/{request.match_info['name']}/blobs/{digest}"
    return web.Response(status=201, headers={"Location": location, "Docker-Content-Digest": digest})


def _namespace(request: web.Request) -> str:
    namespace = request.query.get("ns", "")
    return f"?ns={namespace}" if re.fullmatch(r"[A-Za-z0-9.:-]{1,255}", namespace) else ""
