"""From the words after a verb to objects: `pods`, `po,svc`, `pod a b`, `pod/a deploy/b`, `all`.

`parse` says which resources were meant, or what is wrong with the words; `fetch` reads them. The
sentences are those of upstream's resource builder.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from services.api import kinds
from services.api.errors import ApiError
from services.kubectl import served
from services.kubectl.errors import Fail, Verbatim, quote
from services.kubectl.session import Session

Json = dict[str, Any]

NO_RESOURCE = (
    "You must provide one or more resources by argument or filename.\n"
    "Example resource specifications include:\n"
    "   '-f rsrc.yaml'\n   '--filename=rsrc.json'\n   '<resource> <name>'\n   '<resource>'"
)
NO_NAME = "resource(s) were provided, but no name was specified"


@dataclass(frozen=True)
class Wanted:
    """One kind and the name asked for; an empty name means the whole collection."""

    resource: kinds.Resource
    name: str = ""


@dataclass
class Found:
    """An object that was read, and how it was named."""

    resource: kinds.Resource
    object: Json

    @property
    def name(self) -> str:
        return str(self.object["metadata"].get("name", ""))

    @property
    def namespace(self) -> str:
        return str(self.object["metadata"].get("namespace", ""))


def lookup(word: str) -> kinds.Resource:
    """The resource that a word means."""
    found = next(served.lookup(word), None)
    if found is None:
        error = Fail if served.is_asked() else served.Unserved
        raise error(f"the server doesn't have a resource type {quote(word.partition('.')[0])}")
    return found


def lookup_all(words: str) -> list[kinds.Resource]:
    """`po,svc`, `all`: commas part types, a category stands for several."""
    result: list[kinds.Resource] = []
    for word in words.split(","):
        category = [resource for resource in served.preferred() if word in resource.categories]
        if category and not served.is_asked():
            raise served.Unserved(word)  # others may belong to it
        for resource in category or [lookup(word)]:
            if resource not in result:
                result.append(resource)
    return result


def parse(session: Session, args: Sequence[str], *, collections: bool = True) -> list[Wanted]:
    """What the arguments ask for. Without `collections`, every kind needs a name."""
    if not args:
        raise Fail(NO_RESOURCE)
    slashes = sum("/" in arg for arg in args)
    if slashes == len(args):
        return [_combined(arg) for arg in args]
    if slashes:
        base = session.world.program
        raise Fail(
            "there is no need to specify a resource type as a separate argument when passing arguments in"
            f" resource/name form (e.g. '{base} get resource/<resource_name>' instead of '{base} get resource"
            " resource/<resource_name>'"
        )
    resources = lookup_all(args[0])
    if len(args) == 1:
        if not collections:
            raise Fail(NO_NAME)
        return [Wanted(resource) for resource in resources]
    return [Wanted(resource, name) for resource in resources for name in args[1:]]


def _combined(arg: str) -> Wanted:
    words = arg.split("/")
    if len(words) != 2:
        raise Fail("arguments in resource/name form may not have more than one slash")
    if not words[0] or not words[1]:
        raise Fail("arguments in resource/name form must have a single resource and name")
    return Wanted(lookup(words[0]), words[1])


def check(
    wanted: Iterable[Wanted], *, selector: str = "", all_namespaces: bool = False, everything: bool = False
) -> None:
    """Refuses names beside selectors, and names across namespaces."""
    named = any(item.name for item in wanted)
    if named and selector:
        raise Fail("name cannot be provided when a selector is specified")
    if named and everything:
        raise Fail("setting 'all' parameter but found a non empty selector. ")
    if named and all_namespaces:
        raise Fail("a resource cannot be retrieved by name across all namespaces")


def namespace_of(session: Session, resource: kinds.Resource, *, all_namespaces: bool = False) -> str:
    return "" if all_namespaces or not resource.namespaced else session.namespace


async def fetch(
    session: Session,
    wanted: Iterable[Wanted],
    *,
    labels: str = "",
    fields: str = "",
    all_namespaces: bool = False,
) -> tuple[list[Found], list[Exception]]:
    """Reads every object asked for; what could not be read stands in the second list."""
    found: list[Found] = []
    errors: list[Exception] = []
    for item in wanted:
        namespace = namespace_of(session, item.resource, all_namespaces=all_namespaces)
        try:
            if item.name:
                obj = await session.client.get(item.resource, item.name, namespace)
                found.append(Found(item.resource, complete(item.resource, obj)))
            else:
                objects = await session.client.list(item.resource, namespace, labels=labels, fields=fields)
                found += [Found(item.resource, complete(item.resource, obj)) for obj in objects]
        except ApiError as error:
            errors.append(selector_error(error, item.resource, labels, fields))
    return found, errors


def selector_error(error: ApiError, resource: kinds.Resource, labels: str, fields: str) -> ApiError:
    """Says which query the server could not understand, as kubectl does."""
    if error.code != 400 or not (labels or fields):
        return error
    where = f"{resource.group}/{resource.version}, Resource={resource.plural}"
    message = (
        f"Unable to find {quote(where)} that match label selector {quote(labels)},"
        f" field selector {quote(fields)}: {error.message}"
    )
    return ApiError({**error.status, "message": message})


async def one(session: Session, args: Sequence[str]) -> Found:
    """Exactly the one object that the arguments name."""
    wanted = parse(session, args, collections=False)
    found, errors = await fetch(session, wanted)
    if errors:
        raise errors[0]
    if len(found) != 1:
        raise Verbatim("error: expected exactly one object")
    return found[0]


def complete(resource: kinds.Resource, obj: Json) -> Json:
    """Puts apiVersion and kind first, where an item of a list may lack them."""
    if "kind" in obj and "apiVersion" in obj:
        return obj
    return {"apiVersion": resource.api_version, "kind": resource.kind, **obj}


def without_managed_fields(obj: Json) -> Json:
    """What kubectl shows: who manages which field only on request."""
    obj.get("metadata", {}).pop("managedFields", None)
    return obj
