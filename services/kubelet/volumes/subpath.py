"""subPath: one file or folder of a volume, chosen when the container starts.

Out of a volume that the kubelet fills, it is a second name of what was there at that moment: later
updates of the volume do not reach it, as upstream. Out of any other, it is the folder itself, made
if there is none. Upstream: pkg/volume/util/subpath.
"""

from __future__ import annotations

import os
import shutil

from services.kubelet.references import ConfigError
from services.kubelet.volumes.atomic import inside


def of_folder(base: str, part: str, mount: str, container: str) -> str:
    """The place of a part of a volume that can be written. ConfigError where it leaves its volume."""
    target = f"{base}/{inside(part)}"
    failed = f'failed to prepare subPath for volumeMount "{mount}" of container "{container}"'
    try:
        root = os.path.realpath(base)
        real = os.path.realpath(target)
        if real != root and not real.startswith(root + os.sep):
            raise ConfigError(failed)
        if not os.path.lexists(real):
            os.makedirs(real, 0o750, exist_ok=True)
        return real
    except OSError as error:
        raise ConfigError(failed) from error


def of_files(base: str, part: str, place: str, mount: str, container: str) -> str:
    """Gives what the volume shows there now a second name at `place`, and returns that."""
    source = os.path.realpath(f"{base}/{inside(part)}")
    try:
        if not source.startswith(os.path.realpath(base)):
            raise ConfigError(
                f'failed to prepare subPath for volumeMount "{mount}" of container "{container}"'
            )
        os.makedirs(os.path.dirname(place), exist_ok=True)
        if os.path.isdir(place):
            shutil.rmtree(place)
        elif os.path.lexists(place):
            os.unlink(place)
        if os.path.isdir(source):
            shutil.copytree(source, place, copy_function=os.link)
        elif os.path.exists(source):
            os.link(source, place)
        else:
            os.makedirs(place, 0o750)  # A key that is not there is an empty folder, to everyone's surprise.
        return place
    except OSError as error:
        what = f'failed to create subPath directory for volumeMount "{mount}" of container "{container}"'
        raise ConfigError(what) from error
