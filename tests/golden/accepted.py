"""Where our answers differ from the recorded ones, and why that is right.

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

ACCEPTED: dict[tuple[str, int], str] = {
    ("eviction", 17): CHANCE,
    ("apis-without-columns", 2): "the recorded cluster has another range for Services",
    ("continue-and-expired", 15): COMPACTED,
    ("continue-and-expired", 16): COMPACTED,
    ("continue-and-expired", 17): COMPACTED,
    ("continue-and-expired", 18): COMPACTED,
    ("configmap-key-bad", 2): "upstream's order is that of a Go map",
    ("generatename-bad", 2): "contains a random name",
    ("endpoints-loopback", 2): "over gRPC a refusal carries no warnings",
    ("list-endpoints", 6): "over gRPC a refusal carries no warnings",
    ("strategic-node-taints", 2): "over gRPC a refusal carries no warnings",
    **{("csr", index): USER for index in range(4)},
    **{("list-csr", index): USER for index in range(4)},
    **{("list-vap", index): CONTROLLED for index in (0, 2, 3, 4, 5)},
    ("selectors-bad", 28): "upstream names a byte of a token that is no text",
    ("media-types", 35): "over gRPC one word asks for the metadata of one object and of a list",
    ("accept-variants", 3): "over gRPC one word asks for the metadata of one object and of a list",
    ("accept-variants", 4): "over gRPC one word asks for the metadata of one object and of a list",
    ("selectors-bad", 45): OTHERS,
}
