"""The default profile: which plugins run, in which order, and how much their scores count. A plain tuple.

Upstream: `apis/config/v1/default_plugins.go`. What is missing there needs resource claims, Pod
affinity, or volumes of clouds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from services.api.core_v1 import Pod
from services.machinery.labels import Selector
from services.scheduler.framework.runtime import Enabled
from services.scheduler.plugins.default_binder import DefaultBinder
from services.scheduler.plugins.default_preemption import DefaultPreemption
from services.scheduler.plugins.dynamic_resources import DynamicResources
from services.scheduler.plugins.image_locality import ImageLocality
from services.scheduler.plugins.node_affinity import NodeAffinity
from services.scheduler.plugins.node_name import NodeName
from services.scheduler.plugins.node_ports import NodePorts
from services.scheduler.plugins.node_resources_balanced_allocation import NodeResourcesBalancedAllocation
from services.scheduler.plugins.node_resources_fit import NodeResourcesFit
from services.scheduler.plugins.node_unschedulable import NodeUnschedulable
from services.scheduler.plugins.pod_topology_spread import PodTopologySpread
from services.scheduler.plugins.priority_sort import PrioritySort
from services.scheduler.plugins.scheduling_gates import SchedulingGates
from services.scheduler.plugins.taint_toleration import TaintToleration
from services.scheduler.plugins.volume_binding import VolumeBinding
from services.scheduler.volumes import Volumes

SCHEDULER_NAME = "default-scheduler"


def default_profile(
    bind: Callable[[Pod, str], Awaitable[None]],
    owners_selector: Callable[[Pod], Selector],
    volumes: Volumes,
) -> tuple[Enabled, ...]:
    """`bind` writes a Binding; `owners_selector` selects the Pods of whatever owns a Pod."""
    return (
        Enabled(SchedulingGates()),
        Enabled(PrioritySort()),
        Enabled(NodeUnschedulable()),
        Enabled(NodeName()),
        Enabled(TaintToleration(), weight=3),
        Enabled(NodeAffinity(), weight=2),
        Enabled(NodePorts()),
        Enabled(NodeResourcesFit(), weight=1),
        Enabled(VolumeBinding(volumes)),
        Enabled(PodTopologySpread(owners_selector), weight=2),
        Enabled(DynamicResources()),
        Enabled(DefaultPreemption()),
        Enabled(NodeResourcesBalancedAllocation(), weight=1),
        Enabled(ImageLocality(), weight=1),
        Enabled(DefaultBinder(bind)),
    )
