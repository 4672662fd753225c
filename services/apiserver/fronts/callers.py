"""Who makes a gRPC call: the certificate of its connection says it, or the token that the call bears.

gRPC for Python either demands certificates of a whole port or asks for none. So the port demands one, and
what a call says of itself counts for more than what its connection does: a token, then whom it impersonates
(`impersonate-user`, `-group`, `-uid`, as HTTP has them in headers). A connection without a certificate can
only have come through the socket for health checks, and is nobody's. On a server without TLS, as tests have
it, everybody is the administrator.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.apiserver.authentication.users import AUTHENTICATED, MASTERS, User
from services.apiserver.fronts.gate import EXTRA, Gate, Impersonation, certified
from services.process.peers import Peer, Peers

ADMINISTRATOR = User("kubernetes-admin", (MASTERS, AUTHENTICATED))
USERS_REMEMBERED_MAX = 1024


class Callers:
    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.anybody = True  # until a port with TLS is opened
        self._peers, self._users = Peers(), dict[Peer, User]()

    async def of(
        self, context: Any, metadata: Mapping[str, str | bytes], entries: Any
    ) -> tuple[User, User | None]:
        """As whom one asks, and who one is where that is another. ApiError (400, 401, 403).

        `entries`: the same metadata, with what is there more than once.
        """
        if self.anybody:
            return ADMINISTRATOR, None
        authorization = str(metadata.get("authorization", ""))
        peer = None if authorization else self._peers.of(context)
        user = self._user(peer) if peer is not None else await self.gate.bearer(authorization)
        if any(key.startswith("impersonate-") for key in metadata):
            return self.gate.impersonated(user, _impersonation(metadata, entries)), user
        return user, None

    def _user(self, peer: Peer) -> User:
        found = self._users.get(peer)
        if found is None:
            if len(self._users) >= USERS_REMEMBERED_MAX:
                self._users.clear()
            found = self._users[peer] = certified(peer.name, peer.groups, peer.fingerprint)
        return found


def _impersonation(metadata: Mapping[str, str | bytes], entries: Any) -> Impersonation:
    extra: dict[str, tuple[str, ...]] = {}
    groups: list[str] = []
    for key, value in entries:
        if key == "impersonate-group":
            groups.append(str(value))
        elif key.startswith(EXTRA):
            extra[key[len(EXTRA) :]] = (*extra.get(key[len(EXTRA) :], ()), str(value))
    name, uid = (str(metadata.get(f"impersonate-{part}", "")) for part in ("user", "uid"))
    return Impersonation(name, tuple(groups), uid, extra)
