"""Reviews over HTTPS: posted, answered, never stored."""

from __future__ import annotations

from aiohttp import web

from services.api import errors
from services.api.kinds import Resource
from services.apiserver.fronts.rest import bodies
from services.apiserver.fronts.rest.negotiation import negotiate
from services.apiserver.fronts.rest.options import write_options
from services.apiserver.fronts.rest.paths import Path
from services.apiserver.fronts.rest.verbs import respond
from services.apiserver.fronts.reviews import Reviews


async def handle(reviews: Reviews, request: web.Request, path: Path, resource: Resource) -> web.Response:
    """ApiError 400, 405, 415, 422."""
    written = negotiate(request.headers.get("Accept", ""))
    if request.method != "POST" or path.name:
        raise errors.method_not_allowed()
    options = write_options(request)
    body = await bodies.read_object(request, resource.kind)
    review, warnings = await reviews.answer(resource, path.namespace, body.json, options)
    return respond(review, written, status=201, warnings=warnings)
