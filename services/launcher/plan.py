"""Which processes make up a cluster, and how each is started. Pure: it starts nothing.

The same components as in docker-compose.yml, with the flags that fit one machine.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from services.client.credentials import CA_CERTIFICATE
from services.launcher.addresses import Addresses
from services.process.config_folder import config_folder
from services.process.keys import CA_KEY, SERVING, SIGNING_KEY

ONE_ADDRESS = Addresses()
# The ports that a single cluster on a machine gets; a second one takes others.
PREFERRED_PORTS = {
    "etcd": 2379,
    "etcd-peer": 2380,
    "registry": 5000,
    "registry-http": 5001,  # docker push 127.0.0.1:5001/me/app
    "apiserver": 6444,
    "apiserver-https": 6443,  # kubectl
    "scheduler": 10259,
    "controller-manager": 10257,
    "cloud-controller-manager": 10258,
    "node": 10250,
}
NODES_MAX = 5000
AUDIT_LOG, AUDIT_LEVELS = "audit.jsonl", ("None", "Metadata", "Request", "RequestResponse")
CLOUD = "cloud-controller-manager"
# Its threads, woken for each of many small writes and with nothing to share, cost more than they bring.
ETCD_ENVIRONMENT = (("GOMAXPROCS", "1"),)


@dataclass(frozen=True)
class NodeSpec:
    """A node that `orrery node add` brought in; empty: as every other node."""

    name: str
    cpu: str = ""
    memory: str = ""
    labels: str = ""

    def flags(self) -> tuple[str, ...]:
        pairs = (("--cpu", self.cpu), ("--memory", self.memory), ("--node-labels", self.labels))
        return tuple(word for flag, value in pairs if value for word in (flag, value))


@dataclass(frozen=True)
class Options:
    """What `orrery up` was asked for; kept in cluster.json, so that a restart is the same cluster."""

    nodes: int = 3
    hollow: bool = False
    schedulers: int = 1
    controller_managers: int = 1
    log_level: str = ""  # empty: as ORRERY_LOG_LEVEL says
    audit_level: str = ""  # how much of every request is written down; empty: nothing
    audit_policy: str = ""  # a file that says it for each kind of request
    node_flags: tuple[str, ...] = ()  # for every node process, as its --help lists them
    added: tuple[NodeSpec, ...] = ()
    removed: tuple[str, ...] = ()  # of the first `nodes`
    stopped: tuple[str, ...] = ()  # machines that are off, until `orrery node start`

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Options:
        known = {name: record[name] for name in cls.__dataclass_fields__ if name in record}
        known["added"] = tuple(NodeSpec(**spec) for spec in known.get("added", ()))
        for name in ("node_flags", "removed", "stopped"):
            known[name] = tuple(known.get(name, ()))
        return cls(**known)

    def node_names(self) -> list[str]:
        """Every node, those that are stopped included."""
        first = (f"node-{number}" for number in range(1, self.nodes + 1))
        return [name for name in first if name not in self.removed] + [spec.name for spec in self.added]


@dataclass(frozen=True)
class Component:
    name: str
    argv: tuple[str, ...]
    address: str = ""
    waits_for_apiserver: bool = False
    environment: tuple[tuple[str, str], ...] = ()  # beside the supervisor's own
    stopped: bool = False  # a machine that is off
    health: str = ""  # where it tells how it is, as `process.healthcheck` takes it


@dataclass(frozen=True)
class Plan:
    components: tuple[Component, ...]
    apiserver: str
    etcd: str
    node_names: tuple[str, ...]

    def component(self, name: str) -> Component | None:
        return next((component for component in self.components if component.name == name), None)


def numbered(name: str, count: int) -> list[str]:
    """`scheduler`, `scheduler-2`, …: the first keeps the plain name."""
    return [name if number == 1 else f"{name}-{number}" for number in range(1, count + 1)]


def port_names(options: Options) -> list[tuple[str, int]]:
    """Every port that the cluster needs, and which one it would like."""
    wanted = [(name, PREFERRED_PORTS[name]) for name in ("etcd", "etcd-peer", "registry", "apiserver")]
    wanted += [(name, PREFERRED_PORTS["scheduler"]) for name in numbered("scheduler", options.schedulers)]
    for name in numbered("controller-manager", options.controller_managers):
        wanted.append((name, PREFERRED_PORTS["controller-manager"]))
    wanted += [(name, PREFERRED_PORTS["node"]) for name in node_processes(options)]
    if not options.hollow:
        wanted.append((CLOUD, PREFERRED_PORTS[CLOUD]))
    for name in ("registry-http", "apiserver-https"):
        wanted.append((name, PREFERRED_PORTS[name]))
    return wanted


def node_processes(options: Options) -> list[str]:
    """Hollow nodes share one; those that were added later are processes of their own in any case."""
    if not options.hollow:
        return options.node_names()
    return ["nodes", *(spec.name for spec in options.added)]


def make_plan(
    options: Options,
    ports: dict[str, int],
    data: Path,
    run: Path,
    etcd_binary: str,
    etcd_flags: tuple[str, ...],
    addresses: Addresses = ONE_ADDRESS,
) -> Plan:
    """The processes in the order in which they are started."""
    place = _Place(options, ports, data.parent, run, addresses)
    etcd = Component(
        "etcd",
        etcd_argv(etcd_binary, data / "etcd", place.at("etcd"), place.at("etcd-peer")) + etcd_flags,
        place.at("etcd"),
        environment=ETCD_ENVIRONMENT,
    )
    # A cluster that was started before there was this port goes on without it.
    images = ("--http-port", str(ports.get("registry-http", -1)), "--data-dir", str(data / "registry"))
    components = [etcd, _apiserver(place), place.python("registry", "registry", *images)]
    components += [*_control_plane(place), *_nodes(place)]
    names = tuple(name for name in options.node_names() if name not in options.stopped)
    return Plan(tuple(components), place.at("apiserver"), place.at("etcd"), names)


@dataclass(frozen=True)
class _Place:
    """Where everything is, and how a component is started there."""

    options: Options
    ports: dict[str, int]
    home: Path
    run: Path
    addresses: Addresses

    @property
    def keys(self) -> Path:
        return self.home / "keys"

    @property
    def server(self) -> tuple[str, ...]:
        """For whoever asks the API server."""
        return ("--apiserver", self.at("apiserver"), *self.own)

    @property
    def own(self) -> tuple[str, ...]:
        return ("--cert-dir", str(self.keys))

    def at(self, name: str) -> str:
        return f"{self.addresses.node(name)}:{self.ports[name]}"

    def python(self, name: str, module: str, *flags: str) -> Component:
        level = ("--log-level", self.options.log_level) if self.options.log_level else ()
        argv = (sys.executable, "-m", f"services.{module}", *level, *flags)
        return Component(
            name, (*argv, "--port", str(self.ports[name])), self.at(name), "--apiserver" in flags
        )


def _apiserver(place: _Place) -> Component:
    keys, health = place.keys, place.run / "apiserver.health"
    flags = (
        *("--etcd-servers", place.at("etcd")),
        *("--service-account-signing-key-file", str(keys / SIGNING_KEY)),
        *("--secure-port", str(place.ports.get("apiserver-https", -1))),
        *("--tls-cert-file", str(keys / f"{SERVING}.crt")),
        *("--tls-private-key-file", str(keys / f"{SERVING}.key")),
        *("--client-ca-file", str(keys / CA_CERTIFICATE)),
        *place.own,
        *("--health-socket", str(health)),
        *_audit(place.options, place.home / "logs"),
    )
    return replace(place.python("apiserver", "apiserver", *flags), health=f"unix:{health}")


def _control_plane(place: _Place) -> list[Component]:
    """Those that ask the API server, but for the nodes."""
    options, keys = place.options, place.keys
    components = [
        place.python(name, "scheduler", *place.server, "--leader-elect")
        for name in numbered("scheduler", options.schedulers)
    ]
    signing = (
        *("--root-ca-file", str(keys / CA_CERTIFICATE)),
        *("--cluster-signing-cert-file", str(keys / CA_CERTIFICATE)),
        *("--cluster-signing-key-file", str(keys / CA_KEY)),
    )
    brings = ("--addons", str(config_folder("addons")))
    components += [
        place.python(name, "controller_manager", *place.server, "--leader-elect", *signing, *brings)
        for name in numbered("controller-manager", options.controller_managers)
    ]
    if CLOUD in place.ports:  # Hollow nodes have no addresses that a load balancer could lead to.
        range_ = ("--load-balancer-cidr", place.addresses.load_balancers)
        components.append(place.python(CLOUD, "cloud_controller_manager", *place.server, *range_))
    return components


def _audit(options: Options, logs: Path) -> tuple[str, ...]:
    """Flags of the API server."""
    if options.audit_policy:
        chosen = ("--audit-policy-file", options.audit_policy)
    elif options.audit_level:
        chosen = ("--audit-level", options.audit_level)
    else:
        return ()
    return ("--audit-log-path", str(logs / AUDIT_LOG), *chosen)


def _nodes(place: _Place) -> list[Component]:
    options = place.options
    flags = (*place.server, "--registry", place.at("registry"), *options.node_flags)
    specs = {spec.name: spec for spec in options.added}
    nodes = []
    for name in node_processes(options):
        root = ("--root-dir", str(place.run / name))
        if name == "nodes":
            how = ("--nodes", str(options.nodes), "--name-prefix", "node-", *root)
            nodes.append(place.python(name, "node", *flags, *how))
            continue
        manifests = place.home / "nodes" / name / "etc" / "kubernetes" / "manifests"
        own = (
            *("--name", name, *root, "--pod-manifest-path", str(manifests)),
            *("--bind-address", place.addresses.node(name)),
        )
        spec = specs.get(name, NodeSpec(name)).flags()
        node = place.python(name, "node", *flags, *own, *spec)
        nodes.append(replace(node, stopped=name in options.stopped))
    return nodes


def etcd_argv(binary: str, data: Path, client: str, peer: str) -> tuple[str, ...]:
    return (
        binary,
        *("--name", "etcd"),
        *("--data-dir", str(data)),
        *("--listen-client-urls", f"http://{client}"),
        *("--advertise-client-urls", f"http://{client}"),
        *("--listen-peer-urls", f"http://{peer}"),
        *("--initial-advertise-peer-urls", f"http://{peer}"),
        *("--initial-cluster", f"etcd=http://{peer}"),
        # Fewer log entries kept in memory; the store is small and one member needs no long tail.
        *("--snapshot-count", "5000"),
        *("--logger", "zap", "--log-level", "error"),
    )
