"""What nodes and Pods use at the moment: metrics.k8s.io, as metrics-server serves it."""
