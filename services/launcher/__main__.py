"""`orrery`: starts, looks at, breaks and ends a cluster that runs without Docker."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

from services.launcher import control, node_flags
from services.launcher.etcd_binary import EtcdMissing
from services.launcher.home import Home, Taken
from services.launcher.plan import AUDIT_LEVELS, NODES_MAX, Options
from services.process.logging import LEVELS

VERSION = "0.1.0"
KUBERNETES_VERSION = "v1.36.2"


def bounded(least: int, most: int) -> type:
    def number(text: str) -> int:
        value = int(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"must be between {least} and {most}")
        return value

    return number  # type: ignore[return-value]


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="orrery",
        description="A working model of a Kubernetes cluster. All of a cluster's state is under "
        "ORRERY_HOME (default ~/.orrery); set it to run several side by side.",
    )
    parser.add_argument(
        "--version", action="version", version=f"orrery {VERSION} (models Kubernetes {KUBERNETES_VERSION})"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_up(commands)
    down = commands.add_parser("down", help="end every process of the cluster")
    down.add_argument("--delete", action="store_true", help="delete its data and logs too")
    commands.add_parser("status", help="the processes: state, pid, address, memory")
    logs = commands.add_parser("logs", help="what the components say")
    logs.add_argument("component", nargs="*", help="only these; default: all")
    logs.add_argument("-f", "--follow", action="store_true", help="go on as new lines come")
    logs.add_argument(
        "-n", "--tail", type=bounded(0, 1_000_000), default=None, help="only the last N lines of each"
    )
    for name, text in (
        ("kill", "SIGKILL a component, as a crash would; it stays dead"),
        ("restart", "start a component again"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("component", nargs="+")
    _add_etcd(commands)
    node_flags.add_node(commands, bounded)
    node_flags.add_ssh(commands)
    node_flags.add_proxy_rules(commands)
    config = commands.add_parser("kubeconfig", help="the kubeconfig of the cluster, for kubectl")
    config.add_argument(
        "--merge", action="store_true", help="into $KUBECONFIG or ~/.kube/config, beside what is there"
    )
    commands.add_parser(
        "tunnel",
        help="make load balancers' addresses reachable here, where the cluster runs under docker compose",
    )
    return parser


def _add_up(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    up = commands.add_parser("up", help="start the cluster, or start it again where it stopped")
    up.add_argument(
        "--nodes", type=bounded(0, NODES_MAX), default=None, metavar="N", help="number of nodes (default 3)"
    )
    up.add_argument(
        "--hollow", action="store_true", default=None, help="all nodes in one process: for hundreds of them"
    )
    up.add_argument(
        "--schedulers",
        type=bounded(1, 9),
        default=None,
        metavar="N",
        help="more than one: one leads, the others stand by",
    )
    up.add_argument("--controller-managers", type=bounded(1, 9), default=None, metavar="N", help="likewise")
    up.add_argument("--log-level", choices=tuple(LEVELS), default=None)
    up.add_argument(
        "--audit-level", choices=AUDIT_LEVELS, default=None, help="write who does what to logs/audit.jsonl"
    )
    up.add_argument(
        "--audit-policy", type=os.path.abspath, default=None, metavar="FILE",
        help="an audit.k8s.io/v1 Policy that says how much",
    )  # fmt: skip
    up.add_argument(
        "--node-flag",
        action="append",
        dest="node_flags",
        metavar="=FLAG",
        help="a flag for every node, as --node-flag=--max-pods=20; may be given again",
    )
    up.add_argument("-d", "--detach", action="store_true", help="return when the nodes are Ready")
    up.add_argument("--as-recorded", action="store_true", help=argparse.SUPPRESS)


def _add_etcd(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    etcd = commands.add_parser("etcd", help="look inside the store, past the API server")
    verbs = etcd.add_subparsers(dest="verb", required=True, metavar="ls|get|watch")
    ls = verbs.add_parser("ls", help="the keys under a prefix")
    ls.add_argument("prefix", nargs="?", default="/registry/")
    get = verbs.add_parser("get", help="the value of a key, as stored")
    get.add_argument("key")
    watch = verbs.add_parser("watch", help="changes under a prefix, as they come")
    watch.add_argument("prefix", nargs="?", default="/registry/")


def up(home: Home, flags: argparse.Namespace) -> int:
    from services.launcher import up as starting

    if flags.as_recorded:
        return asyncio.run(starting.run_in_foreground(home, starting.recorded_plan(home), silent=True))
    if starting.is_running(home):
        raise Taken
    wanted = {name: getattr(flags, name, None) for name in Options.__dataclass_fields__}
    given = {name: value for name, value in wanted.items() if value is not None}
    if "nodes" in given:
        given["removed"] = ()  # That many were asked for anew.
    # A cluster that is started again keeps its shape unless told otherwise.
    options = Options.from_json({**home.read().get("options", {}), **given})
    if options.audit_policy:
        open(options.audit_policy).close()  # else the API server would end again and again
    if flags.detach:
        return starting.run_detached(home, options)
    with home.alone():
        return asyncio.run(starting.run_in_foreground(home, starting.prepare(home, options)))


def down(home: Home, flags: argparse.Namespace) -> int:
    try:
        supervisor_gone = control.ask(home, {"command": "down"})
        _wait_for_end(home)
        print("The cluster is down." if supervisor_gone.get("ok") else supervisor_gone)
    except control.NotRunning:
        print("No cluster was running.")
    if flags.delete:
        from services.launcher import kubeconfig

        if kubeconfig.unmerge(home, path := kubeconfig.users_file()):
            print(f"Its entries in {path} are gone, too.")
        for folder in (home.data, home.nodes, home.logs, home.run):
            shutil.rmtree(folder, ignore_errors=True)
        home.cluster_file.unlink(missing_ok=True)
    return 0


def _wait_for_end(home: Home) -> None:
    """Blocks until the supervisor has closed its socket, the last thing it does."""
    try:
        for _ in control.stream(home, {"command": "follow", "components": ["(none)"]}):
            pass
    except (control.NotRunning, OSError):
        return


def status(home: Home, flags: argparse.Namespace) -> int:
    from services.launcher.status import table

    try:
        answer = control.ask(home, {"command": "status"})
    except control.NotRunning:
        print(f"No cluster is running under {home.path}.")
        return 1
    print(table(answer["components"]))
    return 0


def logs(home: Home, flags: argparse.Namespace) -> int:
    from services.launcher.logs import show

    return show(home, flags.component, follow=flags.follow, tail=flags.tail)


def act(home: Home, flags: argparse.Namespace) -> int:
    code = 0
    for component in flags.component:
        answer = control.ask(home, {"command": flags.command, "component": component})
        if "error" in answer:
            print(f"orrery: {answer['error']}", file=sys.stderr)
            code = 1
        else:
            print(f"{component} {'killed' if flags.command == 'kill' else 'restarted'}")
    return code


def etcd(home: Home, flags: argparse.Namespace) -> int:
    # etcd3's generated messages need protobuf's Python implementation, which must be chosen
    # before protobuf is imported: hence a process of its own.
    address = os.environ.get("ORRERY_ETCD_ADDRESS") or home.read().get("etcd")
    if not address:
        print(f"orrery: no cluster under {home.path}; start one with `orrery up`", file=sys.stderr)
        return 1
    target = flags.key if flags.verb == "get" else flags.prefix
    argv = (sys.executable, "-m", "services.launcher.witness", address, flags.verb, target)
    environment = {**os.environ, "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"}
    return subprocess.run(argv, env=environment).returncode


def node(home: Home, flags: argparse.Namespace) -> int:
    from services.launcher.node_commands import run

    return run(home, flags)


def ssh(home: Home, flags: argparse.Namespace) -> int:
    from services.launcher.ssh import run

    return run(home, flags)


def kube_config(home: Home, flags: argparse.Namespace) -> int:
    from services.launcher import kubeconfig

    try:
        if not flags.merge:
            print(home.kubeconfig.read_text(), end="")
            return 0
        path = kubeconfig.users_file()
        name = kubeconfig.merge(home, path)
    except (FileNotFoundError, NotADirectoryError):
        print(f"orrery: no cluster under {home.path}; start one with `orrery up`", file=sys.stderr)
    except (kubeconfig.Unreadable, OSError) as error:
        print(f"orrery: {error}", file=sys.stderr)
    else:
        print(f"The context {name} in {path} is this cluster, and the current one.")
        return 0
    return 1


def tunnel(home: Home, flags: argparse.Namespace) -> int:
    from services.launcher.tunnel import run

    asyncio.run(run(home))
    return 0


COMMANDS = {
    "up": up,
    "down": down,
    "status": status,
    "logs": logs,
    "kill": act,
    "restart": act,
    "etcd": etcd,
    "node": node,
    "proxy-rules": node,
    "ssh": ssh,
    "tunnel": tunnel,
    "kubeconfig": kube_config,
}


def main(argv: Sequence[str] | None = None) -> int:
    flags = make_parser().parse_args(argv)
    home = Home.from_environment()
    try:
        return COMMANDS[flags.command](home, flags)
    except control.NotRunning:
        print(f"orrery: no cluster is running under {home.path}; start one with `orrery up`", file=sys.stderr)
    except EtcdMissing as error:
        print(f"orrery: {error}", file=sys.stderr)
    except Taken:
        print(
            f"orrery: the cluster under {home.path} is running already; see `orrery status`", file=sys.stderr
        )
    except (KeyboardInterrupt, BrokenPipeError):
        return 130
    except OSError as error:  # a home that cannot be written, a file that is not there, no free port
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        print(f"orrery: {what}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
