"""Where what we answer over HTTPS differs from what was recorded, and why that is right.

Keyed by case and the number of the exchange; -1 stands for every exchange of the case.
"""

from __future__ import annotations

COMPACTED = "the recorder compacted the store in between, which only etcd's owner can do"
OTHERS = "shows what other cases have left in the cluster"
USER = "the recorded user has another name and another certificate"
CONTROLLED = "the controller of policies' status is part of the server here, and was not running there"
CHANCE = "the order of owners hangs on the second in which they wrote"

# What does not differ every time; any other reason that shows no more has to go.
SOMETIMES = (CHANCE, CONTROLLED)

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
    ("eviction", 17): CHANCE,
    ("selectors-bad", 45): OTHERS,
    ("rbac-forbidden", 22): "says who built it, and with what",
    ("rbac-forbidden", 23): "the metrics of nodes and Pods are served here",
    **{("csr", index): USER for index in range(4)},
    **{("list-csr", index): USER for index in range(4)},
    **{("list-vap", index): CONTROLLED for index in (0, 2, 3, 4, 5)},
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
