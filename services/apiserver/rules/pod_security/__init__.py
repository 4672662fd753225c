"""The Pod Security Standards: how far a Pod may reach out of its containers, by level and version.

`baseline` and `restricted` hold the checks, `standards` says which of them a level consists of, `admission`
is the plugin PodSecurity that reads a Namespace's labels. All of it is pure.
Upstream: `k8s.io/pod-security-admission`.
"""
