"""`orrery etcd`: looks into the store with another client than the API server's.

    python -m services.launcher.witness 127.0.0.1:2379 ls|get|watch KEY

Uses `etcd3`, which shares no code with our own etcd client: what it shows is what is there. It
is also the independent witness of the tests. It must run in a process of its own, with
PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=python, which its old generated code needs.
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", "python")

import etcd3


def main(argv: list[str]) -> int:
    address, verb, key = argv
    host, _, port = address.rpartition(":")
    client = etcd3.client(host=host, port=int(port), timeout=10)
    try:
        return {"ls": ls, "get": get, "watch": watch}[verb](client, key)
    except (etcd3.exceptions.ConnectionFailedError, etcd3.exceptions.ConnectionTimeoutError):
        print(f"orrery: etcd does not answer at {address}", file=sys.stderr)
    except (KeyboardInterrupt, BrokenPipeError):
        return 130
    return 1


def ls(client: etcd3.Etcd3Client, prefix: str) -> int:
    for _, metadata in client.get_prefix(prefix, keys_only=True, sort_order="ascend"):
        print(metadata.key.decode())
    return 0


def get(client: etcd3.Etcd3Client, key: str) -> int:
    value, metadata = client.get(key)
    if metadata is None:
        print(f"orrery: no key {key!r} in the store", file=sys.stderr)
        return 1
    print(value.decode())
    return 0


def watch(client: etcd3.Etcd3Client, prefix: str) -> int:
    events, _ = client.watch_prefix(prefix)
    for event in events:
        kind = "DELETE" if isinstance(event, etcd3.events.DeleteEvent) else "PUT"
        print(f"{event.mod_revision} {kind} {event.key.decode()} {event.value.decode()}".rstrip(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
