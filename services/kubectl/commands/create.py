"""`create`: from files, or one object put together from arguments (see the `create_*` modules)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from services.api import kinds
from services.api.errors import ApiError
from services.kubectl import manifests
from services.kubectl.commands import (
    create_access,
    create_batch,
    create_budget,
    create_config,
    create_ingress,
    create_quota,
    create_service,
    create_token,
    create_workload,
)
from services.kubectl.commands.registry import Command, Run
from services.kubectl.errors import Fail, raise_all, with_source
from services.kubectl.flags import boolean, text, texts
from services.kubectl.output.results import DRY_RUN, FIELD_MANAGER, PRINT_FLAGS, VALIDATE, Results
from services.kubectl.session import Session

Json = dict[str, Any]

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


async def run(session: Session) -> None:
    flags = session.flags
    if session.args:
        raise session.usage_error(f"Unexpected args: [{' '.join(session.args)}]")
    if not flags["filename"] and not flags["kustomize"]:
        raise Fail("must specify one of -f and -k")
    dry_run = session.dry_run()
    results = Results(session, "created", dry_run)
    errors: list[Exception] = []
    count = 0
    for item in manifests.read(session):
        if isinstance(item, manifests.Unreadable):
            errors.append(item.error)
            continue
        count += 1
        try:
            results.show(await create(session, item, dry_run))
        except ApiError as error:
            errors.append(with_source("creating", item.source, error))
    if not count and not errors:
        raise Fail("no objects passed to create")
    raise_all(errors)


async def create(session: Session, item: manifests.Manifest, dry_run: str) -> Json:
    if session.flags.get("save-config"):
        remember(item.object)
    if dry_run == "client":
        return item.object
    answer = await session.client.create(
        item.resource,
        item.object,
        item.namespace,
        dry_run=dry_run == "server",
        field_validation=session.validation(),
        field_manager=session.flags["field-manager"] or "kubectl-create",
    )
    return session.took(answer)


def remember(obj: Json) -> None:
    """Notes inside the object what it was made from."""
    from services.kubectl.commands.apply import with_annotation

    obj.update(with_annotation(obj))


async def generated(session: Session, obj: Json) -> None:
    """Creates an object that arguments described. The name of the kind stands in what fails."""
    resource = kinds.resource_of_kind(obj["apiVersion"], obj["kind"])
    assert resource is not None
    dry_run = session.dry_run()
    results = Results(session, "created", dry_run)
    namespace = session.namespace if resource.namespaced else ""
    if resource.namespaced and session.namespace_given:
        obj["metadata"]["namespace"] = session.namespace
    if session.flags.get("save-config"):
        remember(obj)
    if dry_run != "client":
        try:
            answer = await session.client.create(
                resource,
                obj,
                namespace,
                dry_run=dry_run == "server",
                field_validation=session.validation(),
                field_manager=session.flags["field-manager"] or "kubectl-create",
            )
        except ApiError as error:
            raise failed(obj, error) from error
        obj = session.took(answer)
    results.show(obj)


# What kubectl calls a kind where it wraps what the server said into a sentence of its own.
_WRAPPED = {"PodDisruptionBudget": "poddisruptionbudgets:", "ResourceQuota": "quota:", "Secret": "secret"}
_BARE = ("Namespace", "Role", "ClusterRole")  # where it wraps nothing


def failed(obj: Json, error: ApiError) -> Exception:
    """What is said where the server refused an object that was made from flags."""
    kind: str = obj["kind"]
    if kind in _BARE:
        return error
    word = _WRAPPED.get(kind, f"{kind.lower()}:")
    if kind == "Service":
        word = f"{obj['spec']['type']} service:"
    return Fail(f"failed to create {word} {error.message}")


def name_of(session: Session) -> str:
    if len(session.args) != 1:
        raise session.usage_error(f"exactly one NAME is required, got {len(session.args)}")
    return session.args[0]


FILE_FLAGS = (
    *PRINT_FLAGS,
    DRY_RUN,
    FIELD_MANAGER,
    VALIDATE,
    texts("filename", "Files, directories or - for stdin with what to create", short="f"),
    text("kustomize", "Not supported", short="k"),
    boolean("recursive", "Read directories with all that is in them", short="R"),
    boolean("save-config", "Note in an annotation what the object was made from"),
    boolean("edit", "Edit before creating"),
    text("raw", "Path to send a file to, unchanged"),
    text("selector", "Only objects of the files whose labels match", short="l"),
    boolean("windows-line-endings", "Only for --edit"),
)


def _made(make: Callable[[Session, str], Json]) -> Run:
    """What creates the object that a function makes of the line and the one name in it."""

    async def run(session: Session) -> None:
        await generated(session, make(session, name_of(session)))

    return run


def _namespace(session: Session, name: str) -> Json:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}, "spec": {}, "status": {}}


def _service_account(session: Session, name: str) -> Json:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}


async def _deployment(session: Session) -> None:
    await generated(session, create_workload.deployment(session))


async def _job(session: Session) -> None:
    await generated(session, await create_batch.job(session))


async def _cron_job(session: Session) -> None:
    await generated(session, create_batch.cron_job(session))


_COMMON = (
    *PRINT_FLAGS,
    DRY_RUN,
    FIELD_MANAGER,
    VALIDATE,
    boolean("save-config", "Note in an annotation what the object was made from"),
)

_SECRETS = (
    Command(
        "docker-registry",
        "docker-registry NAME --docker-username=user --docker-password=password [--docker-server=server]",
        "Create a secret for use with a Docker registry.",
        run=_made(create_config.docker_secret),
        flags=(*_COMMON, *create_config.DOCKER_FLAGS),
    ),
    Command(
        "generic",
        "generic NAME [--type=string] [--from-file=[key=]source] [--from-literal=key1=value1]",
        "Create a secret from a local file, directory, or literal value.",
        run=_made(create_config.generic_secret),
        flags=(*_COMMON, *create_config.SOURCE_FLAGS, text("type", "The type of the secret")),
    ),
    Command(
        "tls",
        "tls NAME --cert=path/to/cert/file --key=path/to/key/file",
        "Create a TLS secret.",
        run=_made(create_config.tls_secret),
        flags=(*_COMMON, *create_config.TLS_FLAGS),
    ),
)

CREATE = Command(
    "create",
    "create -f FILENAME",
    "Create a resource from a file or from stdin.\n\n JSON and YAML formats are accepted.",
    run=run,
    flags=FILE_FLAGS,
    children=(
        Command(
            "clusterrole",
            "clusterrole NAME --verb=verb --resource=resource.group [--resource-name=resourcename]",
            "Create a cluster role.",
            run=_made(create_access.cluster_role),
            flags=(*_COMMON, *create_access.CLUSTER_ROLE_FLAGS),
        ),
        Command(
            "clusterrolebinding",
            "clusterrolebinding NAME --clusterrole=NAME [--user=username] [--group=groupname]",
            "Create a cluster role binding for a particular cluster role.",
            run=_made(create_access.cluster_role_binding),
            flags=(*_COMMON, *create_access.CLUSTER_BINDING_FLAGS),
        ),
        Command(
            "configmap",
            "configmap NAME [--from-file=[key=]source] [--from-literal=key1=value1]",
            "Create a config map from a local file, directory or literal value.",
            run=_made(create_config.configmap),
            flags=(*_COMMON, *create_config.SOURCE_FLAGS),
            aliases=("cm",),
        ),
        Command(
            "cronjob",
            create_batch.CRON_JOB_USE,
            "Create a cron job with the specified name.",
            run=_cron_job,
            flags=(*_COMMON, *create_batch.CRON_JOB_FLAGS),
            aliases=("cj",),
        ),
        Command(
            "deployment",
            "deployment NAME --image=image -- [COMMAND] [args...]",
            "Create a deployment with the specified name.",
            run=_deployment,
            flags=(*_COMMON, *create_workload.DEPLOYMENT_FLAGS),
            aliases=("deploy",),
        ),
        Command(
            "ingress",
            create_ingress.USE,
            create_ingress.SENTENCE,
            run=_made(create_ingress.ingress),
            flags=(*_COMMON, *create_ingress.FLAGS),
            aliases=("ing",),
        ),
        Command(
            "job",
            create_batch.JOB_USE,
            "Create a job with the specified name.",
            run=_job,
            flags=(*_COMMON, *create_batch.JOB_FLAGS),
        ),
        Command(
            "namespace",
            "namespace NAME",
            "Create a namespace with the specified name.",
            run=_made(_namespace),
            flags=_COMMON,
            aliases=("ns",),
        ),
        Command(
            "poddisruptionbudget",
            create_budget.USE,
            create_budget.SENTENCE,
            run=_made(create_budget.budget),
            flags=(*_COMMON, *create_budget.FLAGS),
            aliases=("pdb",),
        ),
        Command(
            "priorityclass",
            "priorityclass NAME --value=VALUE --global-default=BOOL [--dry-run=server|client|none]",
            "Create a priority class with the specified name, value, globalDefault and description.",
            run=_made(create_access.priority_class),
            flags=(*_COMMON, *create_access.PRIORITY_FLAGS),
            aliases=("pc",),
        ),
        Command(
            "quota",
            create_quota.USE,
            create_quota.SENTENCE,
            run=_made(create_quota.quota),
            flags=(*_COMMON, *create_quota.FLAGS),
            aliases=("resourcequota",),
        ),
        Command(
            "role",
            "role NAME --verb=verb --resource=resource.group/subresource [--resource-name=resourcename]",
            "Create a role with single rule.",
            run=_made(create_access.role),
            flags=(*_COMMON, *create_access.ROLE_FLAGS),
        ),
        Command(
            "rolebinding",
            "rolebinding NAME --clusterrole=NAME|--role=NAME [--user=username] [--group=groupname]",
            "Create a role binding for a particular role or cluster role.",
            run=_made(create_access.role_binding),
            flags=(*_COMMON, *create_access.BINDING_FLAGS),
        ),
        Command(
            "secret",
            "secret (docker-registry | generic | tls)",
            "Create a secret with specified type.\n\n A docker-registry type secret is for accessing a"
            " container registry.\n\n A generic type secret indicate an Opaque secret type.\n\n"
            " A tls type secret holds TLS certificate and its associated key.",
            children=_SECRETS,
        ),
        Command(
            "service",
            "service [flags]",
            "Create a service using a specified subcommand.",
            children=tuple(
                Command(kind, use, long, run=_made(create_service.service), flags=(*_COMMON, *flags))
                for kind, use, long, flags in create_service.COMMANDS
            ),
            aliases=("svc",),
        ),
        Command(
            "serviceaccount",
            "serviceaccount NAME",
            "Create a service account with the specified name.",
            run=_made(_service_account),
            flags=_COMMON,
            aliases=("sa",),
        ),
        Command(
            "token",
            "token SERVICE_ACCOUNT_NAME",
            "Request a service account token.",
            run=create_token.token,
            flags=create_token.TOKEN_FLAGS,
        ),
    ),
    examples="""
  # What a file describes
  {program} create -f kubia-rc.yaml

  # What is typed
  cat pod.json | {program} create -f -
""",
)
