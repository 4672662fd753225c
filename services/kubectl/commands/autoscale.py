"""`autoscale`: an autoscaler for an object that can be scaled."""

from __future__ import annotations

from typing import Any

from services.api import kinds
from services.api.errors import ApiError
from services.kubectl import manifests, resources
from services.kubectl.commands.create import remember
from services.kubectl.commands.registry import Command
from services.kubectl.errors import Fail
from services.kubectl.flags import Flag, boolean, integer, text, texts
from services.kubectl.output.results import DRY_RUN, FIELD_MANAGER, PRINT_FLAGS, Results
from services.kubectl.resources import Found
from services.kubectl.session import Session
from services.machinery import quantity

Json = dict[str, Any]

FLAGS: tuple[Flag, ...] = (
    *PRINT_FLAGS,
    DRY_RUN,
    FIELD_MANAGER,
    text("cpu", "How much CPU the Pods should use: 70% of what they request, or 500m each"),
    integer("cpu-percent", "Deprecated: use --cpu", default=-1),
    texts("filename", "Files that name the object", short="f"),
    text("kustomize", "Not supported", short="k"),
    integer("max", "How many Pods at most", default=-1, required=True),
    text("memory", "How much memory the Pods should use: 70% of what they request, or 500Mi each"),
    integer("min", "How many Pods at least", default=-1),
    text("name", "The autoscaler's name; else that of the object"),
    boolean("recursive", "Read directories with all that is in them", short="R"),
    boolean("save-config", "Note in an annotation what the object was made from"),
)


async def run(session: Session) -> None:
    flags = session.flags
    metrics = _metrics(session)
    if flags["max"] < 1:
        raise Fail(f"--max=MAXPODS is required and must be at least 1, max: {flags['max']}")
    if flags["max"] < flags["min"]:
        numbers = f"max: {flags['max']}, min: {flags['min']}"
        raise Fail(f"--max=MAXPODS must be larger or equal to --min=MINPODS, {numbers}")
    if not session.args and not flags["filename"]:
        raise Fail(resources.NO_RESOURCE)
    wanted = (
        manifests.references(session)
        if flags["filename"]
        else resources.parse(session, session.args, collections=False)
    )
    found, errors = await resources.fetch(session, wanted)
    if errors:
        raise errors[0]
    dry_run = session.dry_run()
    results = Results(session, "autoscaled", dry_run)
    resource = kinds.resource_of_kind("autoscaling/v2", "HorizontalPodAutoscaler")
    assert resource is not None
    for item in found:
        if not any(part.name == "scale" for part in item.resource.subresources):
            where = f"{item.resource.group}/{item.resource.version}, Resource={item.resource.plural}"
            raise Fail(
                f"cannot autoscale a {item.resource.kind}: could not find scale subresource for {where}"
                " in discovery information"
            )
        obj = _autoscaler(session, item, metrics)
        if flags["save-config"]:
            remember(obj)
        if dry_run != "client":
            try:
                answer = await session.client.create(
                    resource,
                    obj,
                    item.namespace,
                    dry_run=dry_run == "server",
                    field_manager=flags["field-manager"] or "kubectl-autoscale",
                )
            except ApiError as error:
                if error.reason == "Invalid":
                    raise
                raise Fail(f"unable to create HorizontalPodAutoscaler: {error.message}") from error
            obj = resources.complete(resource, session.took(answer))
        results.show(obj)


def _metrics(session: Session) -> list[Json]:
    flags = session.flags
    found: list[Json] = []
    if flags.changed("cpu-percent"):
        session.complain(
            "Flag --cpu-percent has been deprecated, Use --cpu with percentage or resource quantity format"
            " (e.g., '70%' for utilization or '500m' for milliCPU)."
        )
        if flags["cpu"]:
            raise Fail("--cpu-percent and --cpu are mutually exclusive")
        if flags["cpu-percent"] >= 0:
            found.append(_metric("cpu", f"{flags['cpu-percent']}%"))
    return found + [_metric(name, flags[name]) for name in ("cpu", "memory") if flags[name]]


def _metric(name: str, wanted: str) -> Json:
    if wanted.endswith("%"):
        if not wanted[:-1].isdigit():
            raise Fail(f"invalid {name} value: {wanted}")
        target: Json = {"type": "Utilization", "averageUtilization": int(wanted[:-1])}
    else:
        try:
            quantity.parse(wanted)
        except ValueError as error:
            raise Fail(f"invalid {name} value: {wanted}") from error
        target = {"type": "AverageValue", "averageValue": wanted}
    return {"type": "Resource", "resource": {"name": name, "target": target}}


def _autoscaler(session: Session, item: Found, metrics: list[Json]) -> Json:
    flags = session.flags
    spec: Json = {
        "maxReplicas": flags["max"],
        "scaleTargetRef": {
            "apiVersion": item.resource.api_version,
            "kind": item.resource.kind,
            "name": item.name,
        },
    }
    if flags["min"] > 0:
        spec["minReplicas"] = flags["min"]
    if metrics:
        spec["metrics"] = metrics
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": flags["name"] or item.name, "namespace": item.namespace},
        "spec": spec,
        "status": {"currentMetrics": None, "desiredReplicas": 0},
    }


AUTOSCALE = Command(
    "autoscale",
    "autoscale (-f FILENAME | TYPE NAME | TYPE/NAME) [--min=MINPODS] --max=MAXPODS"
    " [--cpu=CPU] [--memory=MEMORY]",
    "Creates an autoscaler that automatically chooses and sets the number of pods that run in a Kubernetes"
    " cluster.\n\n Looks up a deployment, replica set, stateful set, or replication controller by name and"
    " creates an autoscaler that uses the given resource as a reference.",
    run=run,
    flags=FLAGS,
    examples="""
  # Between two and ten Pods
  {program} autoscale deployment kubia --min=2 --max=10

  # As many as use 80% of the CPU that they request
  {program} autoscale rc kubia --max=5 --cpu=80%
""",
)
