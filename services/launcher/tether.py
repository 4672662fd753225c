"""Starts a program that the kernel kills when its parent dies, however the parent dies (Linux).

    python -S tether.py PARENT_PID PROGRAM [ARGUMENT ...]

A program of its own rather than a function between fork and exec: the parent may have threads
(gRPC's among them), and whatever runs in a fork of such a process may hang or crash. Elsewhere
than on Linux the program starts untethered, and ends when it next writes to its closed log.
"""

import os
import sys
from collections.abc import Sequence

SIGKILL = 9
PR_SET_PDEATHSIG = 1


def tethered(argv: Sequence[str]) -> tuple[str, ...]:
    """The command that runs `argv` so that it dies with the calling process."""
    if sys.platform != "linux":
        return tuple(argv)
    return (sys.executable, "-S", __file__, str(os.getpid()), *argv)


def main(parent: int, argv: Sequence[str]) -> None:
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL)
    if os.getppid() != parent:  # it died before the tether held
        sys.exit(1)
    try:
        os.execvp(argv[0], list(argv))
    except OSError as error:
        sys.exit(f"cannot start {argv[0]}: {error.strerror}")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
