"""What a URL's path means: a verb's target, as upstream's RequestInfo. Pure.

/api/v1/namespaces/NS/pods/NAME/status      /apis/GROUP/VERSION/PLURAL
"""

from __future__ import annotations

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
    """None for what is no path of a resource. Escapes are undone within each part only."""
    parts = [unquote(part) for part in raw_path.split("/")]
    if parts[-1] == "" and len(parts) > 2:
        parts.pop()
    match parts:
        case ["", "api", version, *rest]:
            group = ""
        case ["", "apis", group, version, *rest]:
            pass
        case _:
            return None
    watches = bool(rest) and rest[0] == "watch"
    if watches:
        rest = rest[1:]
    if not rest or any(part in ("", ".", "..") for part in rest[:4]):
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in NAMESPACE_PARTS:
        namespace, rest = rest[1], rest[2:]
    plural, name, subresource = (*rest, "", "")[:3] if len(rest) < 3 else rest[:3]
    tail = "/".join(rest[3:])
    return Path(group, version, plural, namespace, name, subresource, tail, watches)
