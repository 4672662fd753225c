"""Every process of a cluster is `python -m services.COMPONENT`."""

import os

# gRPC's own library writes a line of its own form for each stranger who fails a handshake, and must be told
# before it is first loaded.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
