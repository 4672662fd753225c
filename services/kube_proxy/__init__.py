"""kube-proxy: where a connection to a Service goes, on one node.

Built from watches of Services and EndpointSlices, one table per node; a change costs the work of its own
Service and no other. It decides and does not carry: whoever opens a connection (the node's network, a
node port's listener) asks `Table.route`. Upstream: pkg/proxy, in its iptables form.
"""
