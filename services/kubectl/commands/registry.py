"""Which commands there are, and where each one's code is; a module is loaded when its command is typed.

`Command` is what a module declares. A command with `children` only groups others.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import import_module

from services.kubectl.flags import Flag, boolean, text, texts
from services.kubectl.session import Session

Run = Callable[[Session], Awaitable[None]]


@dataclass(frozen=True)
class Command:
    """`use` is the usage line behind the program's name; `long` and `examples` are for `--help`."""

    name: str
    use: str
    long: str
    run: Run | None = None
    flags: tuple[Flag, ...] = ()
    examples: str = ""
    children: tuple[Command, ...] = ()
    aliases: tuple[str, ...] = ()
    offline: bool = False  # needs no cluster
    bare: Run | None = None  # what the group itself does without a subcommand
    unknown: str = "unknown command {quoted}"  # what a group says to a word that is no child

    def child(self, name: str) -> Command | None:
        return next((c for c in self.children if name == c.name or name in c.aliases), None)


GLOBAL_FLAGS: tuple[Flag, ...] = (
    text("namespace", "The namespace that the request is about", short="n"),
    text("server", "Address and port of the API server", short="s"),
    text("request-timeout", "How long to wait for one request; 0 means for ever", default="0"),
    text("context", "Accepted for compatibility; a cluster has one context"),
    text("cluster", "Accepted for compatibility"),
    text("user", "Accepted for compatibility"),
    text("kubeconfig", "Accepted for compatibility; the cluster is found under ORRERY_HOME"),
    text("as", "Act as this user"),
    texts("as-group", "Act as a member of this group", split=False),
    text("as-uid", "Act as the user of this uid"),
    text("token", "Act as whose token this is"),
    text("v", "How much to tell about requests; 6 shows the trace id", short="v", default="0"),
    boolean("warnings-as-errors", "Treat warnings of the server as errors"),
    boolean("match-server-version", "Require that versions of client and server match"),
    boolean("insecure-skip-tls-verify", "Accepted for compatibility"),
)

# (name, what it does, group, module:attribute)
_TABLE: tuple[tuple[str, str, str, str], ...] = (
    ("create", "Create a resource from a file or from stdin", "Basic Commands (Beginner)", "create:CREATE"),
    (
        "expose",
        "Take a replication controller, service, deployment or pod and expose it as a new Kubernetes service",
        "Basic Commands (Beginner)",
        "expose:EXPOSE",
    ),
    ("run", "Run a particular image on the cluster", "Basic Commands (Beginner)", "run:RUN"),
    ("set", "Set specific features on objects", "Basic Commands (Beginner)", "set:SET"),
    (
        "explain",
        "Get documentation for a resource",
        "Basic Commands (Intermediate)",
        "explain:EXPLAIN",
    ),
    ("get", "Display one or many resources", "Basic Commands (Intermediate)", "get:GET"),
    ("edit", "Edit a resource on the server", "Basic Commands (Intermediate)", "edit:EDIT"),
    (
        "delete",
        "Delete resources by file names, stdin, resources and names, or by resources and label selector",
        "Basic Commands (Intermediate)",
        "delete:DELETE",
    ),
    ("rollout", "Manage the rollout of a resource", "Deploy Commands", "rollout:ROLLOUT"),
    (
        "scale",
        "Set a new size for a deployment, replica set, or replication controller",
        "Deploy Commands",
        "scale:SCALE",
    ),
    (
        "autoscale",
        "Auto-scale a deployment, replica set, stateful set, or replication controller",
        "Deploy Commands",
        "autoscale:AUTOSCALE",
    ),
    (
        "certificate",
        "Modify certificate resources",
        "Cluster Management Commands",
        "certificate:CERTIFICATE",
    ),
    ("cluster-info", "Display cluster information", "Cluster Management Commands", "cluster:CLUSTER_INFO"),
    ("cordon", "Mark node as unschedulable", "Cluster Management Commands", "cordon:CORDON"),
    ("uncordon", "Mark node as schedulable", "Cluster Management Commands", "cordon:UNCORDON"),
    ("drain", "Drain node in preparation for maintenance", "Cluster Management Commands", "drain:DRAIN"),
    ("taint", "Update the taints on one or more nodes", "Cluster Management Commands", "taint:TAINT"),
    (
        "describe",
        "Show details of a specific resource or group of resources",
        "Troubleshooting and Debugging Commands",
        "describe:DESCRIBE",
    ),
    ("top", "Display resource (CPU/memory) usage", "Cluster Management Commands", "top:TOP"),
    (
        "logs",
        "Print the logs for a container in a pod",
        "Troubleshooting and Debugging Commands",
        "logs:LOGS",
    ),
    ("exec", "Execute a command in a container", "Troubleshooting and Debugging Commands", "exec:EXEC"),
    (
        "port-forward",
        "Forward one or more local ports to a pod",
        "Troubleshooting and Debugging Commands",
        "port_forward:PORT_FORWARD",
    ),
    ("auth", "Inspect authorization", "Troubleshooting and Debugging Commands", "auth:AUTH"),
    (
        "proxy",
        "Run a proxy to the Kubernetes API server",
        "Troubleshooting and Debugging Commands",
        "proxy:PROXY",
    ),
    (
        "debug",
        "Add a container to a running pod, to look at it",
        "Troubleshooting and Debugging Commands",
        "debug:DEBUG",
    ),
    ("events", "List events", "Troubleshooting and Debugging Commands", "events:EVENTS"),
    ("diff", "Diff the live version against a would-be applied version", "Advanced Commands", "diff:DIFF"),
    (
        "apply",
        "Apply a configuration to a resource by file name or stdin",
        "Advanced Commands",
        "apply:APPLY",
    ),
    ("patch", "Update fields of a resource", "Advanced Commands", "patch:PATCH"),
    ("replace", "Replace a resource by file name or stdin", "Advanced Commands", "replace:REPLACE"),
    ("wait", "Wait for a specific condition on one or many resources", "Advanced Commands", "wait:WAIT"),
    ("label", "Update the labels on a resource", "Settings Commands", "label:LABEL"),
    ("annotate", "Update the annotations on a resource", "Settings Commands", "label:ANNOTATE"),
    (
        "completion",
        "Output shell completion code for the specified shell (bash or zsh)",
        "Settings Commands",
        "completion:COMPLETION",
    ),
    (
        "api-resources",
        "Print the supported API resources on the server",
        "Other Commands",
        "cluster:API_RESOURCES",
    ),
    (
        "api-versions",
        'Print the supported API versions on the server, in the form of "group/version"',
        "Other Commands",
        "cluster:API_VERSIONS",
    ),
    ("config", "Show or set the current namespace", "Other Commands", "config:CONFIG"),
    ("version", "Print the client and server version information", "Other Commands", "cluster:VERSION"),
    ("__complete", "", "", "completion:COMPLETE"),
)

SUMMARIES = {name: (help, group) for name, help, group, _ in _TABLE if group}
_PLACES = {name: place for name, _, _, place in _TABLE}
_ALIASES = {"log": "logs", "rolling": "rollout"}


def names() -> list[str]:
    return list(SUMMARIES)


def load(name: str) -> Command | None:
    """The command of that name; None when there is none."""
    place = _PLACES.get(_ALIASES.get(name, name))
    if place is None:
        return None
    module, _, attribute = place.partition(":")
    command: Command = getattr(import_module(f"services.kubectl.commands.{module}"), attribute)
    return command
