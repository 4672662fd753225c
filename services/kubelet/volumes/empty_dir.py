"""emptyDir: a folder that lives as long as its Pod.

A Memory medium lies on the same disk: nothing of it outlives the Pod either way, and the runtime charges
it to the memory of the container that writes (runtime_config.py tells it which mounts these are). Limits of
others are not enforced on writing, as upstream: whoever evicts measures from time to time (eviction.py).
"""

from __future__ import annotations

import os

from services.kubelet.references import ConfigError


def make(directory: str) -> None:
    try:
        os.makedirs(directory, exist_ok=True)
        os.chmod(directory, 0o777)
    except OSError as error:
        raise ConfigError(f"cannot make the volume: {error.strerror}") from error
