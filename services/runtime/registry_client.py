"""The registry over gRPC, as `images.Registry`. The only module here that knows registry.v1."""

from __future__ import annotations

import asyncio
import json

import grpc.aio

from services.machinery import trace
from services.machinery.image_names import repository_of
from services.pb.registry.v1 import registry_pb2 as pb
from services.pb.registry.v1.registry_pb2_grpc import RegistryServiceStub
from services.runtime.filesystem import DIRECTORY, EMPTY, FILE, LINK, Entry
from services.runtime.images import LayerContent, RegistryRefusal, RegistryUnreachable
from services.runtime.model import Image, Layer

KINDS = {
    grpc.StatusCode.NOT_FOUND: "missing-tag",
    grpc.StatusCode.PERMISSION_DENIED: "denied",
    grpc.StatusCode.UNAUTHENTICATED: "unauthorized",
    grpc.StatusCode.FAILED_PRECONDITION: "no-platform",
    grpc.StatusCode.INVALID_ARGUMENT: "invalid",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "limited",
}
PROGRAM = b"\x7fELF"  # all that there is inside an emulated binary
ENTRY_KINDS = {pb.FILE_KIND_DIRECTORY: DIRECTORY, pb.FILE_KIND_LINK: LINK}
MESSAGE_BYTES_MAX = 64 * 1024 * 1024


class RegistryClient:
    """Use as an async context manager. Connects when first asked, and again whenever it must."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._channel = grpc.aio.insecure_channel(
            address,
            options=(
                ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
                # A registry that is back is noticed by the next attempt, not minutes later.
                ("grpc.max_reconnect_backoff_ms", 1_000),
                ("grpc.use_local_subchannel_pool", 1),
            ),
        )
        self._stub = RegistryServiceStub(self._channel)
        self._asked: dict[tuple[str, tuple[str, str]], asyncio.Future[Image]] = {}

    async def __aenter__(self) -> RegistryClient:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._channel.close(None)

    async def resolve(self, reference: str, credentials: tuple[str, str]) -> Image:
        """Machines that ask for one name at the same time share one question."""
        key = (reference, credentials)
        asked = self._asked.get(key)
        if asked is None:
            asked = self._asked[key] = asyncio.ensure_future(self._resolve(reference, credentials))
            asked.add_done_callback(lambda _: self._asked.pop(key, None))
        return await asyncio.shield(asked)

    async def _resolve(self, reference: str, credentials: tuple[str, str]) -> Image:
        try:
            answer = await self._stub.Resolve(
                pb.ResolveRequest(name=reference, credentials=_credentials(credentials)), metadata=_cause()
            )
        except grpc.aio.AioRpcError as error:
            raise self._fault(error) from error
        return _image(reference, answer)

    async def fetch(
        self, reference: str, digests: tuple[str, ...], credentials: tuple[str, str]
    ) -> dict[str, LayerContent]:
        request = pb.PullRequest(reference=reference, layers=digests, credentials=_credentials(credentials))
        contents: dict[str, LayerContent] = {}
        try:
            async for piece in self._stub.Pull(request, metadata=_cause()):
                if piece.HasField("content"):
                    contents[piece.layer] = _content(piece.content)
        except grpc.aio.AioRpcError as error:
            raise self._fault(error) from error
        return contents

    def _fault(self, error: grpc.aio.AioRpcError) -> Exception:
        kind = KINDS.get(error.code())
        if kind is not None:
            return RegistryRefusal(kind, error.details() or "")
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            return RegistryUnreachable(self._address, "connection refused")
        return RegistryRefusal("broken", error.details() or "unexpected status from HEAD request: 500")


def _cause() -> tuple[tuple[str, str], ...]:
    cause = trace.current()
    return (("traceparent", cause),) if cause else ()


def _credentials(pair: tuple[str, str]) -> pb.Credentials | None:
    return pb.Credentials(username=pair[0], password=pair[1]) if any(pair) else None


def _image(reference: str, answer: pb.ResolveResponse) -> Image:
    manifest, config = answer.manifest, answer.manifest.config
    return Image(
        id=manifest.config_digest,
        digest=answer.digest,
        repository=repository_of(reference),
        size=sum(layer.size for layer in manifest.layers),
        layers=tuple(Layer(layer.digest, layer.size) for layer in manifest.layers),
        tree=EMPTY,
        behaviour=json.loads(manifest.behaviour) if manifest.behaviour else {},
        entrypoint=tuple(config.entrypoint),
        cmd=tuple(config.cmd),
        env=tuple((name, value) for name, _, value in (entry.partition("=") for entry in config.env)),
        working_dir=config.working_dir or "/",
        user=config.user,
        ports=tuple(int(port.partition("/")[0]) for port in config.exposed_ports),
        stop_signal=config.stop_signal or "SIGTERM",
    )


def _shared(content: bytes) -> bytes:
    """Binaries are all alike here, and many: one object stands for their bytes."""
    return PROGRAM if content == PROGRAM else content


def _content(layer: pb.Layer) -> LayerContent:
    files: dict[str, Entry] = {}
    removed: set[str] = set()
    opaque: set[str] = set()
    for file in layer.files:
        if file.kind == pb.FILE_KIND_REMOVED:
            removed.add(file.path)
        elif file.kind == pb.FILE_KIND_OPAQUE:
            opaque.add(file.path)
        else:
            kind = ENTRY_KINDS.get(file.kind, FILE)
            files[file.path] = Entry(
                kind, file.mode, file.uid, file.gid, data=_shared(file.content), target=file.target
            )
    return LayerContent(files, frozenset(removed), frozenset(opaque))
