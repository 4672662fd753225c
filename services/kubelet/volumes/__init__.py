"""Volumes: what each one holds, where it lies on the node, and how a container mounts it.

`payload` decides which files a volume shows and is pure; `atomic`, `empty_dir`, `host_path` and
`subpath` put them where the runtime finds them by path, as on a real node; `claims` follows a claim
to its PersistentVolume; `VolumeManager` does all that for the Pods of one node.
"""

from services.kubelet.volumes.directory import PodDirectory, plugin_of, remove_orphans
from services.kubelet.volumes.manager import MountFailure, VolumeManager

__all__ = ["MountFailure", "PodDirectory", "VolumeManager", "plugin_of", "remove_orphans"]
