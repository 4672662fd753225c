"""Credentials of a Pod: the Secrets that `imagePullSecrets` names, and which registry each is for.

Pure, but for `fetch`. A Secret that cannot be read costs an event, and the pull is tried without it.
Upstream: `getPullSecretsForPod` and `pkg/credentialprovider`.
"""

from __future__ import annotations

import base64
import fnmatch
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import orjson

from services.api import errors
from services.api.core_v1 import Pod, Secret
from services.client.client import Client
from services.kubelet.cri import RegistryAuth
from services.machinery.image_names import canonical, repository_of

DOCKER_HUB = ("index.docker.io", "docker.io", "registry-1.docker.io")
_KEYS = {"kubernetes.io/dockerconfigjson": ".dockerconfigjson", "kubernetes.io/dockercfg": ".dockercfg"}

Keyring = list[tuple[str, RegistryAuth]]  # by registry and path, the most particular first


async def fetch(client: Client, pod: Pod) -> tuple[Keyring, list[str]]:
    """All credentials, and the names of the Secrets that could not be read."""
    secrets, failed = [], []
    for reference in pod.spec.image_pull_secrets:
        if not reference.name:
            continue
        try:
            secrets.append(await client.get(Secret, reference.name, pod.metadata.namespace or ""))
        except errors.ApiError:
            failed.append(reference.name)
    return keyring(secrets), failed


def keyring(secrets: Iterable[Secret]) -> Keyring:
    """What does not parse is passed over, as upstream does."""
    found: Keyring = []
    for secret in secrets:
        key = _KEYS.get(secret.type or "", "")
        try:
            data: Any = orjson.loads(base64.b64decode(secret.data.get(key, "")))
        except ValueError:
            continue
        entries = data.get("auths") if key == ".dockerconfigjson" and isinstance(data, dict) else data
        if isinstance(entries, dict):
            found += [(_location(server), _auth(server, entry)) for server, entry in entries.items()]
    return sorted(found, key=lambda pair: pair[0], reverse=True)


def _location(server: str) -> str:
    """`https://index.docker.io/v1/` is for `index.docker.io`."""
    place = server.partition("://")[2] or server
    for version in ("/v1/", "/v2/", "/v1", "/v2"):
        place = place.removesuffix(version)
    return place.rstrip("/")


def _auth(server: str, entry: Any) -> RegistryAuth:
    if not isinstance(entry, dict):
        return RegistryAuth(server_address=server)
    user, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    if not user and entry.get("auth"):
        # What is not base64 is nobody's password, and the registry will say so.
        with suppress(ValueError):
            user, _, password = base64.b64decode(str(entry["auth"])).decode().partition(":")
    return RegistryAuth(username=user, password=password)


def matching(keys: Keyring, image: str) -> list[RegistryAuth]:
    """Those to try for this image, in order."""
    try:
        repository = repository_of(canonical(image))
    except ValueError:
        return []
    host, _, path = repository.partition("/")
    hosts = DOCKER_HUB if host in DOCKER_HUB else (host,)
    return [auth for place, auth in keys if any(_matches(place, name, path) for name in hosts)]


def _matches(place: str, host: str, path: str) -> bool:
    pattern, _, prefix = place.partition("/")
    if pattern.count(".") != host.count(".") or not fnmatch.fnmatchcase(host, pattern):
        return False
    return path.startswith(prefix)
