"""Plays what was recorded from a real Kubernetes against our API server, and tells the differences.

    python -m tests.golden.runner ADDRESS FOLDER... [--only NAME] [--ignore FIELD]

A case is played in order on a server that does not know its namespace. Requests for what we do
not serve are left out, and so are those that build on their answers. ACCEPTED lists what may differ, and why.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc.aio
import orjson

from services.pb.resource.v1 import resource_pb2 as pb
from tests.golden.accepted import ACCEPTED, SOMETIMES
from tests.golden.normal import by_manager, differences, normal
from tests.golden.requests import Asked, NotAsked, Server, Told, ask

Json = dict[str, Any]
GOLDEN = Path(os.environ.get("ORRERY_GOLDEN", Path(__file__).parents[2] / ".." / "shared" / "golden"))
DEFINITIONS = "customresourcedefinitions"
PATIENCE_SECONDS, PATIENCE_ATTEMPTS = 0.1, 200  # for what the server does by and by
_REFERENCE = re.compile(r"\{\{(\d+)\.([^}]+)\}\}")
_WARNING = re.compile(r'299 (?:\S+|-) "(.*)"', re.S)


def available(folder: str) -> bool:
    return (GOLDEN / folder).is_dir()


def cases(folder: str) -> Iterator[tuple[str, Json]]:
    """Name and content of each case, in the order in which they were recorded."""
    files = sorted((GOLDEN / folder).glob("*.json"), key=lambda path: (path.stem != "setup", path.stem))
    for path in files:
        case = orjson.loads(path.read_bytes())
        if "exchanges" in case:
            yield path.stem, case


@dataclass
class Report:
    """Of one case: how many answers were compared, what was left out and why, and what differs."""

    compared: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    accepted: list[str] = field(default_factory=list)
    found: list[str] = field(default_factory=list)


async def play(address: str, name: str, case: Json, ignore: Collection[str] = ()) -> Report:
    """Plays one case; `ignore` names fields that are not compared anywhere."""
    report = Report()
    async with grpc.aio.insecure_channel(
        address, options=(("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
    ) as channel:
        server = Server(channel)
        answers: dict[int, Json] = {}
        for index, exchange in enumerate(case["exchanges"]):
            try:
                request, body = prepare(exchange["request"], answers)
                asked = ask(request, body)
                told = await settled(server, asked, await server.tell(asked))
                if request.get("pauseBefore") and request["method"] == "GET":
                    told = await patiently(server, asked, exchange, told, ignore)
            except NotAsked as reason:
                report.left_out[str(reason)] += 1
                continue
            answers[index] = told.body
            _judge(report, name, index, exchange, told, ignore)
    return report


async def settled(server: Server, asked: Asked, told: Told) -> Told:
    """What is told of a definition once it is served, or never will be; anything else at once."""
    if asked.method != "POST" or asked.resource.plural != DEFINITIONS or told.status:
        return told
    if "dryRun" in asked.query:
        return told
    target = pb.Resource()
    target.CopyFrom(asked.target)
    target.name = told.body["metadata"]["name"]
    found: Json = {}
    for _ in range(PATIENCE_ATTEMPTS):
        found = (await server.tell(Asked("GET", asked.resource, target, {}))).body
        for condition in (found.get("status") or {}).get("conditions") or []:
            if condition["type"] == "Established" and condition["reason"] != "Installing":
                return told
        await asyncio.sleep(PATIENCE_SECONDS)  # the server's own work, of which nothing tells
    raise TimeoutError(f"the definition is not served: {found}")


async def patiently(
    server: Server, asked: Asked, exchange: Json, told: Told, ignore: Collection[str]
) -> Told:
    """Asked again for a while where the recorder gave the server time and it needs some too."""
    for _ in range(PATIENCE_ATTEMPTS):
        if not _differing(exchange["response"], told, ignore):
            break
        await asyncio.sleep(PATIENCE_SECONDS)
        told = await server.tell(asked)
    return told


def _differing(response: Json, told: Told, ignore: Collection[str]) -> list[str]:
    wanted = by_manager(normal(wanted_of(response), ignore))
    got = by_manager(normal(_got(told, response), ignore))
    return list(differences(wanted, got))


def _judge(
    report: Report, name: str, index: int, exchange: Json, told: Told, ignore: Collection[str]
) -> None:
    response, where = exchange["response"], f"{name} #{index} {_title(exchange)}"
    if exchange.get("role") != "check":
        if told.status and (reason := ACCEPTED.get((name, index))):
            report.accepted.append(f"{where}: {reason}")
        elif told.status:
            report.found.append(f"{where}: set-up failed: {told.body.get('message', told.body)}")
        return
    report.compared += 1
    found = _differing(response, told, ignore)
    reason = ACCEPTED.get((name, index)) or ACCEPTED.get((name, -1))
    if not found:
        if reason and reason not in SOMETIMES and not ignore:
            report.found.append(f"{where}: is as recorded, although {reason!r}")
    elif reason:
        report.accepted.append(f"{where}: {reason}")
    else:
        report.found.append(f"{where}: " + "; ".join(found[:4]))


def _title(exchange: Json) -> str:
    request = exchange["request"]
    return f"{request['method']} {request['path'][-90:]}"


def wanted_of(response: Json) -> Json:
    status = response["status"]
    warnings = [match[1] if (match := _WARNING.match(w)) else w for w in response.get("warnings") or []]
    return {
        "status": 0 if status < 300 else status,
        "body": response.get("body"),
        "warnings": [warning.replace('\\"', '"').replace("\\\\", "\\") for warning in warnings],
    }


def _got(told: Told, response: Json) -> Json:
    body: Any = told.body
    if response.get("body") is None:
        body = None
    return {"status": told.status, "body": body, "warnings": told.warnings}


def prepare(request: Json, answers: dict[int, Json]) -> tuple[Json, bytes]:
    """The request with references to earlier answers filled in, and its body."""
    request = {**request, "path": resolve(request["path"], answers)}
    if "bodyFrom" in request:
        if request["bodyFrom"] not in answers:
            raise NotAsked("builds on an answer that was left out")
        body = orjson.loads(orjson.dumps(answers[request["bodyFrom"]]))
        return request, orjson.dumps(_merge(body, resolve(request.get("overlay") or {}, answers)))
    if "rawBody" in request:
        if "bytes in all" in request["rawBody"]:
            raise NotAsked("a body that was only described")
        return request, request["rawBody"].encode()
    if "body" in request:
        return request, orjson.dumps(resolve(request["body"], answers))
    return request, b""


def resolve(value: Any, answers: dict[int, Json]) -> Any:
    if isinstance(value, str):
        return _REFERENCE.sub(lambda match: str(_field(answers, int(match[1]), match[2])), value)
    if isinstance(value, dict):
        return {name: resolve(each, answers) for name, each in value.items()}
    if isinstance(value, list):
        return [resolve(each, answers) for each in value]
    return value


def _field(answers: dict[int, Json], index: int, path: str) -> Any:
    if index not in answers:
        raise NotAsked("builds on an answer that was left out")
    value: Any = answers[index]
    for name in path.split("."):
        try:
            value = value[int(name)] if isinstance(value, list) else value[name]
        except (KeyError, IndexError, TypeError):
            return ""
    return value


def _merge(target: Json, patch: Json) -> Json:
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        elif isinstance(value, dict) and isinstance(target.get(name), dict):
            _merge(target[name], value)
        else:
            target[name] = value
    return target


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.golden.runner")
    parser.add_argument("address")
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--only", default="")
    parser.add_argument("--ignore", action="append", default=[])
    flags = parser.parse_args()
    total, left_out = Counter[str](), Counter[str]()
    for folder in flags.folders:
        for name, case in cases(folder):
            if flags.only not in name:
                continue
            report = await play(flags.address, name, case, flags.ignore)
            total.update(
                compared=report.compared, accepted=len(report.accepted), differ=len(report.found), cases=1
            )
            left_out.update(report.left_out)
            print(*report.found, sep="\n", end="\n" if report.found else "")
    print(dict(total), "left out:", left_out.most_common(12))


if __name__ == "__main__":
    asyncio.run(main())
