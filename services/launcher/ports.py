"""Chooses the ports of a cluster on this machine: those of last time, or the usual ones, or any.

A port that is free when asked may be taken a moment later, since the process that is to have
it has yet to start, or was killed and will be started again. So the choice is written down, for a while
and as long as its cluster runs, under a lock, where other clusters of the same user look: else two would
share an API server without knowing. Who loses the race all the same gets a clear error from the process that
cannot listen.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from services.launcher.home import Home
from services.machinery.clock import Clock

RESERVED_SECONDS = 60.0  # more than a cluster takes to listen on all its ports
SPARE = range(27_500, 30_000)  # below node ports and the system's own

Reservation = tuple[float, str]  # when, and for which cluster


def choose(
    owner: str, wanted: Sequence[tuple[str, int]], former: Mapping[str, int], clock: Clock
) -> dict[str, int]:
    """A port for each name: the former one, else the preferred one, else any.

    `owner` tells clusters apart: what one reserved does not hinder itself. OSError when no port is free.
    """
    with _reservations(clock) as reserved:
        taken = {port for port, (_, holder) in reserved.items() if holder != owner}
        chosen = {name: free_port(former.get(name, preferred), taken) for name, preferred in wanted}
        now = clock.now().timestamp()
        reserved.update(dict.fromkeys(chosen.values(), (now, owner)))
    return chosen


def free_port(preferred: int, taken: set[int]) -> int:
    """`preferred` when nobody has it, else another that is free; added to `taken`.

    Not one that the system chooses: those it also gives to outgoing connections, which come and go.
    """
    start = os.getpid() * 7
    others = (SPARE.start + (start + step) % len(SPARE) for step in range(len(SPARE)))
    for candidate in (preferred, *others):
        if not candidate or candidate in taken:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            port = int(probe.getsockname()[1])
        taken.add(port)
        return port
    raise OSError("no free port on 127.0.0.1")


@contextmanager
def _reservations(clock: Clock) -> Iterator[dict[int, Reservation]]:
    """Ports that were chosen a short while ago or by clusters that run; what the block adds is kept."""
    path = Path(tempfile.gettempdir()) / f"orrery-{os.getuid()}-ports.json"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        reserved = _recent(file.read(), clock.now().timestamp())
        yield reserved
        file.seek(0)
        file.truncate()
        json.dump(reserved, file)


def _recent(text: str, now: float) -> dict[int, Reservation]:
    """What still counts; a file that a crash cut short counts as empty."""
    try:
        record = json.loads(text or "{}")
        entries = {int(port): (float(moment), str(owner)) for port, (moment, owner) in record.items()}
    except (ValueError, TypeError, AttributeError):
        return {}
    running = {owner for owner in {owner for _, owner in entries.values()} if _runs(owner)}
    return {
        port: (moment, owner)
        for port, (moment, owner) in entries.items()
        if owner in running or 0 <= now - moment < RESERVED_SECONDS
    }


def _runs(owner: str) -> bool:
    return Home(Path(owner)).control_socket.exists()
