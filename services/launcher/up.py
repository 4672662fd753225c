"""`orrery up`: one cluster without Docker, in the foreground or behind a detached supervisor."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from typing import Any

from services.launcher import control, kubeconfig
from services.launcher.addresses import LOOPBACK, Addresses
from services.launcher.addresses import choose as choose_addresses
from services.launcher.etcd_binary import find_etcd, flags_for, version_of
from services.launcher.home import Home
from services.launcher.plan import Options, Plan, make_plan, node_processes, port_names
from services.launcher.ports import choose
from services.launcher.supervisor import Supervisor
from services.machinery.clock import rfc3339_micro
from services.process.clock import SystemClock
from services.process.keys import make_missing

READY_SECONDS = 120
DNS_PORT = 30053  # the node port of config/addons/coredns.yaml
_COMPONENT_COLOURS = (36, 33, 35, 32, 34, 96, 93, 95, 92, 94)
_LINE = re.compile(r"^(\S+) (\S+) +(DEBUG|INFO|WARNING|ERROR) +(.*)$")


def prepare(home: Home, options: Options) -> Plan:
    """Chooses ports (the ones of last time, where they are free) and writes cluster.json."""
    home.create()
    make_missing(
        home.keys, SystemClock().now(), [name for name in node_processes(options) if name != "nodes"]
    )
    record = home.read()
    ports = choose(str(home.path), port_names(options), record.get("ports", {}), SystemClock())
    addresses = choose_addresses(str(home.path), Addresses.from_json(record.get("addresses", {})))
    addresses = addresses.with_nodes([] if options.hollow else options.node_names())
    binary = find_etcd()
    plan = make_plan(options, ports, home.data, home.run, binary, flags_for(version_of(binary)), addresses)
    kubeconfig.write(home.kubeconfig, home.keys, ports["apiserver-https"])
    home.write(
        {
            "apiserver": plan.apiserver,
            "etcd": plan.etcd,
            "ports": ports,
            "addresses": addresses.to_json(),
            "options": options.to_json(),
            "components": [component.name for component in plan.components],
            "mutual_tls": True,
        }
    )
    return plan


def is_running(home: Home) -> bool:
    try:
        control.ask(home, {"command": "status"})
    except (control.NotRunning, OSError):
        return False
    return True


def banner(plan: Plan, home: Home) -> str:
    own = "" if "ORRERY_HOME" not in os.environ else f"  (ORRERY_HOME={home.path})"
    names = plan.node_names
    nodes = ", ".join(names) if len(names) <= 5 else f"{names[0]} … {names[-1]}"
    how_many = {0: "it has no nodes.", 1: f"its node {nodes} is Ready."}.get(
        len(names), f"{len(names)} nodes are Ready ({nodes})."
    )
    return f"""
The cluster is up: {how_many}{own}

  ok get nodes                                              what there is
  ok create deployment kubia --image=luksa/kubia --replicas=3
  ok get pods -o wide -w                                    watch it come up
  orrery logs scheduler -f                                  why each Pod is where it is
  orrery kill node-1                                        break something, and watch it heal
  orrery restart node-1
{_dig(plan)}"""


def _dig(plan: Plan) -> str:
    """How to ask for the cluster's names from this machine, where its nodes have addresses of their own."""
    first = plan.component(plan.node_names[0]) if plan.node_names else None
    host = first.address.rpartition(":")[0] if first else ""
    if not host or host == LOOPBACK:
        return ""
    return f"  dig @{host} -p {DNS_PORT} kubernetes.default.svc.cluster.local\n"


async def run_in_foreground(home: Home, plan: Plan, *, silent: bool = False) -> int:
    """Runs the cluster until Ctrl-C, SIGTERM or `orrery down`; returns the exit code.

    `silent` for a supervisor in the background: what the components say is in their log files.
    """
    clock = SystemClock()
    printer = Printer(colour=sys.stdout.isatty(), silent=silent)
    supervisor = Supervisor(plan, home, clock, None if silent else printer.line)
    running = asyncio.ensure_future(_run(home, plan, supervisor, clock, printer))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, running.cancel)
    try:
        await running
    except asyncio.CancelledError:
        printer.text("Stopped: every process of the cluster has ended. `orrery up` continues where it was.")
    finally:
        home.forget_sockets()
    return 0


async def _run(home: Home, plan: Plan, supervisor: Supervisor, clock: SystemClock, printer: Printer) -> None:
    task = asyncio.current_task()
    assert task is not None

    def stop() -> None:
        task.cancel()

    async with control.serve_control(home, supervisor, clock, stop), asyncio.TaskGroup() as group:
        group.create_task(supervisor.run())
        if not printer.silent:
            group.create_task(_announce(plan, home, printer))


