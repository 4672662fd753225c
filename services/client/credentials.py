"""Who a client is on the wire: the files of its certificate, and of the CA that it trusts.

    FOLDER/ca.crt             whose certificates servers must show
    FOLDER/NAME.crt, .key     what the client shows

The people's tools (`ok`, `orrery`) are the administrator: they find the folder beside the cluster that they
talk to, `$ORRERY_HOME/keys`, or where ORRERY_KEYS says. No such files: a cluster that takes anybody.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import grpc
    import grpc.aio

CA_CERTIFICATE = "ca.crt"
ADMIN = "admin"
# By this name every kubelet is asked for, whatever its address: a node's certificate bears it.
KUBELET_SERVER_NAME = "kubelet"


@dataclass(frozen=True, slots=True)
class Credentials:
    """`metadata` goes with every call: whose token it bears, in whose name it is to be done."""

    authority: Path
    certificate: Path
    key: Path
    metadata: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, folder: Path, name: str) -> Credentials | None:
        """None where the folder has no such certificate."""
        files = folder / CA_CERTIFICATE, folder / f"{name}.crt", folder / f"{name}.key"
        return cls(*files) if all(file.exists() for file in files) else None

    def for_channel(self) -> grpc.ChannelCredentials:
        """OSError when a file cannot be read."""
        import grpc

        channel = grpc.ssl_channel_credentials(
            self.authority.read_bytes(), self.key.read_bytes(), self.certificate.read_bytes()
        )
        if not self.metadata:
            return channel
        metadata = self.metadata

        class Tell(grpc.AuthMetadataPlugin):
            def __call__(self, context: Any, callback: Any) -> None:
                callback(metadata, None)

        return grpc.composite_channel_credentials(channel, grpc.metadata_call_credentials(Tell()))


def of_administrator(home: Path, environ: Mapping[str, str] = os.environ) -> Credentials | None:
    """For the cluster of that home; None where it takes anybody."""
    try:
        record = json.loads((home / "cluster.json").read_text())
    except (OSError, ValueError):
        record = {"mutual_tls": True}  # none of this machine's launcher: what keys there are decide
    if not isinstance(record, dict) or not record.get("mutual_tls"):
        return None
    return Credentials.of(Path(environ.get("ORRERY_KEYS") or home / "keys"), ADMIN)


def open_channel(
    address: str,
    credentials: Credentials | None,
    options: Sequence[tuple[str, Any]] = (),
    *,
    server_name: str = "",
) -> grpc.aio.Channel:
    """Not connected yet. `server_name`: whose certificate is asked for, where not the address's own."""
    import grpc.aio

    if credentials is None:
        return grpc.aio.insecure_channel(address, options=tuple(options))
    named = (("grpc.ssl_target_name_override", server_name),) if server_name else ()
    return grpc.aio.secure_channel(address, credentials.for_channel(), options=(*options, *named))
