"""Who stands behind a Service: its Endpoints and EndpointSlices, and slices of Endpoints made by hand.

`selection` says which Pods count, `triggers` what moment a change goes back to; `subsets` and `slices` are
the plans, all pure. The three controllers fetch and act. Upstream: pkg/controller/endpoint, endpointslice
and endpointslicemirroring.
"""
