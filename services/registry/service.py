"""registry.v1 over the hub: an adapter, and the speed of the line.

A layer takes size ÷ rate to come, every pull its own; nothing but the clock waits for it. What is known
of the content comes with the last message of its layer. Logs one line per pull, none per question.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio

from services.machinery import trace
from services.machinery.clock import Clock
from services.pb.registry.v1 import registry_pb2 as pb
from services.pb.registry.v1.registry_pb2_grpc import RegistryServiceServicer
from services.process.logging import Logger
from services.registry.accounts import WrongPassword
from services.registry.blob_store import Full
from services.registry.files import DIRECTORY, FILE, LINK, OPAQUE, REMOVED, File
from services.registry.hub import Hub
from services.registry.images import StoredImage, StoredLayer
from services.registry.pushed import BadManifest
from services.registry.pushing import Pushing
from services.registry.references import Refusal, parse

Context = grpc.aio.ServicerContext[Any, Any]
CODES = {
    "denied": grpc.StatusCode.PERMISSION_DENIED,
    "unauthorized": grpc.StatusCode.UNAUTHENTICATED,
    "missing-tag": grpc.StatusCode.NOT_FOUND,
    "invalid": grpc.StatusCode.INVALID_ARGUMENT,
    "full": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "no-platform": grpc.StatusCode.FAILED_PRECONDITION,
    "broken": grpc.StatusCode.INTERNAL,
}
KINDS = {
    FILE: pb.FILE_KIND_UNSPECIFIED,
    DIRECTORY: pb.FILE_KIND_DIRECTORY,
    LINK: pb.FILE_KIND_LINK,
    REMOVED: pb.FILE_KIND_REMOVED,
    OPAQUE: pb.FILE_KIND_OPAQUE,
}
KIND_NAMES = {number: name for name, number in KINDS.items()}
LAYERS_MAX = 127  # as containerd and docker
NAME_LENGTH_MAX = 300  # in the log; no name that means an image is longer
DETAILS_LENGTH_MAX = 1000  # HTTP/2 headers are bounded


class RegistryService(RegistryServiceServicer):
    """`bytes_per_second` 0 is an endless line."""

    def __init__(
        self, hub: Hub, pushing: Pushing, clock: Clock, log: Logger, bytes_per_second: float
    ) -> None:
        self._hub, self._pushing, self._clock, self._log = hub, pushing, clock, log
        self._rate = bytes_per_second
        self.transferred_bytes = 0

    async def Resolve(self, request: pb.ResolveRequest, context: Context) -> pb.ResolveResponse:
        try:
            reference, image = self._hub.resolve(request.name, self._user(request.credentials))
        except Refusal as refusal:
            with trace.scope(_cause(context)):
                self._log.info("Refused an image", image=request.name[:NAME_LENGTH_MAX], reason=refusal.kind)
            _refuse(context, refusal)
            return pb.ResolveResponse()
        return pb.ResolveResponse(reference=reference, digest=image.digest, manifest=_manifest(image))

    async def Pull(self, request: pb.PullRequest, context: Context) -> AsyncIterator[pb.PullResponse]:
        try:
            user = self._user(request.credentials)
            wanted = request.layers[:LAYERS_MAX]
            layers = [self._hub.layer(request.reference, digest, user) for digest in wanted]
        except Refusal as refusal:
            _refuse(context, refusal)
            return
        size = sum(layer.size for layer in layers)
        with trace.scope(_cause(context)):
            self._log.info("Sending layers", image=request.reference, layers=len(layers), bytes=size)
        for layer in layers:
            if self._rate and layer.size:
                yield pb.PullResponse(layer=layer.digest)
                await self._clock.sleep(layer.size / self._rate)
            self.transferred_bytes += layer.size
            try:
                content = await self._content(layer)
            except KeyError:  # deleted since it was resolved
                _refuse(context, Refusal("missing-tag", f"blob {layer.digest}: not found"))
                return
            yield pb.PullResponse(layer=layer.digest, transferred=layer.size, content=content)

    async def _content(self, layer: StoredLayer) -> pb.Layer:
        reading = layer.files is None  # the whole of a real archive: not on the event loop
        files = await asyncio.to_thread(self._hub.files, layer) if reading else self._hub.files(layer)
        return pb.Layer(digest=layer.digest, size=layer.size, files=[_file_message(file) for file in files])

    async def Push(self, request: pb.PushRequest, context: Context) -> pb.PushResponse:
        try:
            reference, repository, tag = parse(request.name)
            self._pushing.require(self._user(request.credentials), repository)
            digest = await self._store(repository, tag, request.manifest)
        except (Refusal, BadManifest, Full) as error:
            _refuse(context, _as_refusal(error))
            return pb.PushResponse()
        self._log.info("Stored an image", image=reference, digest=digest)
        return pb.PushResponse(digest=digest)

    async def _store(self, repository: str, tag: str, manifest: pb.Manifest) -> str:
        config = manifest.config
        described = {
            "entrypoint": config.entrypoint,
            "cmd": config.cmd,
            "env": config.env,
            "working_dir": config.working_dir,
            "user": config.user,
            "ports": config.exposed_ports,
            "stop_signal": config.stop_signal,
            "labels": dict(config.labels),
        }
        layers = [
            (layer.digest, layer.size, [_file(file) for file in layer.files]) for layer in manifest.layers
        ]
        return await self._pushing.described(repository, tag, described, layers, manifest.behaviour)

    async def Catalogue(self, request: pb.CatalogueRequest, context: Context) -> pb.CatalogueResponse:
        names = sorted(self._hub.names().items())
        return pb.CatalogueResponse(
            repositories=[pb.Repository(name=name, tags=tags) for name, tags in names]
        )

    def _user(self, credentials: pb.Credentials) -> str:
        try:
            return self._hub.accounts.login(credentials.username, credentials.password)
        except WrongPassword as error:
            raise Refusal("unauthorized", "unauthorized: incorrect username or password") from error


def _cause(context: Context) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == "traceparent":
            return value if isinstance(value, str) else value.decode()
    return ""


def _as_refusal(error: Refusal | BadManifest | Full) -> Refusal:
    if isinstance(error, Refusal):
        return error
    if isinstance(error, Full):
        return Refusal("full", str(error))
    return Refusal("invalid", f"{error}: {error.detail}" if error.detail else str(error))


def _refuse(context: Context, refusal: Refusal) -> None:
    """The call then returns: of an aborted one, the library would keep the whole request for a while."""
    context.set_code(CODES[refusal.kind])
    context.set_details(str(refusal)[:DETAILS_LENGTH_MAX])


def _manifest(image: StoredImage) -> pb.Manifest:
    return pb.Manifest(
        config_digest=image.config_digest,
        layers=[pb.Layer(digest=layer.digest, size=layer.size) for layer in image.layers],
        config=pb.ImageConfig(
            entrypoint=image.entrypoint,
            cmd=image.cmd,
            env=image.env,
            working_dir=image.working_dir,
            user=image.user,
            exposed_ports=image.ports,
            stop_signal=image.stop_signal,
            labels=image.labels,
            created=image.created,
        ),
        behaviour=image.behaviour,
    )


def _file_message(file: File) -> pb.File:
    return pb.File(
        path=file.path, kind=KINDS[file.kind], mode=file.mode, uid=file.uid, gid=file.gid,
        content=file.content, target=file.target,
    )  # fmt: skip


def _file(message: pb.File) -> File:
    kind = KIND_NAMES.get(message.kind, FILE)
    default = 0o755 if kind == DIRECTORY else 0o644
    return File(
        message.path, kind, message.mode & 0o7777 or default, message.uid, message.gid, message.content,
        message.target,
    )  # fmt: skip
