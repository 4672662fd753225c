"""Images that people pushed: checked when they come, read when somebody asks for them.

A manifest is taken when it is well formed, all that it refers to is there, and every layer can be read
within its limits (archive.py). What its program does is told by the label `dev.orrery.behaviour`, or by the
catalogue image that it was built on; else it is a generic server. A shell script is run by the nodes'
own shell and needs nothing.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import yaml

from services.registry import archive
from services.registry.behaviour_schema import BadBehaviour, check
from services.registry.blob_store import DIGEST, BlobStore
from services.registry.files import DIRECTORY, LINK, REMOVED, File
from services.registry.images import CREATED_NANOSECONDS, StoredImage, StoredLayer
from services.registry.repositories import Manifest, Repository

DOCKER = "application/vnd.docker.distribution.manifest"
OCI = "application/vnd.oci.image"
MANIFESTS = (f"{OCI}.manifest.v1+json", f"{DOCKER}.v2+json")
INDEXES = (f"{OCI}.index.v1+json", f"{DOCKER}.list.v2+json")
CONFIGS = (f"{OCI}.config.v1+json", "application/vnd.docker.container.image.v1+json")
LAYERS = re.compile(
    r"application/vnd\.(oci\.image\.layer\.v1\.tar(\+gzip)?|docker\.image\.rootfs\.diff\.tar(\.gzip)?)"
)
BEHAVIOUR_LABEL = "dev.orrery.behaviour"
BEHAVIOUR_LENGTH_MAX = 64 * 1024
CONFIG_BYTES_MAX = 4 * 1024 * 1024
LAYERS_MAX = 127  # as containerd and docker
REFERENCES_MAX = 1000
DEPTH_MAX = 50
SHELLS = frozenset({"sh", "bash", "ash", "dash", "busybox"})
PATHS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class BadManifest(Exception):
    """The manifest is refused. `code` is one of the distribution API's."""

    def __init__(self, code: str, message: str, detail: object = None) -> None:
        super().__init__(message)
        self.code, self.detail = code, detail


def parse(data: bytes, media_type: str) -> tuple[Manifest, dict[str, Any]]:
    """What the registry keeps of a manifest, and the whole. Raises BadManifest."""
    try:
        whole = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadManifest("MANIFEST_INVALID", "manifest invalid", "it is no JSON") from error
    if not isinstance(whole, dict) or whole.get("schemaVersion") != 2:
        raise BadManifest("MANIFEST_INVALID", "manifest invalid", "schemaVersion 2 is wanted")
    media_type = media_type or str(whole.get("mediaType") or MANIFESTS[0])
    if whole.get("mediaType", media_type) != media_type:
        raise BadManifest("MANIFEST_INVALID", "manifest invalid", "mediaType differs from Content-Type")
    if media_type not in MANIFESTS + INDEXES:
        raise BadManifest(
            "MANIFEST_INVALID", "manifest invalid", f"unsupported media type {media_type[:200]}"
        )
    if media_type in INDEXES:
        named = _descriptors(whole.get("manifests", []), "manifests")
    else:
        named = [
            *_descriptors([whole.get("config")], "config"),
            *_descriptors(whole.get("layers", []), "layers"),
        ]
        if len(named) > LAYERS_MAX + 1:
            raise BadManifest("MANIFEST_INVALID", "manifest invalid", f"more than {LAYERS_MAX} layers")
    subject = _descriptors([whole["subject"]], "subject")[0]["digest"] if whole.get("subject") else ""
    kind = whole.get("artifactType") or (whole.get("config") or {}).get("mediaType") or ""
    notes = whole.get("annotations") if isinstance(whole.get("annotations"), dict) else {}
    blobs = list(dict.fromkeys(one["digest"] for one in named))
    kept = Manifest(
        media_type, len(data), subject, str(kind), {str(k): str(v) for k, v in (notes or {}).items()}, blobs
    )
    return kept, whole


