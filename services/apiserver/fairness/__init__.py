"""API Priority and Fairness: no client's requests keep those of the others waiting.

`schemas` says which flow a request belongs to, and so at which priority level it waits; `levels` lets so many
of a level run at once, and the rest wait in queues that are served in turn; `demand` and `borrowing` say how
many that are; `fairness` is what the fronts ask. The objects that configure it are kept in
`registry/flow_schemas.py`. Upstream: KEP-1040.
"""
