"""How an answer is to be written, from the Accept header; and how a request's body is. Pure.

Upstream's rules: the first acceptable type by quality; a type with `as=` counts only with a group and version
that exist. Protobuf is read but never written: clients that prefer it take JSON too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from services.api import errors
from services.api.errors import ApiError

JSON, YAML = "application/json", "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
OFFERED = "application/json, application/yaml, application/vnd.kubernetes.protobuf"
Shape = Literal["", "Table", "PartialObjectMetadata", "PartialObjectMetadataList"]
_SHAPES: tuple[Shape, ...] = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")
_VERSIONS = ("v1", "v1beta1")


@dataclass(frozen=True, slots=True)
class Written:
    """The media type, and whether the object itself or a view of it is wanted."""

    media: str = JSON
    shape: Shape = ""
    version: str = "v1"  # of meta.k8s.io, for a shape
    pretty: bool = False


def negotiate(accept: str, *, shapes: bool = True) -> Written:
    """ApiError (406)."""
    if not accept:
        return Written()
    refused = False
    for media, parameters in by_quality(accept):
        if media not in (JSON, YAML, "*/*"):
            continue
        shape = parameters.get("as", "")
        if not shape:
            pretty = parameters.get("pretty") in ("1", "true")
            return Written(YAML if media == YAML else JSON, pretty=pretty)
        known = next((each for each in _SHAPES if each == shape), None)
        version = parameters.get("v", "")
        if shapes and known and parameters.get("g") == "meta.k8s.io" and version in _VERSIONS:
            return Written(YAML if media == YAML else JSON, known, version)
        refused = True
    raise _shape_refused() if refused else _media_refused()


def by_quality(accept: str) -> list[tuple[str, dict[str, str]]]:
    found = []
    for index, entry in enumerate(accept.split(",")):
        media, *rest = (part.strip() for part in entry.split(";"))
        parameters = dict(part.partition("=")[::2] for part in rest if "=" in part)
        try:
            quality = float(parameters.pop("q", "1"))
        except ValueError:
            quality = 0.0
        found.append((-quality, index, media.lower(), parameters))
    return [(media, parameters) for _, _, media, parameters in sorted(found, key=lambda each: each[:2])]


def _media_refused() -> ApiError:
    message = f"406: Not Acceptable\n\nAvailable representations: {OFFERED}"
    return errors.failure(406, "NotAcceptable", message, {})


def _shape_refused() -> ApiError:
    message = f"only the following media types are accepted: {OFFERED}"
    error = errors.failure(406, "NotAcceptable", message, {})
    error.status.pop("details", None)
    return error


def not_a_stream() -> ApiError:
    offered = "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"
    error = errors.failure(406, "NotAcceptable", f"only the following media types are accepted: {offered}")
    error.status.pop("details", None)
    return error


def body_media(content_type: str) -> str:
    """JSON, YAML or protobuf. ApiError (415)."""
    media = content_type.partition(";")[0].strip().lower()
    if media in ("", JSON):
        return JSON
    if media in (YAML, PROTOBUF):
        return media
    message = f"the body of the request was in an unknown format - accepted media types include: {OFFERED}"
    error = errors.failure(415, "UnsupportedMediaType", message, {})
    error.status.pop("details", None)
    raise error
