"""A part of the plugin ServiceAccount: accounts that say which Secrets their Pods may use, and no others.

Asked for by the annotation `kubernetes.io/enforce-mountable-secrets: "true"`, which upstream has deprecated.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

ENFORCE = "kubernetes.io/enforce-mountable-secrets"
_TRUE = ("1", "t", "T", "true", "TRUE", "True")


def refusal(account: Json, spec: Json) -> str:
    """Why a Pod may not have that account; empty where it may."""
    if (account["metadata"].get("annotations") or {}).get(ENFORCE) not in _TRUE:
        return ""
    return next(_faults(account, spec), "")


def _faults(account: Json, spec: Json) -> Iterator[str]:
    name = account["metadata"].get("name", "")
    secrets = {each.get("name") for each in account.get("secrets") or ()}
    why = f"is not allowed because service account {name} does not reference that"
    for volume in spec.get("volumes") or ():
        secret = (volume.get("secret") or {}).get("secretName")
        if secret and secret not in secrets:
            yield f'volume with secret.secretName="{secret}" {why} secret'
    for field, what in (("initContainers", "init container"), ("containers", "container")):
        for container in spec.get(field) or ():
            for variable in container.get("env") or ():
                secret = ((variable.get("valueFrom") or {}).get("secretKeyRef") or {}).get("name")
                if secret and secret not in secrets:
                    named = f"{what} {container.get('name', '')} with envVar {variable.get('name', '')}"
                    yield f'{named} referencing secret.secretName="{secret}" {why} secret'
    pulling = {each.get("name") for each in account.get("imagePullSecrets") or ()}
    for index, reference in enumerate(spec.get("imagePullSecrets") or ()):
        if reference.get("name") not in pulling:
            yield f'imagePullSecrets[{index}].name="{reference.get("name", "")}" {why} imagePullSecret'
