"""The emulated address of a control plane whose API server listens only on this machine's loopback.

An endpoint must not be a loopback address, and Pods have a loopback of their own. So such an API server says
that it is here, and nodes lead connections to it to where it really is.
"""

from __future__ import annotations

CONTROL_PLANE_IP = "172.18.0.2"
