"""`explain`: what fields a kind has, from the server's own documents."""

from __future__ import annotations

from services.api import kinds
from services.kubectl import resources, served
from services.kubectl.commands.registry import Command
from services.kubectl.errors import Fail, Verbatim, quote
from services.kubectl.explaining import Explainer, FieldUnknown
from services.kubectl.flags import Flag, boolean, text
from services.kubectl.session import Session

FLAGS: tuple[Flag, ...] = (
    text("api-version", "Of the kind in this group and version"),
    text("output", "How to show it: plaintext", short="o", default="plaintext"),
    boolean("recursive", "All fields below, a line each", short="R"),
)


async def run(session: Session) -> None:
    if not session.args:
        raise Fail(
            "You must specify the type of resource to explain. "
            f'Use "{session.world.program} api-resources" for a complete list of supported resources.\n'
        )
    if len(session.args) > 1:
        raise Fail("We accept only this format: explain RESOURCE\n")
    words = session.args[0].split(".")
    if session.flags["output"] != "plaintext":
        raise Fail(f"unrecognized format: {session.flags['output']}")
    resource, path = _resource(session.args[0], session.flags["api-version"])
    document = await session.client.openapi(resource.group, resource.version)
    try:
        explainer = Explainer(document, resource.group, resource.version, resource.kind)
    except KeyError:
        raise Fail(f"couldn't find resource for {quote(words[0])}") from None
    session.write(explainer.head())
    try:
        session.write(explainer.body(path, recursive=session.flags["recursive"]))
    except FieldUnknown as error:
        raise Fail(str(error)) from None


def _resource(asked: str, api_version: str) -> tuple[kinds.Resource, list[str]]:
    """The resource that the first words name (`deployments.apps` too), and the path of fields behind them."""
    words = [word for word in asked.split(".") if word]
    if not words:
        raise Fail(f"couldn't find resource for {quote(asked)}")
    for count in range(len(words), 0, -1):
        found = list(served.lookup(".".join(words[:count])))
        if api_version:
            found = [each for each in found if each.api_version == api_version]
        if found:
            return found[0], words[count:]
    if api_version:
        resource = resources.lookup(words[0])
        raise Fail(f"couldn't find resource for {quote(f'{api_version}, Resource={resource.plural}')}")
    if not served.is_asked():
        raise served.Unserved(words[0])
    raise Verbatim(f"the server doesn't have a resource type {quote(words[0])}")


EXPLAIN = Command(
    "explain",
    "explain TYPE [--recursive=FALSE|TRUE] [--api-version=api-version-group]",
    "Describe fields and structure of various resources.",
    run=run,
    flags=FLAGS,
)
