"""The kubeconfig of a cluster: where its API server is, and the administrator's certificate.

Written whole at every start, since the port may be another one. It holds a key: nobody else may read it.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path

from services.client.credentials import ADMIN, CA_CERTIFICATE
from services.process.keys import ADMIN_NAME

NAME = "orrery"


def write(path: Path, keys: Path, port: int) -> None:
    def data(name: str) -> str:
        return base64.b64encode((keys / name).read_bytes()).decode()

    text = f"""apiVersion: v1
kind: Config
current-context: {NAME}
clusters:
- name: {NAME}
  cluster:
    server: https://127.0.0.1:{port}
    certificate-authority-data: {data(CA_CERTIFICATE)}
contexts:
- name: {NAME}
  context:
    cluster: {NAME}
    user: {ADMIN_NAME}
users:
- name: {ADMIN_NAME}
  user:
    client-certificate-data: {data(f"{ADMIN}.crt")}
    client-key-data: {data(f"{ADMIN}.key")}
"""
    draft = path.with_name(path.name + ".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    draft.replace(path)
