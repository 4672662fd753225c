"""Custom resources served: what a CustomResourceDefinition makes this API server answer for.

`crd/` says what definitions and their objects may be, and is pure; here that becomes resources of the
registry that come and go: `definitions` follows the definitions, `serving` makes of each what the generic
store needs, `conversion` turns one version into another. Upstream: `apiextensions-apiserver`.
"""
