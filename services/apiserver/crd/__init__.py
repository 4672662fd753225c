"""CustomResourceDefinitions: what they may say, and what their objects are put through. All of it pure.

`compile_version(definition, "v1")` gives the rules of one version. The registry serves custom
objects by them; nothing here knows of requests, storage or time. Upstream: `apiextensions-apiserver`.
"""

from services.apiserver.crd.compiled import CompiledVersion, Unreadable, compile_version

__all__ = ["CompiledVersion", "Unreadable", "compile_version"]
