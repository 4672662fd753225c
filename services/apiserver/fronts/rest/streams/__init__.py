"""Byte streams over the REST API: logs, exec, attach, port-forward and proxies, each by way of a kubelet.

`spdy_headers`, `spdy_frames` and `channels` are pure: what stands on the wire. `wires` carries bytes over an
upgraded connection, `spdy` makes streams of them. `commands`, `forwarding`, `logs` and `proxy` are what is
offered; `front` chooses. Which container, which node and why not is `kubelets`' to say, as for gRPC.
"""
