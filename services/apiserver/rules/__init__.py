"""The rules of the API server: what a request may say, what is filled in, and what is refused.

Pure functions over decoded JSON; no I/O, no clock. Upstream's counterparts are the schemes
(decoding, defaulting), `pkg/registry/*/strategy.go`, `pkg/apis/*/validation` and the admission plugins.
"""
