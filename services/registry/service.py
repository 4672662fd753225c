"""registry.v1 over the hub: an adapter, and the speed of the line.

A layer takes size ÷ rate to come, every pull its own; nothing but the clock waits for it. What is known
of the content comes with the last message of its layer. Logs one line per pull, none per question.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc.aio

from services.machinery import trace
from services.machinery.clock import Clock
from services.pb.registry.v1 import registry_pb2 as pb
from services.pb.registry.v1.registry_pb2_grpc import RegistryServiceServicer
from services.process.logging import Logger
from services.registry.hub import Hub, Refusal
from services.registry.images import StoredImage, StoredLayer, digest_of

Context = grpc.aio.ServicerContext[Any, Any]
CODES = {
    "denied": grpc.StatusCode.PERMISSION_DENIED,
    "missing-tag": grpc.StatusCode.NOT_FOUND,
    "invalid": grpc.StatusCode.INVALID_ARGUMENT,
}
LAYERS_MAX = 127  # as containerd and docker
NAME_LENGTH_MAX = 300  # in the log; no name that means an image is longer
DETAILS_LENGTH_MAX = 1000  # HTTP/2 headers are bounded


class RegistryService(RegistryServiceServicer):
    """`bytes_per_second` 0 is an endless line."""

    def __init__(self, hub: Hub, clock: Clock, log: Logger, bytes_per_second: float) -> None:
        self._hub, self._clock, self._log = hub, clock, log
        self._rate = bytes_per_second
        self.transferred_bytes = 0

    async def Resolve(self, request: pb.ResolveRequest, context: Context) -> pb.ResolveResponse:
        try:
            reference, image = self._hub.resolve(request.name)
        except Refusal as refusal:
            with trace.scope(_cause(context)):
                self._log.info("Refused an image", image=request.name[:NAME_LENGTH_MAX], reason=refusal.kind)
            _refuse(context, refusal)
            return pb.ResolveResponse()
        return pb.ResolveResponse(reference=reference, digest=image.digest, manifest=_manifest(image))

    async def Pull(self, request: pb.PullRequest, context: Context) -> AsyncIterator[pb.PullResponse]:
        try:
            layers = [self._hub.layer(request.reference, digest) for digest in request.layers[:LAYERS_MAX]]
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
            yield pb.PullResponse(layer=layer.digest, transferred=layer.size, content=_content(layer))

    async def Push(self, request: pb.PushRequest, context: Context) -> pb.PushResponse:
        image = _pushed(request.manifest)
        try:
            reference = self._hub.push(request.name, image)
        except Refusal as refusal:
            _refuse(context, refusal)
            return pb.PushResponse()
        self._log.info("Stored an image", image=reference, digest=image.digest)
        return pb.PushResponse(digest=image.digest)

    async def Catalogue(self, request: pb.CatalogueRequest, context: Context) -> pb.CatalogueResponse:
        names = sorted(self._hub.names().items())
        return pb.CatalogueResponse(
            repositories=[pb.Repository(name=name, tags=tags) for name, tags in names]
        )


def _cause(context: Context) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == "traceparent":
            return value if isinstance(value, str) else value.decode()
    return ""


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


def _content(layer: StoredLayer) -> pb.Layer:
    return pb.Layer(digest=layer.digest, size=layer.size, files=layer.files, executables=layer.executables)


def _pushed(manifest: pb.Manifest) -> StoredImage:
    config = manifest.config
    layers = tuple(
        StoredLayer(layer.digest, layer.size, dict(layer.files), tuple(layer.executables))
        for layer in manifest.layers
    )
    return StoredImage(
        digest=digest_of({"config": manifest.config_digest, "layers": [layer.digest for layer in layers]}),
        config_digest=manifest.config_digest,
        layers=layers,
        entrypoint=tuple(config.entrypoint),
        cmd=tuple(config.cmd),
        env=tuple(config.env),
        working_dir=config.working_dir,
        user=config.user,
        ports=tuple(config.exposed_ports),
        stop_signal=config.stop_signal,
        labels=dict(config.labels),
        behaviour=manifest.behaviour,
        created=config.created,
    )
