"""Cluster DNS: the names of Services and Pods, answered as CoreDNS answers them.

`zone` knows the names, from Services and EndpointSlices; `corefile` reads the settings that people change in
CoreDNS' ConfigMap; `answering` turns a query's bytes into an answer's. It listens nowhere itself: the
emulated CoreDNS Pods do, and a real socket for those who ask from outside. Upstream: CoreDNS' kubernetes
plugin and the DNS-Based Service Discovery specification, version 1.1.0.
"""
