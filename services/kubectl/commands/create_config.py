"""ConfigMaps and Secrets from literals, files and directories."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from services.kubectl.errors import Fail
from services.kubectl.flags import Flag, boolean, text, texts
from services.kubectl.session import Session

Json = dict[str, Any]

SOURCE_FLAGS: tuple[Flag, ...] = (
    texts("from-file", "A file, key=file, or a directory whose files become keys", split=False),
    texts("from-literal", "key=value", split=False),
    texts("from-env-file", "A file of key=value lines", split=False),
    boolean("append-hash", "Add a hash of the content to the name"),
)
DOCKER_FLAGS: tuple[Flag, ...] = (
    text("docker-server", "The registry", default="https://index.docker.io/v1/"),
    text("docker-username", "Who logs in"),
    text("docker-password", "The password"),
    text("docker-email", "The e-mail address"),
    texts("from-file", "A .dockerconfigjson file instead", split=False),
    boolean("append-hash", "Add a hash of the content to the name"),
)
TLS_FLAGS: tuple[Flag, ...] = (
    text("cert", "File of the certificate"),
    text("key", "File of the private key"),
    boolean("append-hash", "Add a hash of the content to the name"),
)
_KEY = re.compile(r"[-._a-zA-Z0-9]+")


def _literals(session: Session) -> Iterator[tuple[str, bytes]]:
    for literal in session.flags["from-literal"]:
        key, equals, value = literal.partition("=")
        if not equals or not key:
            raise Fail(f"invalid literal source {literal}, expected key=value")
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        yield key, value.encode()


def _files(session: Session) -> Iterator[tuple[str, bytes]]:
    for source in session.flags["from-file"]:
        key, equals, name = source.rpartition("=")
        if source.count("=") > 1:
            raise Fail("key names or file paths cannot contain '='")
        if equals and not (key and name):
            raise Fail(
                f"{'key name' if not key else 'file path'} for file {'path' if not key else 'key'} missing"
            )
        path = Path(name)
        if not path.exists():
            raise Fail(f"error reading {name}: no such file or directory")
        if path.is_dir():
            if key:
                raise Fail("cannot give a key name for a directory path")
            yield from ((file.name, file.read_bytes()) for file in sorted(path.iterdir()) if file.is_file())
        else:
            yield key or path.name, path.read_bytes()


def _environment(session: Session) -> Iterator[tuple[str, bytes]]:
    for name in session.flags["from-env-file"]:
        path = Path(name)
        if not path.is_file():
            raise Fail(f"error reading {name}: no such file or directory")
        for line in path.read_text().splitlines():
            line = line.lstrip()
            if line and not line.startswith("#"):
                key, equals, value = line.partition("=")
                yield key, (value if equals else session.world.environ.get(key, "")).encode()


_KEY_WORDS = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or"
    " 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)


def _content(session: Session, config_map: str = "") -> dict[str, bytes]:
    """What the keys hold; `config_map` is the name of the one that they are for, and empty for a Secret."""
    content: dict[str, bytes] = {}
    into = f' in Data for ConfigMap "{config_map}"' if config_map else ""
    for key, value in (*_files(session), *_literals(session), *_environment(session)):
        if not _KEY.fullmatch(key):
            of_what = " for a ConfigMap" if into else ""
            raise Fail(f'"{key}" is not a valid key name{of_what}: {_KEY_WORDS}')
        if key in content:
            shown = f'"{key}"' if into else key
            raise Fail(f"cannot add key {shown}, another key by that name already exists{into}")
        content[key] = value
    return content


def configmap(session: Session, name: str) -> Json:
    data: dict[str, str] = {}
    binary: dict[str, str] = {}
    for key, value in _content(session, name).items():
        try:
            data[key] = value.decode()
        except UnicodeDecodeError:
            binary[key] = base64.b64encode(value).decode()
    obj: Json = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
    if data:
        obj["data"] = data
    if binary:
        obj["binaryData"] = binary
    return obj


def _secret(name: str, content: dict[str, bytes], type: str) -> Json:
    obj: Json = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}}
    if content:
        obj["data"] = {key: base64.b64encode(value).decode() for key, value in content.items()}
    if type:
        obj["type"] = type
    return obj


def generic_secret(session: Session, name: str) -> Json:
    return _secret(name, _content(session), session.flags["type"])


def docker_secret(session: Session, name: str) -> Json:
    flags = session.flags
    type = "kubernetes.io/dockerconfigjson"
    if flags["from-file"]:
        return _secret(name, {".dockerconfigjson": Path(flags["from-file"][0]).read_bytes()}, type)
    for flag in ("docker-username", "docker-password", "docker-server"):
        if not flags[flag]:
            raise Fail(
                "either --from-file or the combination of --docker-username, --docker-password and"
                " --docker-server is required"
            )
    user, password = flags["docker-username"], flags["docker-password"]
    entry = {"username": user, "password": password}
    if flags["docker-email"]:
        entry["email"] = flags["docker-email"]
    entry["auth"] = base64.b64encode(f"{user}:{password}".encode()).decode()
    body = json.dumps({"auths": {flags["docker-server"]: entry}}, separators=(",", ":"))
    return _secret(name, {".dockerconfigjson": body.encode()}, type)


def tls_secret(session: Session, name: str) -> Json:
    content = {}
    for flag, key in (("cert", "tls.crt"), ("key", "tls.key")):
        if not session.flags[flag]:
            raise Fail("key and cert must be specified")
        path = Path(session.flags[flag])
        if not path.is_file():
            raise Fail(f"open {path}: no such file or directory")
        content[key] = path.read_bytes()
    return _secret(name, content, "kubernetes.io/tls")