async def _announce(plan: Plan, home: Home, printer: Printer) -> None:
    waiting = await asyncio.create_subprocess_exec(
        *readiness_argv(plan, home), stdin=asyncio.subprocess.DEVNULL, start_new_session=True
    )
    try:
        if await waiting.wait() == 0:
            printer.text(banner(plan, home))
    finally:
        if waiting.returncode is None:
            waiting.kill()
            await waiting.wait()


def readiness_argv(plan: Plan, home: Home) -> tuple[str, ...]:
    since = rfc3339_micro(SystemClock().now())
    module = ("-m", "services.launcher.readiness", "--apiserver", plan.apiserver, "--since", since)
    mine = ("--cert-dir", str(home.keys))
    return (
        sys.executable,
        *module,
        *mine,
        "--nodes",
        str(len(plan.node_names)),
        "--timeout",
        str(READY_SECONDS),
    )


def run_detached(home: Home, options: Options) -> int:
    """Starts a supervisor in the background and returns when the nodes are Ready."""
    with home.alone() as lock:
        plan = prepare(home, options)
        with home.log_of("orrery").open("ab") as log:
            supervisor = subprocess.Popen(
                (sys.executable, "-m", "services.launcher", "up", "--as-recorded"),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=(lock,),
                env={**os.environ, "ORRERY_HOME": str(home.path)},
            )
    waiting = subprocess.Popen(readiness_argv(plan, home))
    try:
        code = _wait_for_either(waiting, supervisor, home)
    except KeyboardInterrupt:
        print("orrery: it goes on starting in the background; `orrery down` ends it", file=sys.stderr)
        raise
    finally:
        if waiting.poll() is None:
            waiting.kill()
            waiting.wait()
    if code is None:
        print(f"orrery: the cluster did not start; see {home.log_of('orrery')}", file=sys.stderr)
        return 1
    if code == 0:
        print(banner(plan, home))
    else:
        print("orrery: it goes on trying; see `orrery status`. `orrery down` ends it", file=sys.stderr)
    return code


def _wait_for_either(
    waiting: subprocess.Popen[bytes], supervisor: subprocess.Popen[bytes], home: Home
) -> int | None:
    """The exit code of `waiting`; None when the supervisor ended before. Tells who cannot start meanwhile."""
    from services.launcher.symptoms import complaint, unsteady

    told: set[str] = set()
    while True:
        try:
            return waiting.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            if supervisor.poll() is not None:
                return None
        for name in unsteady(_components(home), told):
            print(f"orrery: {complaint(home, name)}", file=sys.stderr)


def _components(home: Home) -> list[dict[str, Any]]:
    try:
        components: list[dict[str, Any]] = control.ask(home, {"command": "status"})["components"]
    except (control.NotRunning, OSError):
        return []  # not yet
    return components


class Printer:
    """Interleaves log lines on a terminal, a colour for each component; plain text elsewhere."""

    def __init__(self, *, colour: bool, silent: bool = False) -> None:
        self.silent = silent
        self._colour = colour
        self._colours: dict[str, int] = {}

    def text(self, text: str) -> None:
        if not self.silent:
            print(text, flush=True)

    def line(self, component: str, line: bytes) -> None:
        if self.silent:
            return
        text = line.decode("utf-8", "replace").rstrip("\n")
        print(self.render(component, text), flush=True)

    def render(self, component: str, text: str) -> str:
        match = _LINE.match(text)
        if match:
            moment, _, level, rest = match.groups()
        else:
            moment, level, rest = "", "", text
        head = f"{component:<18}"
        if not self._colour:
            return f"{moment} {head} {level:<7} {rest}".lstrip()
        colour = self._colours.setdefault(
            component, _COMPONENT_COLOURS[len(self._colours) % len(_COMPONENT_COLOURS)]
        )
        level_colour = {"WARNING": 33, "ERROR": 31}.get(level, 2)
        sentence, gap, pairs = rest.partition("  ")
        body = f"{sentence}\x1b[2m{gap}{pairs}\x1b[0m"
        return (
            f"\x1b[2m{moment}\x1b[0m \x1b[{colour}m{head}\x1b[0m \x1b[{level_colour}m{level:<7}\x1b[0m {body}"
        )


def recorded_plan(home: Home) -> Plan:
    """The plan of cluster.json, for a supervisor that was started to run just that."""
    record: dict[str, Any] = home.read()
    binary = find_etcd()
    options = Options.from_json(record["options"])
    etcd_flags, addresses = flags_for(version_of(binary)), Addresses.from_json(record.get("addresses", {}))
    return make_plan(options, record["ports"], home.data, home.run, binary, etcd_flags, addresses)
