"""Who a request is from, and the names that mean something to the API server itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

MASTERS = "system:masters"
AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
NODES, NODE_PREFIX = "system:nodes", "system:node:"
ACCOUNT_PREFIX = "system:serviceaccount:"
ACCOUNTS = "system:serviceaccounts"
CREDENTIAL = "authentication.kubernetes.io/credential-id"


@dataclass(frozen=True, slots=True)
class User:
    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def info(self) -> dict[str, object]:
        """As `UserInfo` of authentication.k8s.io."""
        found = {
            "username": self.name,
            "uid": self.uid,
            "groups": list(self.groups),
            "extra": {key: list(values) for key, values in self.extra.items()},
        }
        return {key: value for key, value in found.items() if value}


ANONYMOUS = User("system:anonymous", (UNAUTHENTICATED,))


def account_name(namespace: str, name: str) -> str:
    return f"{ACCOUNT_PREFIX}{namespace}:{name}"


def account_groups(namespace: str) -> tuple[str, ...]:
    return (ACCOUNTS, f"{ACCOUNTS}:{namespace}")


def account_of(user_name: str) -> tuple[str, str] | None:
    """Namespace and name of the ServiceAccount that this is the user of."""
    namespace, colon, name = user_name.removeprefix(ACCOUNT_PREFIX).partition(":")
    whole = user_name.startswith(ACCOUNT_PREFIX) and colon and namespace and name and ":" not in name
    return (namespace, name) if whole else None
