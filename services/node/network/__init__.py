"""The network of the cluster as the nodes of this process see it: a Pod reaches any Pod and any Service.

`routes` knows which node owns an address, `tables` where a Service's address leads, `dialer` and `service`
carry the bytes between nodes, and `cluster_network` puts them together behind the seam that programs in
containers dial through.
"""
