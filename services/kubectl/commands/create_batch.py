"""Jobs and CronJobs from an image and a command, and a Job like those that a CronJob makes."""

from __future__ import annotations

from typing import Any

from services.kubectl import resources
from services.kubectl.errors import Fail
from services.kubectl.flags import Flag, text
from services.kubectl.session import Session

Json = dict[str, Any]

MADE_BY_HAND = "cronjob.kubernetes.io/instantiate"

JOB_USE = "job NAME --image=image [--from=cronjob/name] -- [COMMAND] [args...]"
JOB_FLAGS: tuple[Flag, ...] = (
    text("from", "The CronJob whose Job to make now: cronjob/name"),
    text("image", "Image to run"),
)
CRON_JOB_USE = "cronjob NAME --image=image --schedule='0/5 * * * ?' -- [COMMAND] [args...] [flags]"
CRON_JOB_FLAGS: tuple[Flag, ...] = (
    text("image", "Image to run", required=True),
    text("restart", "OnFailure or Never"),
    text("schedule", "When to run it, in the Cron format", required=True),
)


def _name_and_command(session: Session) -> tuple[str, list[str]]:
    names = session.args[: session.flags.dash] if session.flags.dash >= 0 else session.args
    if len(names) != 1:
        raise session.usage_error(f"exactly one NAME is required, got {len(names)}")
    return names[0], session.args[1:]


async def job(session: Session) -> Json:
    name, command = _name_and_command(session)
    image, source = session.flags["image"], session.flags["from"]
    if bool(image) == bool(source):
        raise Fail("either --image or --from must be specified")
    if command and source:
        raise Fail("cannot specify --from and command")
    if source:
        return _like(name, await _cron_job(session, source))
    spec = {"template": _template(name, image, command, "Never")}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec, "status": {}}


def cron_job(session: Session) -> Json:
    flags = session.flags
    name, command = _name_and_command(session)
    template = _template(name, flags["image"], command, flags["restart"] or "OnFailure")
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": name},
        "spec": {
            "jobTemplate": {"metadata": {"name": name}, "spec": {"template": template}},
            "schedule": flags["schedule"],
        },
        "status": {},
    }


def _template(name: str, image: str, command: list[str], restart: str) -> Json:
    container: Json = {"name": name, "image": image, "resources": {}}
    if command:
        container["command"] = command
    return {"metadata": {}, "spec": {"containers": [container], "restartPolicy": restart}}


async def _cron_job(session: Session, source: str) -> Json:
    wanted = resources.parse(session, [source], collections=False)
    found, errors = await resources.fetch(session, wanted)
    if errors:
        raise errors[0]
    if len(found) != 1:
        raise Fail("from must be an existing cronjob")
    if found[0].resource.kind != "CronJob":
        raise Fail(f"unknown object type *{found[0].resource.version}.{found[0].resource.kind}")
    return found[0].object


def _like(name: str, cron: Json) -> Json:
    """The Job that a CronJob would make, now and by hand."""
    template = cron["spec"]["jobTemplate"]
    metadata = template.get("metadata") or {}
    owner = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "name": cron["metadata"]["name"],
        "uid": cron["metadata"]["uid"],
        "controller": True,
    }
    made: Json = {
        "name": name,
        "annotations": {MADE_BY_HAND: "manual", **(metadata.get("annotations") or {})},
        "ownerReferences": [owner],
    }
    if metadata.get("labels"):
        made["labels"] = metadata["labels"]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": made,
        "spec": template["spec"],
        "status": {},
    }
