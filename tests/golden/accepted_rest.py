"""Where what we answer over HTTPS differs from what was recorded, and why that is right.

Keyed by case and the number of the exchange; -1 stands for every exchange of the case.
"""

from __future__ import annotations

COMPACTED = "the recorder compacted the store in between, which only etcd's owner can do"
INGRESS_CLASS = "the default IngressClass that the tables' case has left"
OTHERS = "shows what other cases have left in the cluster"

# Reasons that must really show; others may have gone by the time that what they wait for is served.
LASTING = (INGRESS_CLASS,)

# Kinds whose outcome hangs on more than this server.
OTHER_RULES: tuple[str, ...] = ()

ACCEPTED: dict[tuple[str, int], str] = {
    ("continue-and-expired", 15): COMPACTED,
    ("continue-and-expired", 16): COMPACTED,
    ("continue-and-expired", 17): COMPACTED,
    ("continue-and-expired", 18): COMPACTED,
    ("configmap-key-bad", 2): "upstream's order is that of a Go map",
    ("generatename-bad", 2): "contains a random name",
    ("apis-without-columns", 2): "the cluster's addresses are of a range of our own",
    ("eviction", 17): "the order of owners hangs on the second in which they wrote",
    ("managedfields-ingress", 2): INGRESS_CLASS,
    ("managedfields-ingress", 3): INGRESS_CLASS,
    ("merge-generation-pod-ingress", 3): INGRESS_CLASS,
    ("merge-generation-pod-ingress", 4): INGRESS_CLASS,
    ("merge-generation-pod-ingress", 5): INGRESS_CLASS,
    ("strategic-ingress-rules", 3): INGRESS_CLASS,
    ("strategic-ingress-rules", 4): INGRESS_CLASS,
    ("selectors-bad", 45): OTHERS,
    ("rbac-forbidden", 22): "says who built it, and with what",
    ("rbac-forbidden", 23): "not all groups are served yet",
    ("csr", -1): "the recorded user has another name and another certificate",
    ("list-csr", -1): "the recorded user has another name and another certificate",
    ("selectors-bad", 28): "upstream names a byte of a token that is no text",
}

# Streams that are left out.
STREAMS = {
    "too-old-410": "recorded from a server that had been started anew",
}
WATCHES = {
    ("table-watch", 0): "upstream explains the columns twice, by a race of its own",
}


def reason(name: str, index: int) -> str:
    return ACCEPTED.get((name, index)) or ACCEPTED.get((name, -1)) or ""
