"""Authorization: whether somebody may. The members of system:masters may do all; nodes what is theirs; all
others what roles grant them (`rbac`). The decision is pure; `index` follows the caches that it rests on.
"""
