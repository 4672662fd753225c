"""Deployment: rolls a set of Pods from one template to the next.

`revisions` says which ReplicaSet is the new one, `sizes` how big each may be, `status` what to
report; all three are pure. `controller` fetches and acts. Upstream: pkg/controller/deployment.
"""