def _descriptors(value: object, where: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or len(value) > REFERENCES_MAX:
        raise BadManifest("MANIFEST_INVALID", "manifest invalid", f"{where}: a list is wanted")
    for one in value:
        if not isinstance(one, dict) or not DIGEST.fullmatch(str(one.get("digest"))):
            raise BadManifest("MANIFEST_INVALID", "manifest invalid", f"{where}: a descriptor is wanted")
        if not isinstance(one.get("size"), int) or one["size"] < 0:
            raise BadManifest("MANIFEST_INVALID", "manifest invalid", f"{where}: a size is wanted")
    return value


@dataclass(frozen=True, slots=True)
class Config:
    """What is read of an image's configuration; anything of another shape counts as not given."""

    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    working_dir: str = ""
    user: str = ""
    ports: tuple[str, ...] = ()
    stop_signal: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    diff_ids: tuple[str, ...] = ()
    platform: str = ""
    created: int = CREATED_NANOSECONDS
    steps: tuple[str, ...] = ()


def parse_config(data: bytes) -> Config:
    try:
        whole = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadManifest("MANIFEST_INVALID", "manifest invalid", "the configuration is no JSON") from error
    if not isinstance(whole, dict):
        raise BadManifest("MANIFEST_INVALID", "manifest invalid", "the configuration is no table")
    config, rootfs = _table(whole.get("config")), _table(whole.get("rootfs"))
    history = whole.get("history")
    return Config(
        entrypoint=_words(config.get("Entrypoint")),
        cmd=_words(config.get("Cmd")),
        env=_words(config.get("Env")),
        working_dir=_text(config.get("WorkingDir")),
        user=_text(config.get("User")),
        ports=tuple(port for port in map(str, _table(config.get("ExposedPorts"))) if _PORT.fullmatch(port)),
        stop_signal=_text(config.get("StopSignal")),
        labels={str(name): str(value) for name, value in _table(config.get("Labels")).items()},
        diff_ids=_words(rootfs.get("diff_ids")),
        platform=f"{_text(whole.get('os'))}/{_text(whole.get('architecture'))}",
        created=_nanoseconds(_text(whole.get("created"))),
        steps=tuple(
            _text(_table(step).get("created_by")) for step in (history if isinstance(history, list) else [])
        ),
    )


_PORT = re.compile(r"\d{1,5}(/(tcp|udp|sctp))?")


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _words(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _nanoseconds(text: str) -> int:
    try:
        # Go writes nine digits, Python reads six.
        moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
        return max(int(moment.timestamp()) * 1_000_000_000, 0)
    except (ValueError, OverflowError, OSError):
        return CREATED_NANOSECONDS


def image_of(
    store: BlobStore, repository: Repository, digest: str, behaviours: Callable[[str, Config], str]
) -> StoredImage | None:
    """The image that a node gets; None when there is none for its platform, or no image at all."""
    chosen = _for_linux(store, repository, digest)
    if chosen is None:
        return None
    manifest = json.loads(store.read(chosen))
    if manifest["config"].get("mediaType") not in CONFIGS:
        return None
    config_digest = manifest["config"]["digest"]
    config = parse_config(store.read(config_digest))
    layers = tuple(
        StoredLayer(
            one["digest"], diff_id, repository.blobs.get(one["digest"], one["size"]), one["size"], None
        )
        for one, diff_id in zip(manifest["layers"], config.diff_ids, strict=True)
    )
    labels = {name: value for name, value in config.labels.items() if name != BEHAVIOUR_LABEL}
    return StoredImage(
        digest, config_digest, layers, config.entrypoint, config.cmd, config.env, config.working_dir,
        config.user, config.ports, config.stop_signal, labels,
        behaviours(repository.manifests[chosen].program, config), "", config.created,
    )  # fmt: skip


def _for_linux(store: BlobStore, repository: Repository, digest: str) -> str | None:
    """An index leads to the manifest for linux/amd64, or else to the only one for linux."""
    if repository.manifests[digest].media_type in MANIFESTS:
        return digest
    found: list[tuple[bool, str]] = []
    for one in json.loads(store.read(digest)).get("manifests", []):
        platform = _table(one.get("platform"))
        known = repository.manifests.get(one["digest"])
        if known is not None and known.media_type in MANIFESTS and platform.get("os", "linux") == "linux":
            found.append((platform.get("architecture", "amd64") != "amd64", one["digest"]))
    return min(found)[1] if found else None


def described_behaviour(config: Config) -> str:
    """The label's, as JSON; "" without one. Raises BadManifest."""
    text = config.labels.get(BEHAVIOUR_LABEL, "")
    if not text:
        return ""
    where = f"label {BEHAVIOUR_LABEL}"
    if len(text) > BEHAVIOUR_LENGTH_MAX:
        raise BadManifest("MANIFEST_INVALID", "manifest invalid", f"{where}: too long")
    try:
        table = yaml.safe_load(text)
        check(where, table)
        return json.dumps(table, sort_keys=True)
    except (yaml.YAMLError, RecursionError, TypeError, ValueError) as error:
        raise BadManifest(
            "MANIFEST_INVALID", "manifest invalid", f"{where}: {' '.join(str(error).split())}"
        ) from error
    except BadBehaviour as error:
        raise BadManifest("MANIFEST_INVALID", "manifest invalid", str(error)) from error


@dataclass(slots=True)
class Executables:
    """Which files of a layer, or of the layers merged, can be started."""

    scripts: dict[str, str] = field(default_factory=dict)  # path to the interpreter; "" for a binary
    removed: list[str] = field(default_factory=list)

    def add(self, files: Sequence[File]) -> None:
        for file in files:
            if file.kind == REMOVED:
                self.removed.append(file.path)
            elif file.kind == LINK:
                self.scripts[file.path] = self.scripts.get(file.target, "")
            elif file.kind != DIRECTORY and file.mode & 0o111:
                self.scripts[file.path] = _interpreter(file.content)

    def merge(self, upper: Executables) -> None:
        """Puts another layer on top."""
        for path in upper.removed:
            self.scripts.pop(path, None)
        self.scripts.update(upper.scripts)

    def find(self, name: str, config: Config) -> str | None:
        if "/" in name:
            path = name if name.startswith("/") else f"{config.working_dir or ''}/{name.removeprefix('./')}"
            return path if path in self.scripts else None
        env = dict(entry.partition("=")[::2] for entry in config.env)
        found = (f"{folder.rstrip('/')}/{name}" for folder in (env.get("PATH") or PATHS).split(":"))
        return next((path for path in found if path in self.scripts), None)


def _interpreter(content: bytes) -> str:
    if not content.startswith(b"#!"):
        return ""
    words = content[2:].partition(b"\n")[0].decode("utf-8", "replace").split()
    if words and words[0].rpartition("/")[2] == "env":
        words = words[1:]
    return words[0].rpartition("/")[2] if words else ""


def program_of(config: Config, executables: Executables, tools: frozenset[str]) -> str | None:
    """What the image starts that is neither a shell, nor a shell script, nor a tool that nodes emulate."""
    for word in _started(config):
        path = executables.find(word, config)
        name = word.rpartition("/")[2]
        if path is not None and name not in tools | SHELLS and executables.scripts[path] not in SHELLS:
            return path
    return None


def _started(config: Config) -> list[str]:
    argv = [*config.entrypoint, *config.cmd]
    if len(argv) >= 3 and argv[0].rpartition("/")[2] in SHELLS and argv[1] == "-c":
        try:
            argv = [word for word in shlex.split(argv[2]) if word != "exec"]
        except ValueError:
            return []
    # Behind an entry script (`exec "$@"`) stands the program in `cmd`.
    return [argv[0], *argv[len(config.entrypoint) or 1 :][:1]] if argv else []


def read_layer(store: BlobStore, digest: str) -> list[File]:
    """Raises BadArchive."""
    with store.open(digest) as file:
        return archive.entries(file.read)
