"""Ingress as ingress-nginx serves it: which request goes where, with which certificate.

Knows no sockets and no emulated Pods: the program in the controller's Pod asks through the node's network
(`services/node/network/ingress.py`).
"""
