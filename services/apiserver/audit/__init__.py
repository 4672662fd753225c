"""The audit log: who did what, and what came of it, one JSON object a line.

`policy` says how much of a request is written down; `event` is what is written; `log` writes it, beside the
requests and never in their way; `audit` is what the fronts ask. Upstream: `audit.k8s.io/v1`.
"""
