"""From one version of a custom resource to another: by its apiVersion alone, or by the definition's webhook.

What is read from etcd may be in any version that was ever stored, and older than the schema: it is converted,
pruned and defaulted as upstream does when it decodes. A webhook is asked once for the objects of an
answer, if they are not too long for that. What it does wrong is told in upstream's words, as a fault of the
server (500).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any, Protocol

import orjson

from services.api import errors
from services.api.errors import ApiError
from services.apiserver.admission.reviews import NotAnswered
from services.apiserver.custom.resource import CustomResource
from services.apiserver.custom.strategy import ordered

Json = dict[str, Any]
REVIEW_BYTES_MAX = 1024 * 1024  # of objects in one question; the answer may be longer than that


class Converter(Protocol):
    async def convert(self, objects: Sequence[Json], api_version: str) -> list[Json]:
        """In the same order; those that are of that version already need no conversion. ApiError (500)."""
        ...


class NoConverter:
    """Strategy None: only the apiVersion differs."""

    async def convert(self, objects: Sequence[Json], api_version: str) -> list[Json]:
        return [{**obj, "apiVersion": api_version} for obj in objects]


class Call(Protocol):
    async def __call__(self, review: Json) -> Json:
        """The webhook's answer. NotAnswered."""
        ...


class WebhookConverter:
    """Strategy Webhook. `call` posts a ConversionReview."""

    def __init__(self, kind: str, versions: Sequence[str], call: Call, random: Random) -> None:
        self._kind, self._call, self._random = kind, call, random
        self._version = next((each for each in versions if each in ("v1", "v1beta1")), "")

    async def convert(self, objects: Sequence[Json], api_version: str) -> list[Json]:
        todo = [obj for obj in objects if obj["apiVersion"] != api_version]
        found: list[Json] = []
        for part in _parts(todo):
            found += await self._reviewed(part, api_version)
        made = iter(found)
        return [obj if obj["apiVersion"] == api_version else next(made) for obj in objects]

    async def _reviewed(self, objects: Sequence[Json], api_version: str) -> list[Json]:
        if not self._version:
            raise _failed("no supported conversion review versions")
        about = f"conversion webhook for {_shown_kind(objects[0])}"
        uid = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        review_version = f"apiextensions.k8s.io/{self._version}"
        request = {"uid": uid, "desiredAPIVersion": api_version, "objects": list(objects)}
        review = {"kind": "ConversionReview", "apiVersion": review_version, "request": request}
        try:
            answer = await self._call(review)
        except NotAnswered as error:
            raise _failed(f"{about} failed: {error}") from error
        found = self._converted(answer, uid, review_version, about)
        if len(found) != len(objects):
            raise _failed(f"{about} returned {len(found)} objects, expected {len(objects)}")
        return [
            _checked(old, new, api_version, f"{about} returned invalid", index, alone=len(objects) == 1)
            for index, (old, new) in enumerate(zip(objects, found, strict=True))
        ]

    def _converted(self, answer: Any, uid: str, review_version: str, about: str) -> list[Any]:
        why = ""
        response = answer.get("response") if isinstance(answer, dict) else None
        if self._version == "v1" and (
            not isinstance(answer, dict)
            or (answer.get("apiVersion"), answer.get("kind")) != (review_version, "ConversionReview")
        ):
            got = _shown_kind(answer if isinstance(answer, dict) else {})
            wanted = f"{review_version}, Kind=ConversionReview"
            why = f"expected webhook response of {wanted}, got {got}"
        elif not isinstance(response, dict):
            why = "no response provided"
        elif self._version == "v1" and response.get("uid") != uid:
            why = f'expected response.uid="{uid}", got "{response.get("uid", "")}"'
        else:
            why = _refusal(response.get("result"))
        if why or response is None:
            raise _failed(f"{about} failed: {why}")
        found = response.get("convertedObjects")
        return found if isinstance(found, list) else []


def _parts(objects: Sequence[Json]) -> Iterator[list[Json]]:
    """As many at a time as a webhook's answer may be long."""
    part: list[Json] = []
    size = 0
    for obj in objects:
        length = len(orjson.dumps(obj))
        if part and size + length > REVIEW_BYTES_MAX:
            yield part
            part, size = [], 0
        part.append(obj)
        size += length
    if part:
        yield part


def _refusal(result: Any) -> str:
    result = result if isinstance(result, dict) else {}
    status = result.get("status", "")
    if status == "Success":
        return ""
    return str(result.get("message") or f"response.result.status was '{status}', not 'Success'")


def _checked(old: Json, new: Any, api_version: str, about: str, index: int, *, alone: bool) -> Json:
    """The converted object with the metadata that a webhook may not change. ApiError (500)."""
    where = f"{about} object at index 0" if alone else f"{about} converted object at index {index}"
    if not isinstance(new, dict) or not new.get("kind"):
        raise _failed(f"{where}: Object 'Kind' is missing in '{orjson.dumps(new).decode()}'")
    if (got := new.get("apiVersion", "")) != api_version:
        raise _failed(f"{where}: invalid groupVersion (expected {api_version}, received {got})")
    if (got := new["kind"]) != old["kind"]:
        raise _failed(f"{where}: invalid kind (expected {old['kind']}, received {got})")
    meta, before = new.get("metadata"), old["metadata"]
    if not isinstance(meta, dict):
        at = "" if alone else f" in object at index {index}"
        raise _failed(f"{about} metadata{at}: missing metadata in converted object")
    for name, shown in (("name", "name"), ("namespace", "namespace"), ("uid", "UID")):
        if meta.get(name, "") != before.get(name, ""):
            why = f"must have the same {shown}: {before.get(name, '')} != {meta.get(name, '')}"
            raise _failed(f"{about} object: {why}" if alone else f"{where}: {why}")
    kept = {name: value for name, value in before.items() if name not in ("labels", "annotations")}
    for name in ("labels", "annotations"):
        if meta.get(name):
            kept[name] = meta[name]
    return {**new, "metadata": kept}


def _shown_kind(obj: Json) -> str:
    return f"{obj.get('apiVersion', '')}, Kind={obj.get('kind', '')}"


def _failed(why: str) -> ApiError:
    return errors.failure(500, "", why)


class CustomVersion:
    """How the generic store sees one version: what is stored, converted, pruned and defaulted."""

    fields: Mapping[str, str] = {}  # the same fields can be asked for in each version

    def __init__(self, resource: CustomResource, stored: CustomResource, converter: Converter) -> None:
        self.key = f"{resource.api_version} {resource.digest}"
        self._resource, self._stored, self._converter = resource, stored, converter

    async def shown(self, values: Sequence[bytes]) -> list[bytes]:
        wanted = self._resource.api_version
        objects: list[Json] = [orjson.loads(value) for value in values]
        strange = [index for index, obj in enumerate(objects) if obj.get("apiVersion") != wanted]
        if strange:
            made = await self._converter.convert([objects[index] for index in strange], wanted)
            for index, obj in zip(strange, made, strict=True):
                objects[index] = obj
        return [self._formed(obj, value) for obj, value in zip(objects, values, strict=True)]

    def _formed(self, obj: Json, value: bytes) -> bytes:
        rules = self._resource.compiled
        rules.prune(obj)
        rules.default(obj)
        made = orjson.dumps(ordered(obj))
        return value if made == value else made

    async def stored(self, obj: Json) -> Json:
        wanted = self._stored.api_version
        if obj.get("apiVersion") == wanted:
            return obj
        (made,) = await self._converter.convert([obj], wanted)
        self._stored.compiled.prune(made)
        return ordered(made)
