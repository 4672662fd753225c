"""Namespace controller: empties a namespace that is being deleted, then lets it go.

`report` says in conditions what is left, pure; `controller` deletes. Upstream: pkg/controller/namespace.
"""
