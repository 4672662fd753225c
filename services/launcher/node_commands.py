"""`orrery node`: what the supervisor does with a machine, and what its Node needs beside that.

The supervisor switches machines (nodes.py); here stand the parts that speak to the cluster: waiting
until a node is Ready, deleting the Node of one that was removed, and the calls to a node itself
(pressure, graceful shutdown). Every refusal is one line on stderr and exit code 1.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import Any

from services.api import errors
from services.api.core_v1 import Node
from services.api.errors import ApiError
from services.client.client import connect
from services.client.credentials import of_administrator
from services.launcher import control
from services.launcher.home import Home
from services.launcher.machine_client import apiserver_of, machine
from services.launcher.readiness import Wait, wait_until_ready
from services.process.clock import SystemClock

READY_SECONDS = 120.0
SWITCH_SECONDS = 60.0  # how long the supervisor may take over one request
HEAD = ("NAME", "STATE", "PID", "ADDRESS", "CPU", "MEMORY")


class Refused(Exception):
    """One line for the user."""


def run(home: Home, flags: argparse.Namespace) -> int:
    try:
        asyncio.run(_VERBS[flags.verb](home, flags))
    except (Refused, ApiError) as error:
        print(f"orrery: {error}", file=sys.stderr)
        return 1
    except TimeoutError:
        print(f"orrery: the node was not Ready within {READY_SECONDS:g}s; see `orrery logs`", file=sys.stderr)
        return 1
    return 0


def ask(home: Home, verb: str, **request: Any) -> dict[str, Any]:
    """One request to the supervisor. Refused in its words; control.NotRunning when there is none."""
    answer = control.ask(home, {"command": "node", "verb": verb, **request}, SWITCH_SECONDS)
    if "error" in answer:
        raise Refused(answer["error"])
    return answer


async def list_nodes(home: Home, flags: argparse.Namespace) -> None:
    rows = [HEAD, *(_row(node) for node in ask(home, "list")["nodes"])]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    for row in rows:
        print("   ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def _row(node: dict[str, Any]) -> tuple[str, ...]:
    state = f"{node['state']} (hollow)" if node["hollow"] else node["state"]
    return (
        *(node["name"], state, str(node["pid"] or "-"), node["address"] or "-"),
        *(node["cpu"] or "4", node["memory"] or "8Gi"),
    )


async def add(home: Home, flags: argparse.Namespace) -> None:
    begun = SystemClock().now()
    name = ask(home, "add", name=flags.name, cpu=flags.cpu, memory=flags.memory, labels=flags.labels)["name"]
    await _until_ready(home, flags, Wait(begun, 1, (name,)))
    print(f"node/{name} added")


async def remove(home: Home, flags: argparse.Namespace) -> None:
    ask(home, "remove", name=flags.name)
    mine = of_administrator(home.path)
    async with connect(apiserver_of(home), user_agent="orrery", credentials=mine) as client:
        try:
            await client.delete(Node, flags.name)
        except ApiError as error:
            if not errors.is_not_found(error):
                text = f"the machine is gone, but not its Node: {error.message}; ok delete node {flags.name}"
                raise Refused(text) from error
    print(f"node/{flags.name} removed")


async def stop(home: Home, flags: argparse.Namespace) -> None:
    await _shut_down(home, flags)
    ask(home, "stop", name=flags.name)
    print(f"node/{flags.name} stopped")


async def start(home: Home, flags: argparse.Namespace) -> None:
    begun = SystemClock().now()
    ask(home, "start", name=flags.name)
    await _until_ready(home, flags, Wait(begun, 1, (flags.name,)))
    print(f"node/{flags.name} started")


async def reboot(home: Home, flags: argparse.Namespace) -> None:
    await _shut_down(home, flags)
    begun = SystemClock().now()
    ask(home, "reboot", name=flags.name)
    await _until_ready(home, flags, Wait(begun, 1, (flags.name,)))
    print(f"node/{flags.name} rebooted")


async def _until_ready(home: Home, flags: argparse.Namespace, wait: Wait) -> None:
    if not flags.no_wait:
        mine = of_administrator(home.path)
        await wait_until_ready(apiserver_of(home), wait, READY_SECONDS, mine)


async def _shut_down(home: Home, flags: argparse.Namespace) -> None:
    if flags.graceful:
        async with machine(home, flags.name) as calls:
            await calls.shut_down(flags.grace_period, flags.critical_grace_period)


async def pressure(home: Home, flags: argparse.Namespace) -> None:
    async with machine(home, flags.name) as calls:
        state = await calls.pressure(flags.resource, flags.leave, clear=flags.clear)
    if flags.clear:
        print(f"node/{flags.name}: the {flags.resource} was given back; available: {state.available}")
        return
    print(
        f"node/{flags.name}: {state.consumed} of {flags.resource} taken; available: {state.available}, "
        f"eviction threshold: {state.threshold}"
    )


async def proxy_rules(home: Home, flags: argparse.Namespace) -> None:
    async with machine(home, flags.name) as calls:
        print(await calls.proxy_rules(), end="")


_VERBS = {
    "list": list_nodes,
    "add": add,
    "remove": remove,
    "stop": stop,
    "start": start,
    "reboot": reboot,
    "pressure": pressure,
    "proxy-rules": proxy_rules,
}
