"""ImageLocality: prefers nodes that already have the images of the Pod's containers.

The larger the image the higher the score, scaled down while only few nodes have it: otherwise the first
node to pull an image would get all the Pods. Images on few nodes and below 23 MB do not count at all.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.scheduler.framework.interface import (
    NODE_SCORE_MAX,
    SUCCESS,
    CycleState,
    NodeList,
    PreScore,
    Score,
    Status,
)
from services.scheduler.framework.node_info import NodeInfo
from services.scheduler.framework.pod_info import PodInfo
from services.scheduler.framework.status import SKIP

BYTES_MIN = 23 * 1024 * 1024
BYTES_MAX_PER_CONTAINER = 1000 * 1024 * 1024


class ImageLocality(PreScore, Score):
    name = "ImageLocality"
    score_is_node_local = False  # how many other nodes have the image counts too

    def pre_score(
        self, state: CycleState, pod: PodInfo, feasible: Sequence[NodeInfo], nodes: NodeList
    ) -> Status:
        """Sums, per node, the images that are there: nodes without any never come up."""
        spec = pod.pod.spec
        containers = [*spec.init_containers, *spec.containers]
        sums: dict[str, int] = {}
        for container in containers:
            holders = nodes.images.get(normalized(container.image or ""), {})
            for name, size in holders.items():
                sums[name] = sums.get(name, 0) + int(size * (len(holders) / len(nodes)))
        most = BYTES_MAX_PER_CONTAINER * len(containers)
        scores = {
            name: NODE_SCORE_MAX * (min(total, most) - BYTES_MIN) // (most - BYTES_MIN)
            for name, total in sums.items()
            if total > BYTES_MIN
        }
        if not scores:
            return SKIP
        state[self.name] = scores
        return SUCCESS

    def score(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> int:
        scores: dict[str, int] = state[self.name]
        return scores.get(node.name, 0)


def normalized(image: str) -> str:
    """`nginx` as nodes report it: with a tag."""
    return image if image.rfind(":") > image.rfind("/") else f"{image}:latest"
