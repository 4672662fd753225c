"""Image names as Docker reads them: `nginx` is docker.io/library/nginx:latest."""

from __future__ import annotations

import re

DEFAULT_HOST, DEFAULT_OWNER, DEFAULT_TAG = "docker.io", "library", "latest"
LENGTH_MAX = 255

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*(?::\d+)?"
)
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def canonical(name: str) -> str:
    """The full name, with a tag or a digest. ValueError when no name can look like that."""
    rest, at, digest = name.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise ValueError("invalid reference format")
    if rest.endswith(":"):
        raise ValueError("invalid reference format")
    rest, tag = _split_tag(rest)
    host, path = _split_host(rest)
    if len(path) > LENGTH_MAX or not _PATH.fullmatch(path) or not _HOST.fullmatch(host):
        raise ValueError("invalid reference format")
    if tag and not _TAG.fullmatch(tag):
        raise ValueError("invalid reference format")
    if digest:
        return f"{host}/{path}@{digest}"
    return f"{host}/{path}:{tag or DEFAULT_TAG}"


def repository_of(reference: str) -> str:
    """A canonical name without its tag or digest."""
    return _split_tag(reference.partition("@")[0])[0]


def tag_of(reference: str) -> str:
    return "" if "@" in reference else _split_tag(reference)[1]


def _split_tag(name: str) -> tuple[str, str]:
    head, colon, tag = name.rpartition(":")
    return (head, tag) if colon and "/" not in tag else (name, "")


def _split_host(name: str) -> tuple[str, str]:
    host, slash, path = name.partition("/")
    if not slash:
        return DEFAULT_HOST, f"{DEFAULT_OWNER}/{name}"
    if "." in host or ":" in host or host == "localhost":
        if host in ("index.docker.io", DEFAULT_HOST):
            return DEFAULT_HOST, path if "/" in path else f"{DEFAULT_OWNER}/{path}"
        return host, path
    return DEFAULT_HOST, name
