"""What calls with `verbose` add: JSON for people who look at a runtime with `crictl inspect`. Pure.

The keys are containerd's; what an emulated machine does not have (snapshots, a process of the host) is
left out.
"""

from __future__ import annotations

import json
from typing import Any

from google.protobuf.json_format import MessageToDict

from services.runtime.container import Container
from services.runtime.machine import Machine
from services.runtime.model import SandboxState
from services.runtime.sandbox import Sandbox

RUNTIME_TYPE = "io.containerd.runc.v2"


def of_runtime(machine: Machine) -> dict[str, str]:
    config = {
        "containerd": {"snapshotter": "overlayfs", "defaultRuntimeName": "runc"},
        "cni": {"binDir": "/opt/cni/bin", "confDir": "/etc/cni/net.d"},
        "rootDir": "/var/lib/containerd/io.containerd.grpc.v1.cri",
        "stateDir": "/run/containerd/io.containerd.grpc.v1.cri",
    }
    loaded = "OK" if machine.network_ready else "cni config load failed: no network config found"
    return {"config": json.dumps(config), "lastCNILoadStatus": json.dumps(loaded)}


def of_sandbox(sandbox: Sandbox) -> dict[str, str]:
    config = sandbox.config
    return _info(
        {
            "processStatus": "running" if sandbox.state is SandboxState.READY else "deleted",
            "runtimeHandler": sandbox.handler,
            "runtimeType": RUNTIME_TYPE,
            "config": {
                "metadata": {"name": config.name, "uid": config.uid, "namespace": config.namespace},
                "hostname": config.hostname,
                "log_directory": config.log_directory,
                "labels": dict(config.labels),
                "annotations": dict(config.annotations),
            },
        }
    )


def of_container(container: Container, status: Any) -> dict[str, str]:
    config = container.config
    first = container.processes.first
    return _info(
        {
            "sandboxID": container.sandbox.id,
            "pid": first.pid if first is not None else 0,
            "runtimeType": RUNTIME_TYPE,
            "config": {
                "metadata": {"name": config.name, "attempt": config.attempt},
                "image": {"image": config.image, "user_specified_image": config.user_image},
                "command": list(config.command),
                "args": list(config.args),
                "envs": [{"key": key, "value": value} for key, value in config.envs],
                "log_path": config.log_path,
                "labels": dict(config.labels),
                "annotations": dict(config.annotations),
                "mounts": MessageToDict(status, preserving_proto_field_name=True).get("mounts", []),
            },
        }
    )


def _info(content: dict[str, Any]) -> dict[str, str]:
    return {"info": json.dumps(content)}
