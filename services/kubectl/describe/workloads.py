"""Deployments, ReplicaSets and ReplicationControllers described."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from services.kubectl.describe import events, pods
from services.kubectl.describe.writer import Writer, controller_of, head, notes, rfc1123
from services.kubectl.output.labels import format_labels, format_selector

Json = dict[str, Any]


def deployment(
    obj: Json, old: Sequence[Json], new: Json | None, found_events: Iterable[Json] | None, now: datetime
) -> str:
    writer = Writer()
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    head(writer, obj)
    writer.line(0, "CreationTimestamp:", rfc1123(obj["metadata"].get("creationTimestamp")))
    notes(writer, obj)
    writer.line(0, "Selector:", format_selector(spec.get("selector")))
    writer.line(
        0,
        "Replicas:",
        f"{spec.get('replicas', 0)} desired | {status.get('updatedReplicas', 0)} updated"
        f" | {status.get('replicas', 0)} total | {status.get('availableReplicas', 0)} available"
        f" | {status.get('unavailableReplicas', 0)} unavailable",
    )
    strategy = spec.get("strategy") or {}
    writer.line(0, "StrategyType:", strategy.get("type", ""))
    writer.line(0, "MinReadySeconds:", spec.get("minReadySeconds", 0))
    if rolling := strategy.get("rollingUpdate"):
        unavailable, surge = rolling.get("maxUnavailable", "25%"), rolling.get("maxSurge", "25%")
        writer.line(0, "RollingUpdateStrategy:", f"{unavailable} max unavailable, {surge} max surge")
    pods.template(spec.get("template") or {}, writer)
    _conditions(writer, status)
    if old or new:
        writer.line(0, "OldReplicaSets:", _sets(old))
        writer.line(0, "NewReplicaSet:", _sets([new] if new else []))
    events.describe(writer, found_events, now)
    return writer.text()


def _sets(sets: Iterable[Json]) -> str:
    texts = []
    for rs in sets:
        replicas = (rs.get("status") or {}).get("replicas", 0)
        texts.append(
            f"{rs['metadata']['name']} ({replicas}/{rs['spec'].get('replicas', 0)} replicas created)"
        )
    return ", ".join(texts) or "<none>"


def _conditions(writer: Writer, status: Json) -> None:
    conditions = status.get("conditions") or ()
    if conditions:
        writer.write(0, "Conditions:\n  Type\tStatus\tReason\n")
        writer.line(1, "----", "------", "------")
    for condition in conditions:
        writer.write(1, f"{condition['type']} \t{condition['status']}\t{condition.get('reason', '')}\n")


def replica_set(obj: Json, owned: Sequence[Json], found_events: Iterable[Json] | None, now: datetime) -> str:
    return _replicas(obj, format_selector(obj["spec"].get("selector")), owned, found_events, now)


def replication_controller(
    obj: Json, owned: Sequence[Json], found_events: Iterable[Json] | None, now: datetime
) -> str:
    return _replicas(obj, format_labels(obj["spec"].get("selector")), owned, found_events, now)


def _replicas(
    obj: Json, selector: str, owned: Sequence[Json], found_events: Iterable[Json] | None, now: datetime
) -> str:
    writer = Writer()
    spec, status = obj["spec"], obj.get("status") or {}
    head(writer, obj)
    writer.line(0, "Selector:", selector)
    notes(writer, obj)
    if controller := controller_of(obj):
        writer.line(0, "Controlled By:", controller)
    writer.line(0, "Replicas:", f"{status.get('replicas', 0)} current / {spec.get('replicas', 0)} desired")
    writer.line(0, "Pods Status:", pods_status(owned))
    pods.template(spec.get("template") or {}, writer)
    _conditions(writer, status)
    events.describe(writer, found_events, now)
    return writer.text()


def pods_status(owned: Iterable[Json]) -> str:
    phases = [(pod.get("status") or {}).get("phase") for pod in owned]
    return (
        f"{phases.count('Running')} Running / {phases.count('Pending')} Waiting"
        f" / {phases.count('Succeeded')} Succeeded / {phases.count('Failed')} Failed"
    )
