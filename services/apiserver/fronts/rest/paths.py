"""What a URL's path means: a verb's target, as upstream's RequestInfo. Pure.

/api/v1/namespaces/NS/pods/NAME/status      /apis/GROUP/VERSION/PLURAL
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from services.api.kinds import Resource
from services.apiserver.registry.catalog import Catalog

# Below /namespaces/NAME these are parts of the Namespace itself, not collections in it.
NAMESPACE_PARTS = ("status", "finalize")


@dataclass(frozen=True, slots=True)
class Path:
    """`rest` is what follows the subresource: the path behind a proxy."""

    group: str
    version: str
    plural: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    rest: str = ""
    watches: bool = False  # the old form: /api/v1/watch/…

    def resource(self, catalog: Catalog) -> Resource | None:
        return catalog.named(self.group, self.version, self.plural)


def parse(raw_path: str) -> Path | None:
    """None for what is no path of a resource. Escapes are undone within each part only.

    What has the form of a resource's path is one, whatever its parts are: else the rules for other paths
    would let pass what those for resources do not. With an odd part in it, it names what nobody has.
    """
    parts = [unquote(part) for part in raw_path.rstrip("/").split("/")]
    match parts:
        case ["", "api", version, *rest] if rest:
            group, named = "", [version]
        case ["", "apis", group, version, *rest] if rest:
            named = [group, version]
        case _:
            return None
    watches = rest[0] == "watch" and len(rest) > 1
    if watches:
        rest = rest[1:]
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in NAMESPACE_PARTS:
        namespace, rest = rest[1], rest[2:]
        named.append(namespace)
    plural, name, subresource = (*rest, "", "")[:3]
    if any(part in ("", ".", "..") or "/" in part for part in (*named, *rest[:3])):
        return Path(group, version, "", watches=watches)
    return Path(group, version, plural, namespace, name, subresource, "/".join(rest[3:]), watches)


def watched(path: Path, query: Mapping[str, str]) -> bool:
    """Whether a GET of it asks for changes. One object is got, whatever its query says, as upstream."""
    return path.watches or (not path.name and is_set(query, "watch"))


def is_set(query: Mapping[str, str], name: str) -> bool:
    """Only no value, `false` and `0` mean no; an empty value means yes."""
    value = query.get(name)
    return value is not None and value.lower() not in ("false", "0")
