"""The cloud around the cluster: load balancers for Services that ask for one.

Here a cloud is a range of addresses of this machine. A load balancer is a listener on one of them that leads
connections to node ports, as a cloud's would. Upstream: cloud-provider's service controller; the provider is
ours.
"""
