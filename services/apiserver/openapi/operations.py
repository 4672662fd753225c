"""The operations of a resource, as OpenAPI names them: path, method, identifier, parameters. Pure.

Upstream's names: readCoreV1NamespacedPodStatus, listAppsV1DeploymentForAllNamespaces, and so on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from services.api.kinds import Resource, Subresource
from services.apiserver.custom.resource import CustomResource
from services.apiserver.openapi.types import META, known, type_of, type_of_lists, type_of_objects

JSON_TYPES = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf")
STREAMS = ("application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch")
PATCHES = ("application/json-patch+json", "application/merge-patch+json",
           "application/strategic-merge-patch+json", "application/apply-patch+yaml")  # fmt: skip

_LIST = ("allowWatchBookmarks", "continue", "fieldSelector", "labelSelector", "limit", "resourceVersion",
         "resourceVersionMatch", "sendInitialEvents", "shardSelector", "timeoutSeconds", "watch")  # fmt: skip
_DELETE = ("dryRun", "gracePeriodSeconds", "ignoreStoreReadErrorWithClusterBreakingPotential",
           "orphanDependents", "propagationPolicy")  # fmt: skip
_DELETE_ALL = tuple(sorted({*_DELETE, *_LIST} - {"allowWatchBookmarks", "watch"}))
_WRITE = ("dryRun", "fieldManager", "fieldValidation")
_LOG = ("container", "follow", "insecureSkipTLSVerifyBackend", "limitBytes", "previous", "sinceSeconds",
        "stream", "tailLines", "timestamps")  # fmt: skip
_EXEC = ("command", "container", "stderr", "stdin", "stdout", "tty")
_CONNECT = {
    "exec": ("PodExecOptions", ("get", "post"), _EXEC),
    "attach": ("PodAttachOptions", ("get", "post"), tuple(each for each in _EXEC if each != "command")),
    "portforward": ("PodPortForwardOptions", ("get", "post"), ("ports",)),
    "proxy": ("", ("delete", "get", "head", "options", "patch", "post", "put"), ("path",)),
}
INTEGERS = (
    "gracePeriodSeconds",
    "limit",
    "limitBytes",
    "ports",
    "sinceSeconds",
    "tailLines",
    "timeoutSeconds",
)
BOOLEANS = ("allowWatchBookmarks", "follow", "force", "ignoreStoreReadErrorWithClusterBreakingPotential",
            "insecureSkipTLSVerifyBackend", "orphanDependents", "previous", "sendInitialEvents", "stderr",
            "stdin", "stdout", "timestamps", "tty", "watch")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Operation:
    path: str
    method: str
    identifier: str
    action: str
    kind: tuple[str, str, str] | None = None  # group, version, kind
    query: tuple[str, ...] = ()
    path_parameters: tuple[str, ...] = ()
    body: str = ""  # its type
    answer: str = ""
    consumes: tuple[str, ...] = ("*/*",)
    produces: tuple[str, ...] = JSON_TYPES
    codes: tuple[str, ...] = ("200",)
    tag: str = ""
    pretty: bool = field(default=True)


def camel_version(group: str, version: str) -> str:
    """`CoreV1`, `AppsV1`, `RbacAuthorizationV1`."""
    return camel_group(group) + version[0].upper() + version[1:]


def camel_group(group: str) -> str:
    name = group.removesuffix(".k8s.io") if group else "core"
    return "".join(part[0].upper() + part[1:] for part in re.split(r"[.-]", name) if part)


def snake_tag(group: str, version: str) -> str:
    name = camel_group(group)
    return f"{name[0].lower()}{name[1:]}_{version}" if version else f"{name[0].lower()}{name[1:]}"


def operations_of(resource: Resource) -> Iterator[Operation]:
    yield from _Of(resource).all()


class _Of:
    """What is the same for all operations of a resource."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        group, version = resource.group, resource.version
        self._root = f"/apis/{group}/{version}" if group else f"/api/{version}"
        self._camel = camel_version(group, version)
        self._scope = "Namespaced" if resource.namespaced else ""
        base = f"{self._root}/namespaces/{{namespace}}" if resource.namespaced else self._root
        self._collection = f"{base}/{resource.plural}"
        self._within = ("namespace",) if resource.namespaced else ()
        self._type, self._list_type = type_of_objects(resource), type_of_lists(resource)
        # A custom resource has no protobuf, and no strategies that a patch could follow.
        self._is_custom = isinstance(resource, CustomResource)
        self._media = JSON_TYPES[:2] if self._is_custom else JSON_TYPES
        self._streams = STREAMS[:1] if self._is_custom else STREAMS
        self._patches = tuple(each for each in PATCHES if not self._is_custom or "strategic" not in each)

    def all(self) -> Iterator[Operation]:
        verbs, kind = self._resource.verbs, self._resource.kind
        if "list" in verbs:
            yield self._listing(self._collection, f"list{self._camel}{self._scope}{kind}", self._within)
        if "create" in verbs:
            yield self._create(self._collection, kind, self._type, self._kind(), self._within)
        if "deletecollection" in verbs:
            yield self._delete_all()
        item, within = f"{self._collection}/{{name}}", ("name", *self._within)
        yield from self._on_item(item, verbs, kind, self._type, self._kind(), within)
        if "delete" in verbs:
            yield self._delete(item, within)
        for part in self._resource.subresources:
            yield from self._part(item, part, within)
        if self._resource.namespaced and "list" in verbs:
            everywhere = f"{self._root}/{self._resource.plural}"
            yield self._listing(everywhere, f"list{self._camel}{kind}ForAllNamespaces", ())
        if "watch" in verbs and not self._is_custom:
            yield from self._watches()

    def _kind(self) -> tuple[str, str, str]:
        return self._resource.group, self._resource.version, self._resource.kind

    def _make(self, path: str, method: str, identifier: str, action: str, **rest: object) -> Operation:
        tag = snake_tag(self._resource.group, self._resource.version)
        values = {"kind": self._kind(), "produces": self._media, **rest}
        return Operation(path, method, identifier, action, tag=tag, **values)  # type: ignore[arg-type]

    def _listing(self, path: str, identifier: str, within: tuple[str, ...]) -> Operation:
        return self._make(path, "get", identifier, "list", query=_LIST, path_parameters=within,
                          answer=self._list_type, produces=self._media + self._streams)  # fmt: skip

    def _create(
        self, path: str, what: str, body: str, kind: tuple[str, str, str], within: tuple[str, ...]
    ) -> Operation:
        return self._make(path, "post", f"create{self._camel}{self._scope}{what}", "post", kind=kind,
                          body=body, answer=body, query=_WRITE, path_parameters=within,
                          codes=("200", "201", "202"))  # fmt: skip

    def _delete_all(self) -> Operation:
        name = f"delete{self._camel}Collection{self._scope}{self._resource.kind}"
        return self._make(self._collection, "delete", name, "deletecollection", query=_DELETE_ALL,
                          path_parameters=self._within, body=META + "DeleteOptions",
                          answer=META + "Status")  # fmt: skip

    def _delete(self, path: str, within: tuple[str, ...]) -> Operation:
        name = f"delete{self._camel}{self._scope}{self._resource.kind}"
        return self._make(path, "delete", name, "delete", query=_DELETE, path_parameters=within,
                          body=META + "DeleteOptions", answer=META + "Status",
                          codes=("200", "202"))  # fmt: skip

    def _on_item(
        self, path: str, verbs: tuple[str, ...], what: str, body: str, kind: tuple[str, str, str],
        within: tuple[str, ...],
    ) -> Iterator[Operation]:  # fmt: skip
        name = f"{self._camel}{self._scope}{what}"
        about = {"kind": kind, "answer": body, "path_parameters": within}
        if "get" in verbs:
            yield self._make(path, "get", f"read{name}", "get", **about)
        if "update" in verbs:
            yield self._make(path, "put", f"replace{name}", "put", body=body, query=_WRITE,
                             codes=("200", "201"), **about)  # fmt: skip
        if "patch" in verbs:
            yield self._make(path, "patch", f"patch{name}", "patch", body=META + "Patch",
                             query=(*_WRITE, "force"), codes=("200", "201"), consumes=self._patches,
                             **about)  # fmt: skip

    def _part(self, item: str, part: Subresource, within: tuple[str, ...]) -> Iterator[Operation]:
        path, what = f"{item}/{part.name}", self._resource.kind + part.name.capitalize()
        if part.name in _CONNECT:
            yield from self._connect(path, part, what, within)
        elif part.name == "log":
            yield self._make(path, "get", f"read{self._camel}{self._scope}{what}", "get", query=_LOG,
                             path_parameters=within, produces=("text/plain", *JSON_TYPES))  # fmt: skip
        else:
            group, version = self._resource.group, self._resource.version
            if part.version:
                group, version = part.group, part.version
            kind = (group, version, part.kind or self._resource.kind)
            body = type_of(f"{group}/{version}" if group else version, kind[2])
            body = self._type if self._is_custom and not part.kind else body if known(body) else ""
            yield from self._on_item(path, part.verbs, what, body, kind, within)
            if "create" in part.verbs:
                yield self._create(path, what, body, kind, within)

    def _connect(
        self, path: str, part: Subresource, what: str, within: tuple[str, ...]
    ) -> Iterator[Operation]:
        options, methods, query = _CONNECT[part.name]
        group, version, _ = self._kind()
        kind = (group, version, options or f"{self._resource.kind}ProxyOptions")
        tails = [("", "", query, within)]
        if part.name == "proxy":
            tails.append(("/{path}", "WithPath", (), (*within, "path")))
        for tail, suffix, asked, places in tails:
            for method in methods:
                name = f"connect{self._camel}{method.capitalize()}{self._scope}{what}{suffix}"
                yield self._make(path + tail, method, name, "connect", kind=kind, query=asked,
                                 path_parameters=places, produces=("*/*",), pretty=False)  # fmt: skip

    def _watches(self) -> Iterator[Operation]:
        kind, root = self._resource.kind, f"{self._root}/watch"
        collection = self._collection.replace(self._root, root, 1)
        name = f"watch{self._camel}{self._scope}{kind}"
        forms = [(collection, f"{name}List", "watchlist", self._within)]
        if "get" in self._resource.verbs:
            forms.append((f"{collection}/{{name}}", name, "watch", ("name", *self._within)))
        if self._resource.namespaced:
            everywhere = f"watch{self._camel}{kind}ListForAllNamespaces"
            forms.append((f"{root}/{self._resource.plural}", everywhere, "watchlist", ()))
        for path, identifier, action, within in forms:
            yield self._make(path, "get", identifier, action, query=_LIST, path_parameters=within,
                             answer=META + "WatchEvent", produces=self._media + self._streams)  # fmt: skip
