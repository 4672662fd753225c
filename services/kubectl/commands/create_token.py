"""`create token`: a token in the name of a ServiceAccount, as the API server signs it."""

from __future__ import annotations

from typing import Any

from services.api import kinds
from services.api.errors import ApiError
from services.kubectl.errors import Fail
from services.kubectl.flags import Flag, seconds, text, texts
from services.kubectl.output.results import PRINT_FLAGS, Results
from services.kubectl.session import Session

Json = dict[str, Any]

_BINDABLE = {"Pod": "v1", "Secret": "v1", "Node": "v1"}
TOKEN_FLAGS: tuple[Flag, ...] = (
    *PRINT_FLAGS,
    texts("audience", "For whom the token is; by default the API server"),
    seconds("duration", "How long the token lasts; the server decides where this is not given"),
    text("bound-object-kind", f"What the token ends with: {', '.join(_BINDABLE)}"),
    text("bound-object-name", "The name of that object"),
    text("bound-object-uid", "Its uid"),
)


async def token(session: Session) -> None:
    if len(session.args) != 1:
        raise session.usage_error(f"exactly one NAME is required, got {len(session.args)}")
    resource = kinds.resource_of_kind("v1", "ServiceAccount")
    assert resource is not None
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": _spec(session)}
    try:
        answer = await session.client.create(
            resource, request, session.namespace, name=session.args[0], subresource="token"
        )
    except ApiError as error:
        raise Fail(f"failed to create token: {error.message}") from error
    obj = session.took(answer)
    if session.flags["output"]:
        Results(session, "created", "none").show(obj)
        return
    session.print((obj.get("status") or {}).get("token", ""))


def _spec(session: Session) -> Json:
    flags = session.flags
    spec: Json = {}
    if flags["audience"]:
        spec["audiences"] = list(flags["audience"])
    if flags["duration"] < 0:
        raise Fail("--duration must be greater than or equal to 0")
    if flags["duration"]:
        spec["expirationSeconds"] = int(flags["duration"])
    kind, name, uid = (flags[f"bound-object-{part}"] for part in ("kind", "name", "uid"))
    if not kind:
        for part, value in (("name", name), ("uid", uid)):
            if value:
                raise Fail(f"--bound-object-{part} can only be set if --bound-object-kind is provided")
        return spec
    if kind not in _BINDABLE:
        raise Fail(f"supported --bound-object-kind values are {', '.join(sorted(_BINDABLE))}")
    if not name:
        raise Fail("--bound-object-name is required if --bound-object-kind is provided")
    spec["boundObjectRef"] = {"apiVersion": _BINDABLE[kind], "kind": kind, "name": name}
    if uid:
        spec["boundObjectRef"]["uid"] = uid
    return spec
