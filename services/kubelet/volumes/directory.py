"""Where a Pod's files lie on its node: names and places, as upstream's kubelet has them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from services.api.core_v1 import Volume
from services.kubelet.references import ConfigError

# The plugins of this node, by the field of a Pod's volume.
PLUGINS = (
    "empty_dir",
    "config_map",
    "secret",
    "downward_api",
    "projected",
    "host_path",
    "persistent_volume_claim",
    "ephemeral",
    "nfs",
    "csi",
)
_NAMES = {
    "empty_dir": "empty-dir",
    "config_map": "configmap",
    "downward_api": "downward-api",
    "host_path": "host-path",
}
# What the kubelet fills, and nobody else may write.
FILLED = ("config_map", "secret", "downward_api", "projected")


@dataclass(frozen=True, slots=True)
class PodDirectory:
    """`<root>/pods/<uid>` and what is below it."""

    root: Path
    uid: str

    @property
    def path(self) -> str:
        return f"{self.root}/pods/{self.uid}"

    def volume(self, volume: Volume) -> str:
        plugin = plugin_of(volume)
        return f"{self.path}/volumes/kubernetes.io~{_NAMES.get(plugin, plugin)}/{volume.name}"

    def subpath(self, volume: str, container: str, index: int) -> str:
        """Of the n-th mount of a container: the one file or folder of a volume that it shows."""
        return f"{self.path}/volume-subpaths/{volume}/{container}/{index}"


def remove_orphans(root: Path, known: Collection[str]) -> list[str]:
    """Removes the folders of Pods that went while no kubelet was there. Their uids."""
    try:
        found = [name for name in os.listdir(f"{root}/pods") if name not in known]
    except FileNotFoundError:
        return []
    for uid in found:
        shutil.rmtree(f"{root}/pods/{uid}", ignore_errors=True)
    return found


def machine_path(root: Path, node: str, path: str) -> str:
    """A path of the emulated machine as it lies on the real one: always below the root directory."""
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    return "/".join([str(root), "machines", node or "machine", *parts])


def plugin_of(volume: Volume) -> str:
    """Which kind of volume it is. ConfigError for those that this node has no plugin for."""
    for plugin in PLUGINS:
        if getattr(volume, plugin) is not None:
            return plugin
    raise ConfigError("no volume plugin matched")
