"""What a quota's status says is used, and when it is counted again."""

from __future__ import annotations

from msgspec.structs import replace

from services.api.core_v1 import (
    ConfigMap,
    PersistentVolumeClaim,
    PersistentVolumeClaimSpec,
    Pod,
    PodStatus,
    ResourceQuota,
    ResourceQuotaSpec,
    ResourceRequirements,
    Service,
    ServicePort,
    ServiceSpec,
    VolumeResourceRequirements,
)
from services.api.meta_v1 import ObjectMeta
from services.client.custom import metadata_class
from services.controller_manager.resource_quota import RESYNC_SECONDS
from tests.unit.controller_manager.conftest import Cluster
from tests.unit.controller_manager.objects import pod
from tests.unit.controller_manager.test_custom_kinds import WIDGETS, define, widget

CONTROLLER = "resourcequota-controller"


def meta(name: str) -> ObjectMeta:
    return ObjectMeta(name=name, namespace="default")


def quota(**spec: object) -> ResourceQuota:
    return ResourceQuota(metadata=meta("q"), spec=ResourceQuotaSpec(**spec))  # type: ignore[arg-type]


def using(name: str, cpu: str = "", memory: str = "") -> Pod:
    found = pod(name)
    amounts = {key: value for key, value in (("cpu", cpu), ("memory", memory)) if value}
    container = replace(
        found.spec.containers[0], resources=ResourceRequirements(requests=amounts, limits=amounts)
    )
    return replace(found, spec=replace(found.spec, containers=[container]), status=PodStatus(phase="Running"))


def used(cluster: Cluster) -> dict[str, str]:
    return dict(cluster.api.one(ResourceQuota, "q", "default").status.used)


async def test_everything_that_counts(cluster: Cluster) -> None:
    hard = dict.fromkeys(
        (
            "pods",
            "requests.cpu",
            "limits.memory",
            "services",
            "services.nodeports",
            "services.loadbalancers",
            "persistentvolumeclaims",
            "requests.storage",
            "fast.storageclass.storage.k8s.io/requests.storage",
            "configmaps",
            "count/configmaps",
            "count/deployments.apps",
            "count/unheard-of.example.com",
        ),
        "9",
    )
    cluster.api.put(quota(hard=hard))
    cluster.api.put(using("a", "500m", "1Gi"))
    cluster.api.put(using("b", "700m", "512Mi"))
    done = using("c", "1", "1Gi")
    cluster.api.put(replace(done, status=PodStatus(phase="Succeeded")))
    ports = [ServicePort(port=1), ServicePort(port=2)]
    cluster.api.put(Service(metadata=meta("s"), spec=ServiceSpec(type="LoadBalancer", ports=ports)))
    asked = VolumeResourceRequirements(requests={"storage": "3Gi"})
    spec = PersistentVolumeClaimSpec(storage_class_name="fast", resources=asked)
    cluster.api.put(PersistentVolumeClaim(metadata=meta("v"), spec=spec))
    cluster.api.put(ConfigMap(metadata=meta("m")))
    async with cluster.running(CONTROLLER):
        assert used(cluster) == {
            "pods": "2",
            "requests.cpu": "1200m",
            "limits.memory": "1536Mi",
            "services": "1",
            "services.nodeports": "2",
            "services.loadbalancers": "1",
            "persistentvolumeclaims": "1",
            "requests.storage": "3Gi",
            "fast.storageclass.storage.k8s.io/requests.storage": "3Gi",
            "configmaps": "1",
            "count/configmaps": "1",
            "count/deployments.apps": "0",
        }
        assert cluster.api.one(ResourceQuota, "q", "default").status.hard == hard


async def test_what_goes_is_given_back(cluster: Cluster) -> None:
    cluster.api.put(quota(hard={"pods": "5", "configmaps": "5"}))
    for name in ("a", "b", "c"):
        cluster.api.put(using(name))
    cluster.api.put(ConfigMap(metadata=meta("m")))
    async with cluster.running(CONTROLLER):
        assert used(cluster) == {"configmaps": "1", "pods": "3"}
        cluster.api.remove(Pod, "a", "default")
        await cluster.quiet()
        assert used(cluster)["pods"] == "2"
        found = cluster.api.one(Pod, "b", "default")
        cluster.api.put(replace(found, status=PodStatus(phase="Failed")))
        await cluster.quiet()
        assert used(cluster)["pods"] == "1"
        cluster.api.remove(ConfigMap, "m", "default")
        await cluster.quiet()
        assert used(cluster)["configmaps"] == "0"


async def test_scopes_and_a_new_limit(cluster: Cluster) -> None:
    cluster.api.put(quota(hard={"pods": "5"}, scopes=["BestEffort"]))
    cluster.api.put(using("a"))
    cluster.api.put(using("b", cpu="1"))
    async with cluster.running(CONTROLLER):
        assert used(cluster) == {"pods": "1"}
        found = cluster.api.one(ResourceQuota, "q", "default")
        cluster.api.put(replace(found, spec=replace(found.spec, hard={"pods": "7"})))
        await cluster.quiet()
        assert cluster.api.one(ResourceQuota, "q", "default").status.hard == {"pods": "7"}


async def test_custom_resources_are_counted_once_they_are_known(cluster: Cluster) -> None:
    cluster.api.put(quota(hard={"count/widgets.example.com": "5"}))
    async with cluster.running(CONTROLLER):
        assert used(cluster) == {}
        define(cluster)
        await cluster.quiet()
        assert used(cluster) == {"count/widgets.example.com": "0"}
        for name in ("a", "b"):
            widget(cluster, name)
        await cluster.clock.advance(RESYNC_SECONDS)
        await cluster.quiet()
        assert used(cluster) == {"count/widgets.example.com": "2"}
        cluster.api.remove(metadata_class(WIDGETS), "a", "default")
        await cluster.quiet()
        assert used(cluster) == {"count/widgets.example.com": "1"}
