"""Node operations in the supervisor: machines that come, go, lose their power and get it back.

Each node is a process; what `orrery node` asks for here is a change of the processes and of
cluster.json, so that the cluster has the same nodes after `orrery down` and `orrery up`. What concerns the
API server (the Node object of a machine that is gone) is the business of the command itself.
Hollow nodes share one process and cannot be switched one by one: they are refused by name.
Requests that make no sense raise `Refused`, whose text is for the user.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
from typing import Any

from services.launcher.addresses import Addresses
from services.launcher.etcd_binary import flags_for
from services.launcher.home import Home
from services.launcher.plan import NODES_MAX, PREFERRED_PORTS, NodeSpec, Options, make_plan
from services.launcher.ports import choose
from services.launcher.supervisor import Child, Supervisor
from services.machinery import quantity
from services.machinery.clock import Clock

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
NAME_LENGTH_MAX = 63  # of a host name
LIKE_A_COMPONENT = ("etcd", "apiserver", "registry", "scheduler", "controller-manager", "nodes", "orrery")


class Refused(Exception):
    """What was asked cannot be done."""


class NodeOperations:
    def __init__(self, home: Home, supervisor: Supervisor, clock: Clock) -> None:
        self._home, self._supervisor, self._clock = home, supervisor, clock
        self._one_at_a_time = asyncio.Lock()

    async def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        async with self._one_at_a_time:
            try:
                return await self._act(request)
            except Refused as refusal:
                return {"error": str(refusal)}

    async def _act(self, request: dict[str, Any]) -> dict[str, Any]:
        verb, options = request["verb"], self._options()
        if verb == "list":
            return {"nodes": [self._describe(name, options) for name in options.node_names()]}
        if verb == "add":
            return {"name": await self._add(options, request)}
        name = str(request["name"])
        child = self._child(name, options)
        if verb == "remove":
            await self._remove(name, child, options)
        elif verb == "stop":
            self._write(options, stopped={*options.stopped, name})
            await self._supervisor.power_off(child)
        elif verb in ("start", "reboot"):
            if verb == "start" and child.running:
                raise Refused(f'node "{name}" is running already')
            self._write(options, stopped={*options.stopped} - {name})
            await self._supervisor.power_cycle(child)
        else:
            raise Refused(f"no command {verb!r}")
        return {"ok": True}

    # ---- The record --------------------------------------------------------------------------

    def _options(self) -> Options:
        return Options.from_json(self._home.read()["options"])

    def _write(self, options: Options, **changes: Any) -> Options:
        """The record with these changes. What else stands in it stays."""
        record = self._home.read()
        fields = {
            **options.to_json(),
            **{k: sorted(v) if isinstance(v, set) else v for k, v in changes.items()},
        }
        new = Options.from_json(fields)
        record["options"] = new.to_json()
        record["components"] = [*self._supervisor.children]
        self._home.write(record)
        return new

    def _child(self, name: str, options: Options) -> Child:
        child = self._supervisor.children.get(name)
        if name not in options.node_names():
            raise Refused(f'node "{name}" not found')
        if child is None:
            raise Refused(
                f'node "{name}" is hollow: it shares the process "nodes" with the others, and cannot be '
                "switched on its own; `orrery kill nodes` stops them all"
            )
        return child

    def _describe(self, name: str, options: Options) -> dict[str, Any]:
        child = self._supervisor.children.get(name) or self._supervisor.children.get("nodes")
        spec = next((spec for spec in options.added if spec.name == name), NodeSpec(name))
        return {
            "name": name,
            "state": child.state if child else "stopped",
            "pid": child.process.pid if child and child.running and child.process else None,
            "address": child.component.address if child else "",
            "hollow": name not in self._supervisor.children,
            "cpu": spec.cpu,
            "memory": spec.memory,
        }

    # ---- Coming and going --------------------------------------------------------------------

    async def _add(self, options: Options, request: dict[str, Any]) -> str:
        names = options.node_names()
        if len(names) >= NODES_MAX:
            raise Refused(f"a cluster has at most {NODES_MAX} nodes")
        name = request.get("name") or _next_name(names)
        _check_name(name, names, self._supervisor)
        await self._certify(name)
        spec = NodeSpec(name, _checked(request, "cpu"), _checked(request, "memory"), _labels(request))
        removed = {*options.removed} - {name}
        record = self._home.read()
        former = record.get("ports", {})
        port = choose(str(self._home.path), [(name, PREFERRED_PORTS["node"])], former, self._clock)
        record["ports"] = {**former, **port}
        addresses = Addresses.from_json(record.get("addresses", {})).with_nodes(
            [*_own_processes(names, options), name]
        )
        record["addresses"] = addresses.to_json()
        self._home.write(record)
        if name in (f"node-{number}" for number in range(1, options.nodes + 1)) and not spec.flags():
            wanted = self._write(options, removed=removed)  # One of the first ones comes back.
        else:
            wanted = self._write(options, added=[*map(_plain, options.added), _plain(spec)])
        data, run, etcd_flags = self._home.data, self._home.run, flags_for((3, 5))
        plan = make_plan(wanted, record["ports"], data, run, "", etcd_flags, addresses)
        component = plan.component(name)
        assert component is not None
        self._supervisor.add(component)
        self._write(wanted)
        return name

    async def _certify(self, name: str) -> None:
        """In a process of its own: what makes certificates would stay in this one for as long as it lives."""
        argv = (sys.executable, "-m", "services.process.keys", str(self._home.keys), "--node", name)
        making = await asyncio.create_subprocess_exec(*argv, stdin=asyncio.subprocess.DEVNULL)
        if await making.wait():
            raise Refused(
                f'no certificate could be made for node "{name}"; see {self._home.log_of("orrery")}'
            )

    async def _remove(self, name: str, child: Child, options: Options) -> None:
        await self._supervisor.remove(child)
        added = [_plain(spec) for spec in options.added if spec.name != name]
        removed = {*options.removed}
        if any(name == f"node-{number}" for number in range(1, options.nodes + 1)):
            removed.add(name)
        self._write(options, added=added, removed=removed, stopped={*options.stopped} - {name})
        for folder in (self._home.run / name, self._home.nodes / name):
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _own_processes(names: list[str], options: Options) -> list[str]:
    """Those with an address of their own: hollow nodes have none."""
    return [spec.name for spec in options.added] if options.hollow else names


def _plain(spec: NodeSpec) -> dict[str, str]:
    return {field: getattr(spec, field) for field in spec.__dataclass_fields__}


def _next_name(names: list[str]) -> str:
    """The number after the highest: a name that is free is not reused while others come after it."""
    numbers = [int(name[5:]) for name in names if re.fullmatch(r"node-\d{1,9}", name)]
    return f"node-{max(numbers, default=0) + 1}"


def _check_name(name: str, names: list[str], supervisor: Supervisor) -> None:
    if len(name) > NAME_LENGTH_MAX or not _NAME.fullmatch(name):
        raise Refused(f'"{name}" is no name for a node: lower case letters, digits, "-" and "." make one')
    if name in names:
        raise Refused(f'node "{name}" already exists')
    if name in supervisor.children or name.startswith(LIKE_A_COMPONENT):
        raise Refused(f'"{name}" is the name of another component')


def _checked(request: dict[str, Any], key: str) -> str:
    text = str(request.get(key) or "")
    try:
        if text and quantity.milli(text) <= 0:
            raise ValueError
    except ValueError:
        raise Refused(f"--{key}: {text!r} is no quantity above zero, such as 4 or 8Gi") from None
    return text


def _labels(request: dict[str, Any]) -> str:
    text = str(request.get("labels") or "")
    for pair in filter(None, text.split(",")):
        key, equals, _ = pair.partition("=")
        if not key or not equals:
            raise Refused(f"--labels: {pair!r} is not KEY=VALUE")
    return text
