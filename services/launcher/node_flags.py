"""The flags of `orrery node` and `orrery ssh`; kept apart so that a slip of the finger costs no imports."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

PRESSURE = """\
Takes memory, disk or process numbers of the emulated machine, so that the kubelet sees them go and acts: a
condition on the node, a taint, and Pods that are evicted. Nothing is taken of the real machine.

  orrery node pressure node-1 memory              leaves a little less than the kubelet's threshold
  orrery node pressure node-1 memory --leave 2Gi  leaves that much for the Pods
  orrery node pressure node-1 memory --clear      gives it back
"""


def add_node(commands: Commands, bounded: Callable[[int, int], type]) -> None:
    node = commands.add_parser("node", help="add, remove, stop, start, reboot or squeeze a node")
    verbs = node.add_subparsers(
        dest="verb", required=True, metavar="list|add|remove|stop|start|reboot|pressure"
    )
    verbs.add_parser("list", help="the nodes' machines, and whether they are on")
    add = verbs.add_parser("add", help="one more node on the running cluster")
    add.add_argument("--name", default="", help="default: node-N, with the next number")
    add.add_argument("--cpu", default="", help="emulated cores (default 4)")
    add.add_argument("--memory", default="", help="emulated memory (default 8Gi)")
    add.add_argument("--labels", default="", metavar="KEY=VALUE,…", help="further labels of the Node")
    _add_no_wait(add)
    remove = verbs.add_parser("remove", help="take a node away for good, without draining it first")
    remove.add_argument("name", metavar="NODE")
    stop = verbs.add_parser("stop", help="switch a node off; its containers are lost")
    stop.add_argument("name", metavar="NODE")
    _add_graceful(stop, bounded)
    start = verbs.add_parser("start", help="switch a node on again")
    start.add_argument("name", metavar="NODE")
    _add_no_wait(start)
    reboot = verbs.add_parser("reboot", help="off and on again; its containers are lost and started anew")
    reboot.add_argument("name", metavar="NODE")
    _add_graceful(reboot, bounded)
    _add_no_wait(reboot)
    pressure = verbs.add_parser(
        "pressure", help="use up a node's memory, disk or process numbers",
        description=PRESSURE, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    pressure.add_argument("name", metavar="NODE")
    pressure.add_argument("resource", choices=("memory", "disk", "pid"))
    pressure.add_argument("--leave", default="", metavar="QUANTITY", help="what is to be left available")
    pressure.add_argument("--clear", action="store_true", help="give back what was taken")


def _add_no_wait(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-wait", action="store_true", help="return before the node is Ready")


def _add_graceful(parser: argparse.ArgumentParser, bounded: Callable[[int, int], type]) -> None:
    parser.add_argument(
        "--graceful",
        action="store_true",
        help="end its Pods first, critical ones last (graceful node shutdown)",
    )
    for flag, default, text in (
        ("--grace-period", 30, "for all Pods (default 30)"),
        ("--critical-grace-period", 10, "the part of it that critical Pods have (default 10)"),
    ):
        parser.add_argument(flag, type=bounded(0, 3600), default=default, metavar="SECONDS", help=text)


def add_proxy_rules(commands: Commands) -> None:
    rules = commands.add_parser(
        "proxy-rules",
        help="what kube-proxy has on a node",
        description="What kube-proxy has on a node, in the words of iptables-save: each Service's addresses, "
        "where they lead, and with which probability.",
    )
    rules.add_argument("name", metavar="NODE")
    rules.set_defaults(verb="proxy-rules")


def add_ssh(commands: Commands) -> None:
    ssh = commands.add_parser(
        "ssh",
        help="a shell on an emulated node",
        usage="orrery ssh [-h] [-t] NODE [COMMAND ...]",
        description="A shell on an emulated node, never one of this machine. With a command: runs it there. "
        "crictl, docker, systemctl, journalctl, ps, free and df show the node from inside.",
    )
    ssh.add_argument("-t", action="store_true", help="a terminal for the command, too")
    ssh.add_argument("name", metavar="NODE")
    ssh.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND")
