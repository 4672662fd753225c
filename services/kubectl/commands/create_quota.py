"""A ResourceQuota from what is typed: `create quota NAME --hard=pods=3,cpu=1`."""

from __future__ import annotations

from typing import Any

from services.kubectl.errors import Fail
from services.kubectl.flags import Flag, text
from services.kubectl.session import Session
from services.machinery import quantity

Json = dict[str, Any]

USE = "quota NAME [--hard=key1=value1,key2=value2] [--scopes=Scope1,Scope2]"
SENTENCE = "Create a resource quota with the specified name, hard limits, and optional scopes."
FLAGS: tuple[Flag, ...] = (
    text("hard", "Resource and how much there is of it, comma separated pairs of name=value"),
    text("scopes", "Scopes that each object must match, comma separated"),
)


def quota(session: Session, name: str) -> Json:
    spec: Json = {}
    if hard := session.flags["hard"]:
        spec["hard"] = dict(_amount(each) for each in hard.split(","))
    if scopes := session.flags["scopes"]:
        spec["scopes"] = scopes.split(",")
    obj: Json = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name}}
    return {**obj, "spec": spec, "status": {}}


def _amount(pair: str) -> tuple[str, str]:
    name, _, value = pair.partition("=")
    if pair.count("=") != 1:
        raise Fail(f"Invalid argument syntax {pair}, expected <resource>=<value>")
    try:
        return name, quantity.canonical(value)
    except ValueError as error:
        raise Fail(str(error)) from None
