"""`get --raw`: a path of the REST API, answered as the server would answer it there."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import orjson

from services.api import errors
from services.client.transport import ListOptions, Target
from services.kubectl import served
from services.kubectl.errors import Fail, quote
from services.kubectl.session import Session


async def get(session: Session, path: str) -> None:
    if not path.startswith(("/", "http://", "https://")):
        raise Fail(f"--raw must be a valid URL path: parse {quote(path)}: invalid URI for request")
    url = urlsplit(path)
    parts = [part for part in url.path.split("/") if part]
    if parts == ["version"]:
        version = orjson.loads(await session.client.transport.version())
        session.write(orjson.dumps(version, option=orjson.OPT_INDENT_2).decode())
        return
    target = _target(parts)
    if target is None:
        raise errors.resource_unknown()
    if target.name:
        body = await session.client.get(
            target.resource, target.name, target.namespace, subresource=target.subresource
        )
    else:
        query = {key: values[-1] for key, values in parse_qs(url.query).items()}
        options = ListOptions(
            labels=query.get("labelSelector", ""),
            fields=query.get("fieldSelector", ""),
            limit=int(query.get("limit", "0")),
        )
        answer = await session.client.transport.list(target, options)
        items = [orjson.loads(item.json) for item in answer.items]
        body = {
            "kind": f"{target.resource.kind}List",
            "apiVersion": target.resource.api_version,
            "metadata": {"resourceVersion": answer.resource_version},
            "items": items,
        }
    session.write(orjson.dumps(body).decode() + "\n")


def _target(parts: list[str]) -> Target | None:
    """`/api/v1/namespaces/NS/pods/NAME/log` → what it names."""
    if parts[:1] == ["api"] and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    resource = served.named(group, version, rest[0])
    if resource is None and not served.is_asked():
        raise served.Unserved(f"the server doesn't have a resource type {rest[0]}")
    if resource is None or len(rest) > 3:
        return None
    name, subresource = [*rest[1:], "", ""][:2]
    return Target(resource, namespace, name, subresource)
