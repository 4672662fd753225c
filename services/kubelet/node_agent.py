"""The node's own objects: it registers, says how it is, and proves every ten seconds that it lives.

The proof is the Lease in `kube-node-lease`; the Node's status is written only when it changes, or
every five minutes. The Pod CIDR that the controller manager gives the node is handed to the
runtime; until then the network, and so the node, is not ready. What fails is tried again at the
next beat. Upstream: `kubelet_node_status.go`, `component-helpers/apimachinery/lease`.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

from msgspec.structs import replace

from services.api import errors, meta_v1
from services.api.coordination_v1 import Lease, LeaseSpec
from services.api.core_v1 import Node, ObjectReference
from services.api.errors import ApiError
from services.client.transport import PatchType
from services.kubelet import node_status
from services.kubelet.container_status import as_data
from services.kubelet.cri import CriError, RuntimeInfo
from services.kubelet.node_context import NOT_READY_NETWORK, NodeContext
from services.kubelet.node_status import Machine
from services.machinery.clock import rfc3339_micro

LEASE_NAMESPACE = "kube-node-lease"
LEASE_SECONDS = 40
RENEW_SECONDS = 10.0
RENEW_JITTER = 0.04
REPORT_SECONDS = 300.0
RETRY_SECONDS = 1.0
IMAGES_SETTLE_SECONDS = 5.0


class NodeAgent:
    """One node's."""

    def __init__(self, context: NodeContext, machine: Machine, port: int, boot_id: str = "") -> None:
        """`boot_id` is the machine's; without one each kubelet starts on a machine that was just booted."""
        self._context, self._machine, self._port = context, machine, port
        self._runtime = RuntimeInfo()
        self._boot = boot_id or str(uuid.UUID(int=context.random.getrandbits(128)))
        self._registered = False
        self._last_boot = ""  # of the Node as it was registered before
        self._giving = asyncio.Lock()
        self._given = ""  # the CIDR that the runtime has
        self._reported: dict[str, Any] = {}
        self._reported_at = 0.0
        self._lease: Lease | None = None
        self._cidr = ""
        self._stale_images = False
        self._reporting = asyncio.Lock()
        self._images: list[dict[str, Any]] = []

    async def start(self) -> None:
        """Registers, with retries until the runtime and the API server answer; then beats by itself."""
        while True:
            try:
                self._runtime = await self._context.cri.info()
                node = await self._register()
                break
            except (ApiError, CriError) as error:
                self._context.log.debug("Could not register yet", node=self._context.name, error=str(error))
                await self._context.clock.sleep(RETRY_SECONDS)
        self._event("Starting", "Starting kubelet.")
        self._event("NodeAllocatableEnforced", "Updated Node Allocatable limit across pods")
        if self._last_boot and self._last_boot != self._boot:
            text = f"Node {self._context.name} has been rebooted, boot id: {self._boot}"
            self._context.recorder.event(self.reference(), "Warning", "Rebooted", text)
            self._context.log.info("The node has been rebooted", kind="Node", name=self._context.name)
        self._context.node = node
        self._registered = True
        if node.spec.pod_cidr:
            # A node that comes back is ready at once, and need not say otherwise in between.
            self._cidr = node.spec.pod_cidr
            await self._give_cidr(self._cidr)
        await self.beat()

    def reference(self) -> ObjectReference:
        """As the kubelet's events name their node: by name in place of a uid."""
        return ObjectReference(kind="Node", name=self._context.name, uid=self._context.name)

    def _event(self, reason: str, message: str) -> None:
        self._context.recorder.event(self.reference(), "Normal", reason, message)

    # ---- Registration ------------------------------------------------------------------------

    async def _register(self) -> Node:
        context = self._context
        name = context.name
        wanted = {**node_status.labels(name, self._machine), **context.labels}
        annotations = {"volumes.kubernetes.io/controller-managed-attach-detach": "true"}
        metadata = meta_v1.ObjectMeta(name=name, labels=wanted, annotations=annotations)
        try:
            node = await context.client.create(Node(metadata=metadata))
            context.log.info("Registered the node", kind="Node", name=name)
        except ApiError as error:
            if not errors.is_already_exists(error):
                raise
            node = await context.client.get(Node, name)
            self._reported = {"conditions": as_data(node.status.conditions)}
            self._last_boot = (node.status.node_info.boot_id or "") if node.status.node_info else ""
            if any(node.metadata.labels.get(key) != value for key, value in wanted.items()):
                change = {"metadata": {"labels": wanted, "annotations": annotations}}
                node = await context.client.patch(Node, name, "", change)
            context.log.info("Found the node registered already", kind="Node", name=name)
        return node

    # ---- The Node as others change it --------------------------------------------------------

    def node_seen(self, node: Node) -> None:
        """The API server shows the Node: it may have been cordoned, or given its Pod CIDR."""
        context = self._context
        before, context.node = context.node, node
        if not self._registered:
            return
        if before is not None and bool(before.spec.unschedulable) != bool(node.spec.unschedulable):
            reason = "NodeNotSchedulable" if node.spec.unschedulable else "NodeSchedulable"
            self._event(reason, f"Node {context.name} status is now: {reason}")
        cidr = node.spec.pod_cidr or ""
        if cidr and cidr != self._cidr:
            self._cidr = cidr
            context.group.create_task(self._give_cidr(cidr))

    async def _give_cidr(self, cidr: str) -> None:
        """Once for each range, whoever comes first with it: the registration or the watch."""
        async with self._giving:
            if cidr != self._given:
                await self._hand_over(cidr)

    async def _hand_over(self, cidr: str) -> None:
        context = self._context
        try:
            await context.cri.set_pod_cidr(cidr)
            context.network_message = (await context.cri.info()).network_message
        except CriError as error:
            self._cidr = ""
            context.log.warning("The runtime did not take the Pod CIDR", node=context.name, error=str(error))
            return
        self._given = cidr
        context.log.info("Got the range of its Pods' addresses", kind="Node", name=context.name, cidr=cidr)
        await self.report()

    def runtime_restarted(self) -> None:
        """The runtime was away: it knows no CIDR, and none of the images are certain."""
        self._context.network_message = NOT_READY_NETWORK
        self._given = ""
        cidr, self._cidr = self._cidr, ""
        if cidr:
            self._cidr = cidr
            self._context.group.create_task(self._give_cidr(cidr))

    # ---- Status ------------------------------------------------------------------------------

    def images_changed(self) -> None:
        """An image was pulled; the list is written once things have settled."""
        if self._stale_images:
            return
        self._stale_images = True
        context = self._context
        context.timers.after(IMAGES_SETTLE_SECONDS, lambda: _task(context, self._report_images()))

    async def _report_images(self) -> None:
        self._stale_images = False
        try:
            self._images = node_status.images(await self._context.cri.images())
        except CriError:
            return  # The next pull, or the next full report, asks again.
        await self.report()

    async def report(self) -> None:
        """Writes the Node's status if it has changed, or not been written for five minutes."""
        async with self._reporting:
            await self._report()

    async def _report(self) -> None:
        context = self._context
        now = context.clock.monotonic()
        status, changed = self._status()
        due = now - self._reported_at >= REPORT_SECONDS
        if not due and node_status.same_but_for_heartbeats(self._reported, status):
            return
        try:
            await context.client.patch(
                Node,
                context.name,
                "",
                {"status": status},
                patch_type=PatchType.STRATEGIC,
                subresource="status",
            )
        except ApiError as error:
            if errors.is_not_found(error):
                await self._register_again()
            context.log.debug("Could not write the node's status", node=context.name, error=error.message)
            return
        self._reported, self._reported_at = status, now
        for reason in changed:
            self._event(reason, f"Node {context.name} status is now: {reason}")
            if reason in ("NodeReady", "NodeNotReady"):
                word = "ready" if reason == "NodeReady" else f"not ready: {self._not_ready()}"
                context.log.info(f"The node is {word}", kind="Node", name=context.name)

    async def _register_again(self) -> None:
        self._reported = {}
        try:
            self.node_seen(await self._register())
        except ApiError as error:
            self._context.log.debug("Could not register again", node=self._context.name, error=error.message)

    def _status(self) -> tuple[dict[str, Any], list[str]]:
        context = self._context
        old = self._reported.get("conditions", [])
        not_ready = self._not_ready()
        found, changed = node_status.conditions(not_ready, old, context.clock.now(), context.pressure)
        return {
            "addresses": [
                {"address": context.ip, "type": "InternalIP"},
                {"address": context.name, "type": "Hostname"},
            ],
            "allocatable": context.allocatable,
            "capacity": context.capacity,
            "conditions": found,
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self._port}},
            "features": {"supplementalGroupsPolicy": True},
            "images": self._images,
            "runtimeHandlers": node_status.RUNTIME_HANDLERS,
            "nodeInfo": node_status.node_info(context.name, self._machine, self._runtime, self._boot),
        }, changed

    def _not_ready(self) -> str:
        """Why it cannot run Pods; several reasons as Go prints an aggregate of errors."""
        context = self._context
        reasons = [context.network_message, "node is shutting down" if context.shutting_down else ""]
        found = [reason for reason in reasons if reason]
        return found[0] if len(found) == 1 else f"[{', '.join(found)}]" if found else ""

    # ---- Heartbeat ---------------------------------------------------------------------------

    async def beat(self) -> None:
        """One beat; the next one is set before anything can fail."""
        context = self._context
        delay = RENEW_SECONDS * (1 + context.random.random() * RENEW_JITTER)
        context.timers.after(delay, lambda: _task(context, self.beat()))
        await self.report()
        try:
            self._lease = await self._renew()
        except ApiError as error:
            self._lease = None
            context.log.debug("Could not renew the node's lease", node=context.name, error=error.message)

    async def _renew(self) -> Lease:
        context = self._context
        now = rfc3339_micro(context.clock.now())
        lease = self._lease
        if lease is None:
            try:
                lease = await context.client.get(Lease, context.name, LEASE_NAMESPACE)
            except ApiError as error:
                if not errors.is_not_found(error):
                    raise
                return await context.client.create(self._new_lease(now))
        spec = replace(
            lease.spec, holder_identity=context.name, lease_duration_seconds=LEASE_SECONDS, renew_time=now
        )
        renewed = await context.client.update(replace(lease, spec=spec))
        context.log.debug("Renewed the node's lease", node=context.name)
        return renewed

    def _new_lease(self, now: str) -> Lease:
        context = self._context
        owners = []
        if context.node is not None and context.node.metadata.uid:
            owners.append(
                meta_v1.OwnerReference(
                    api_version="v1", kind="Node", name=context.name, uid=context.node.metadata.uid
                )
            )
        metadata = meta_v1.ObjectMeta(name=context.name, namespace=LEASE_NAMESPACE, owner_references=owners)
        spec = LeaseSpec(holder_identity=context.name, lease_duration_seconds=LEASE_SECONDS, renew_time=now)
        return Lease(metadata=metadata, spec=spec)


def _task(context: NodeContext, work: Any) -> None:
    context.group.create_task(work)
