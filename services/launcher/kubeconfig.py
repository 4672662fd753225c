"""The kubeconfig of a cluster: where its API server is, and the administrator's certificate.

Written whole at every start, since the port may be another one. It holds a key: nobody else may read it. On
request (`orrery kubeconfig --merge`) its entries go into the user's own file, under a name that only this
cluster has; entries of others are never touched, and what a cluster put there goes when it is deleted.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from services.client.credentials import ADMIN, CA_CERTIFICATE
from services.launcher.home import Home
from services.process.keys import ADMIN_NAME

NAME = "orrery"
PARTS = ("clusters", "contexts", "users")
Json = dict[str, Any]


class Unreadable(Exception):
    """The user's file is none that could be merged into; it stays as it is."""


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
    _replace(path, text)


def _replace(path: Path, text: str) -> None:
    """The whole file or none, for its owner alone."""
    draft = path.with_name(path.name + ".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    draft.replace(path)


# -- the user's own file -------------------------------------------------------------------------


def entry_name(home: Home) -> str:
    """`orrery` for the cluster of ~/.orrery, else one that tells its home apart."""
    if home.path == Path.home() / ".orrery":
        return NAME
    return f"{NAME}-{home.path.name}-{hashlib.sha256(os.fsencode(home.path)).hexdigest()[:6]}"


def users_file(environ: Mapping[str, str] = os.environ) -> Path:
    """The first file of KUBECONFIG, as kubectl writes to; by default ~/.kube/config."""
    first = next((word for word in environ.get("KUBECONFIG", "").split(os.pathsep) if word), "")
    return Path(first).expanduser() if first else Path.home() / ".kube" / "config"


def merge(home: Home, path: Path) -> str:
    """Puts the cluster's entries into the file, and makes its context, whose name it is, the current one.

    Unreadable, OSError.
    """
    import yaml

    own: Json = yaml.safe_load(home.kubeconfig.read_text())
    name = entry_name(home)
    if path.resolve() == home.kubeconfig.resolve():
        return NAME
    config = without(_read(path), name)
    context = {"cluster": name, "user": name}
    for part, key, value in (
        ("clusters", "cluster", own["clusters"][0]["cluster"]),
        ("contexts", "context", context),
        ("users", "user", own["users"][0]["user"]),
    ):
        config[part] = [*(config.get(part) or ()), {"name": name, key: value}]
    config["current-context"] = name
    _save(path, config)
    return name


def unmerge(home: Home, path: Path) -> bool:
    """Takes out what `merge` put in: whether there was anything. Another's file is left as it is."""
    name = entry_name(home)
    try:
        config = _read(path)
    except (OSError, Unreadable):
        return False
    rest = without(config, name)
    if rest == config or path.resolve() == home.kubeconfig.resolve():
        return False
    if rest.get("current-context") == name:
        rest["current-context"] = ""
    _save(path, rest)
    return True


def without(config: Json, name: str) -> Json:
    """The same without the entries of that name. Pure."""
    kept = {
        part: [each for each in config.get(part) or () if each.get("name") != name]
        for part in PARTS
        if part in config
    }
    return {**config, **kept}


def _read(path: Path) -> Json:
    """An empty one where there is no file."""
    import yaml

    try:
        config = yaml.safe_load(path.read_text()) or {}
    except FileNotFoundError:
        config = {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Unreadable(f"{path} is no kubeconfig: {error}") from error
    if not isinstance(config, dict) or not all(_entries(config.get(part)) for part in PARTS):
        raise Unreadable(f"{path} is no kubeconfig")
    return {"apiVersion": "v1", "kind": "Config", **config}


def _entries(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(each, dict) for each in value))


def _save(path: Path, config: Json) -> None:
    import yaml

    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # A link stays one: its target is what is replaced.
    _replace(path.resolve(), yaml.safe_dump(config, sort_keys=False))
