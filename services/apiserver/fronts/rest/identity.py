"""Who asks, and whether he may: until RBAC is served, the members of system:masters may do everything.

Anybody may ask for the version and for health. Everything else asked by others is refused, in the words in
which RBAC refuses where no rule allows.
"""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from services.api import errors
from services.apiserver.fronts.rest.paths import Path
from services.apiserver.fronts.rest.verbs import TRUE

MASTERS = "system:masters"
PUBLIC = ("/healthz", "/livez", "/readyz", "/version")
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "HEAD": "get"}


@dataclass(frozen=True, slots=True)
class User:
    name: str
    groups: tuple[str, ...]


ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))


def of(request: web.Request) -> User:
    """From the client's certificate. ApiError (401) for credentials that nobody knows."""
    if request.headers.get("Authorization"):
        raise errors.failure(401, "Unauthorized", "Unauthorized")
    found = request.transport.get_extra_info("peercert") if request.transport else None
    if not found:
        return ANONYMOUS
    subject = [pair for entry in found.get("subject", ()) for pair in entry]
    name = next((value for key, value in subject if key == "commonName"), "")
    groups = tuple(value for key, value in subject if key == "organizationName")
    return User(name, (*groups, "system:authenticated")) if name else ANONYMOUS


def check(user: User, request: web.Request, raw_path: str, path: Path | None) -> None:
    """ApiError (403)."""
    if MASTERS in user.groups or raw_path.rstrip("/").startswith(PUBLIC):
        return
    if path is None:
        verb = _VERBS.get(request.method, "get")
        why = f'User "{user.name}" cannot {verb} path "{raw_path}"'
        raise errors.failure(403, "Forbidden", f"forbidden: {why}", {})
    scope = f' in the namespace "{path.namespace}"' if path.namespace else " at the cluster scope"
    part = f"{path.plural}/{path.subresource}" if path.subresource else path.plural
    what = f'{_verb(request, path)} resource "{part}" in API group "{path.group}"{scope}'
    why = f'User "{user.name}" cannot {what}'
    subject = f"{path.plural}.{path.group}" if path.group else path.plural
    name = f' "{path.name}"' if path.name else ""
    details = {"name": path.name, "group": path.group, "kind": path.plural}
    raise errors.failure(403, "Forbidden", f"{subject}{name} is forbidden: {why}", details)


def _verb(request: web.Request, path: Path) -> str:
    if request.method == "GET":
        if path.watches or request.query.get("watch", "") in TRUE:
            return "watch"
        return "get" if path.name else "list"
    if request.method == "DELETE" and not path.name:
        return "deletecollection"
    return _VERBS.get(request.method, request.method.lower())
