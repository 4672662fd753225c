"""The list of controllers, and how one process runs them.

All share one client, one set of informers and one event queue. The garbage collector
comes last: of kinds that nobody else reads it keeps metadata only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from services.client.client import Client
from services.client.controller import ControllerContext
from services.client.informer import InformerFactory
from services.client.recorder import EventRecorder
from services.controller_manager.addons import AddonManager
from services.controller_manager.certificates.approving import ApprovingController
from services.controller_manager.certificates.cleaning import Cleaner
from services.controller_manager.certificates.signing import SigningController
from services.controller_manager.cluster_role_aggregation import ClusterRoleAggregation
from services.controller_manager.deployment.controller import DeploymentController
from services.controller_manager.disruption import DisruptionController
from services.controller_manager.endpoints.controller import EndpointsController
from services.controller_manager.endpoints.mirroring import EndpointSliceMirroring
from services.controller_manager.endpoints.slice_controller import EndpointSliceController
from services.controller_manager.garbage_collector.controller import GarbageCollector
from services.controller_manager.namespace.controller import NamespaceController
from services.controller_manager.node_ipam import CLUSTER_CIDR, NodeIpamController
from services.controller_manager.node_lifecycle.controller import (
    MONITOR_GRACE_SECONDS,
    NodeLifecycleController,
)
from services.controller_manager.persistent_volume.binder import PersistentVolumeController
from services.controller_manager.persistent_volume.ephemeral import EphemeralVolumeController
from services.controller_manager.persistent_volume.hostpath import HostPathStorage
from services.controller_manager.persistent_volume.protection import ClaimProtection, VolumeProtection
from services.controller_manager.pod_gc import TERMINATED_PODS_MAX, PodGarbageCollector
from services.controller_manager.replicaset import ReplicaSetController
from services.controller_manager.replication_controller import ReplicationManager
from services.controller_manager.resource_quota import ResourceQuotaController
from services.controller_manager.root_ca import RootCaPublisher
from services.controller_manager.service_account import ServiceAccountController
from services.controller_manager.service_account_tokens import TokenController
from services.controller_manager.taint_eviction import TaintEvictionController
from services.controller_manager.ttl import TtlController
from services.process.run import Process

COMPONENT = "kube-controller-manager"


class Running(Protocol):
    async def run(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user can set."""

    node_monitor_grace_seconds: float = MONITOR_GRACE_SECONDS
    cluster_cidr: str = CLUSTER_CIDR
    terminated_pods_max: int = TERMINATED_PODS_MAX
    addons: str = ""  # folder of manifests; empty: the cluster brings nothing along
    signing: tuple[Path, Path] | None = None  # the CA's certificate and key; None: nothing is signed
    root_ca: str = ""  # the certificate itself, in PEM; empty: there is none to publish


Make = Callable[[ControllerContext, Settings], Running]


def _signing(context: ControllerContext, to: Settings) -> Running:
    assert to.signing is not None
    return SigningController(context, *to.signing)


# By upstream's names, which --controllers takes.
CONTROLLERS: dict[str, Make] = {
    "deployment-controller": lambda context, _: DeploymentController(context),
    "replicaset-controller": lambda context, _: ReplicaSetController(context),
    "replicationcontroller-controller": lambda context, _: ReplicationManager(context),
    "endpoints-controller": lambda context, _: EndpointsController(context),
    "endpointslice-controller": lambda context, _: EndpointSliceController(context),
    "endpointslice-mirroring-controller": lambda context, _: EndpointSliceMirroring(context),
    "node-lifecycle-controller": lambda context, to: NodeLifecycleController(
        context, to.node_monitor_grace_seconds
    ),
    "taint-eviction-controller": lambda context, _: TaintEvictionController(context),
    "node-ipam-controller": lambda context, to: NodeIpamController(context, to.cluster_cidr),
    "ttl-controller": lambda context, _: TtlController(context),
    "namespace-controller": lambda context, _: NamespaceController(context),
    "serviceaccount-controller": lambda context, _: ServiceAccountController(context),
    "serviceaccount-token-controller": lambda context, to: TokenController(context, to.root_ca),
    "disruption-controller": lambda context, _: DisruptionController(context),
    "clusterrole-aggregation-controller": lambda context, _: ClusterRoleAggregation(context),
    "root-ca-certificate-publisher-controller": lambda context, to: RootCaPublisher(context, to.root_ca),
    "pod-garbage-collector-controller": lambda context, to: PodGarbageCollector(
        context, to.terminated_pods_max
    ),
    "persistentvolume-binder-controller": lambda context, _: PersistentVolumeController(context),
    "persistentvolumeclaim-protection-controller": lambda context, _: ClaimProtection(context),
    "persistentvolume-protection-controller": lambda context, _: VolumeProtection(context),
    "ephemeral-volume-controller": lambda context, _: EphemeralVolumeController(context),
    "hostpath-provisioner": lambda context, _: HostPathStorage(context),
    "certificatesigningrequest-signing-controller": _signing,
    "certificatesigningrequest-approving-controller": lambda context, _: ApprovingController(context),
    "certificatesigningrequest-cleaner-controller": lambda context, _: Cleaner(context),
    "resourcequota-controller": lambda context, _: ResourceQuotaController(context),
    "garbage-collector-controller": lambda context, _: GarbageCollector(context),
    "addon-manager": lambda context, to: AddonManager(context.client, context.clock, context.log, to.addons),
}
NAMES = tuple(CONTROLLERS)
_SIGNING = "certificatesigningrequest-signing-controller"
_ROOT_CA = "root-ca-certificate-publisher-controller"


def chosen(words: Sequence[str]) -> list[str]:
    """The names that `--controllers` means: `*` is all, `foo` adds one, `-foo` leaves one out.

    ValueError names a controller that does not exist.
    """
    for word in words:
        if word != "*" and word.removeprefix("-") not in NAMES:
            raise ValueError(
                f"there is no controller {word.removeprefix('-')!r}; there are {', '.join(NAMES)}"
            )
    return [name for name in NAMES if f"-{name}" not in words and ("*" in words or name in words)]


async def run_controllers(client: Client, process: Process, settings: Settings, names: Sequence[str]) -> None:
    """Runs these controllers until cancelled, or until one of them fails."""
    informers = InformerFactory(client, process.clock, process.random, process.log)
    recorder = EventRecorder(client, process.clock, COMPONENT, log=process.log)
    shared = ControllerContext(client, informers, recorder, process.clock, process.random, process.log)
    if not settings.root_ca and _ROOT_CA in names:
        names = [name for name in names if name != _ROOT_CA]
        process.log.info("Not publishing a root CA: no --root-ca-file was given")
    if settings.signing is None and _SIGNING in names:
        names = [name for name in names if name != _SIGNING]
        process.log.info("Not signing certificates: no --cluster-signing-cert-file was given")
    made = [(name, make(shared, settings)) for name, make in CONTROLLERS.items() if name in names]
    process.log.info("Starting the controllers", controllers=len(made))
    async with asyncio.TaskGroup() as group:
        group.create_task(recorder.run(), name="recorder")
        group.create_task(informers.run(), name="informers")
        for name, controller in made:
            group.create_task(controller.run(), name=name)
        await informers.wait_synced()
        process.log.info("The caches are filled: controllers are at work")
