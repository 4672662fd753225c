"""hostPath: a piece of the emulated machine, shared by all Pods of its node, checked for its type.

Upstream: `checkType` in pkg/volume/hostpath.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from services.kubelet.references import ConfigError

_CHECKS: dict[str, tuple[Callable[[int], bool], str]] = {
    "Directory": (stat.S_ISDIR, "a directory"),
    "DirectoryOrCreate": (stat.S_ISDIR, "a directory"),
    "File": (stat.S_ISREG, "a file"),
    "FileOrCreate": (stat.S_ISREG, "a file"),
    "Socket": (stat.S_ISSOCK, "a socket file"),
    "CharDevice": (stat.S_ISCHR, "a character device"),
    "BlockDevice": (stat.S_ISBLK, "a block device"),
}


def prepare(real: str, shown: str, kind: str) -> None:
    """`real` is where `shown`, a path of the emulated machine, lies. ConfigError in upstream's words."""
    try:
        if kind in ("", "DirectoryOrCreate") and not os.path.lexists(real):
            # Of no type at all, the runtime would make the folder, as container runtimes do.
            os.makedirs(real, 0o755, exist_ok=True)
        elif kind == "FileOrCreate" and not os.path.lexists(real):
            os.close(os.open(real, os.O_WRONLY | os.O_CREAT, 0o644))
        if not kind:
            return
        is_one, what = _CHECKS[kind]
        try:
            fits = is_one(os.stat(real).st_mode)
        except FileNotFoundError:
            fits = False
    except OSError as error:
        raise ConfigError(f"open {shown}: {(error.strerror or '').lower()}") from error
    if not fits:
        raise ConfigError(f"hostPath type check failed: {shown} is not {what}")
