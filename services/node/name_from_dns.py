"""A node's name under docker compose, where a container is told only a random hostname.

The engine's DNS knows better: the address of the second replica of the service `node` resolves to
`orrery-node-2.orrery_default`. Its end, `node-2`, is the same after a restart, so the node
comes back as itself.
"""

from __future__ import annotations

import re
import socket


def node_name(container: str) -> str:
    """`orrery-node-2.orrery_default` → `node-2`; a name of another form stays as it is."""
    label = container.partition(".")[0]
    match = re.search(r"[-_]([a-z]+)[-_](\d+)$", label)
    return f"{match[1]}-{match[2]}" if match else label


def name_from_dns() -> str:
    """Asks for the name of this machine's own address. OSError when nobody knows it."""
    address = socket.gethostbyname(socket.gethostname())
    return node_name(socket.gethostbyaddr(address)[0])
