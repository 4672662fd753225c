"""runtime.v1 ImageService over the machines of this process. An adapter, as cri.py."""

from __future__ import annotations

import base64

from services.machinery import trace
from services.pb.runtime.v1 import api_pb2 as pb
from services.pb.runtime.v1.api_pb2_grpc import ImageServiceServicer
from services.runtime import wire
from services.runtime.cri_calls import Context, Machines, answers, cause_of, node_of
from services.runtime.images import ImageStore
from services.runtime.model import RuntimeFault


class ImageService(ImageServiceServicer):
    def __init__(self, machines: Machines) -> None:
        self._machines = machines

    def _store(self, context: Context) -> ImageStore:
        return self._machines(node_of(context)).images

    @answers(pb.ListImagesResponse)
    async def ListImages(self, request: pb.ListImagesRequest, context: Context) -> pb.ListImagesResponse:
        store, wanted = self._store(context), request.filter.image.image
        found = [store.find(wanted)] if wanted else list(store.images.values())
        return pb.ListImagesResponse(images=[wire.image_message(store, image) for image in found if image])

    @answers(pb.ImageStatusResponse)
    async def ImageStatus(self, request: pb.ImageStatusRequest, context: Context) -> pb.ImageStatusResponse:
        store = self._store(context)
        image = store.find(request.image.image)
        if image is None:
            return pb.ImageStatusResponse()
        return pb.ImageStatusResponse(image=wire.image_message(store, image))

    @answers(pb.PullImageResponse)
    async def PullImage(self, request: pb.PullImageRequest, context: Context) -> pb.PullImageResponse:
        machine, name = self._machines(node_of(context)), request.image.image
        with trace.scope(cause_of(context)):
            try:
                image = await machine.images.pull(name, _credentials(request.auth))
            except RuntimeFault as fault:
                machine.log.info("Could not pull an image", node=machine.name, image=name, reason=str(fault))
                raise
            machine.log.info("Pulled an image", node=machine.name, image=name, bytes=image.size)
        return pb.PullImageResponse(image_ref=image.id)

    @answers(pb.RemoveImageResponse)
    async def RemoveImage(self, request: pb.RemoveImageRequest, context: Context) -> pb.RemoveImageResponse:
        self._store(context).remove(request.image.image)
        return pb.RemoveImageResponse()

    @answers(pb.ImageFsInfoResponse)
    async def ImageFsInfo(self, request: pb.ImageFsInfoRequest, context: Context) -> pb.ImageFsInfoResponse:
        machine = self._machines(node_of(context))
        usage = pb.FilesystemUsage(
            timestamp=machine.now(),
            fs_id=pb.FilesystemIdentifier(mountpoint="/var/lib/containerd"),
            used_bytes=pb.UInt64Value(value=machine.images.used_bytes()),
            inodes_used=pb.UInt64Value(value=100 * len(machine.images.images)),
        )
        return pb.ImageFsInfoResponse(image_filesystems=[usage], container_filesystems=[usage])


def _credentials(auth: pb.AuthConfig) -> tuple[str, str]:
    if auth.auth:
        try:
            user, _, password = base64.b64decode(auth.auth, validate=True).decode().partition(":")
        except ValueError:
            return "", ""
        return user, password
    return auth.username, auth.password
