"""An Ingress from rules in one line each: `host/path=service:port[,tls[=secret]]`."""

from __future__ import annotations

import re
from typing import Any

from services.kubectl.errors import Fail
from services.kubectl.flags import Flag, text, texts
from services.kubectl.session import Session

Json = dict[str, Any]

USE = "ingress NAME --rule=host/path=service:port[,tls[=secret]]"
SENTENCE = "Create an ingress with the specified name."
FLAGS: tuple[Flag, ...] = (
    text("class", "The Ingress class to be used"),
    texts("rule", "host/path=service:port[,tls[=secret]]; a path that ends with * is a prefix", split=False),
    text("default-backend", "The service for all that no rule matches, as service:port"),
    texts("annotation", "Annotation to insert, as key=value", split=False),
)

_RULE = re.compile(
    r"(?P<host>[\w*\-.]*)(?P<path>/.*)=(?P<service>[\w-]+):(?P<port>[\w-]+)(,(?P<tls>tls)=?(?P<secret>[\w-]+)?)?"
)
_BACKEND = re.compile(r"(?P<service>[\w-]+):(?P<port>[\w-]+)")


def ingress(session: Session, name: str) -> Json:
    flags = session.flags
    if not flags["rule"] and not flags["default-backend"]:
        raise Fail(
            "not enough information provided: every ingress has to either specify a default-backend (which"
            " catches all traffic) or a list of rules (which catch specific paths)"
        )
    rules = [_rule(each) for each in flags["rule"]]
    metadata: Json = {"name": name}
    if flags["annotation"]:
        metadata["annotations"] = dict(_annotation(each) for each in flags["annotation"])
    spec: Json = {}
    if flags["class"]:
        spec["ingressClassName"] = flags["class"]
    if flags["default-backend"]:
        spec["defaultBackend"] = _default(flags["default-backend"])
    if rules:
        spec["rules"] = _by_host(rules)
    if tls := _tls(rules):
        spec["tls"] = tls
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": metadata,
        "spec": spec,
        "status": {"loadBalancer": {}},
    }


def _rule(rule: str) -> re.Match[str]:
    found = _RULE.fullmatch(rule)
    if found is None:
        form = "host/path=svcname:svcport[,tls[=secret]]"
        raise Fail(f"rule {rule} is invalid and should be in format {form}")
    return found


def _annotation(pair: str) -> tuple[str, str]:
    key, equals, value = pair.partition("=")
    if not equals or not key:
        raise Fail(f"annotation {pair} is invalid and should be in format key=[value]")
    return key, value


def _default(backend: str) -> Json:
    found = _BACKEND.fullmatch(backend)
    if found is None:
        raise Fail("default-backend should be in format servicename:serviceport")
    return _backend(found)


def _backend(found: re.Match[str]) -> Json:
    port = found["port"]
    return {
        "service": {
            "name": found["service"],
            "port": {"number": int(port)} if port.isdigit() else {"name": port},
        }
    }


def _by_host(rules: list[re.Match[str]]) -> list[Json]:
    """One rule for each host, in the order in which they came."""
    paths: dict[str, list[Json]] = {}
    for rule in rules:
        path, kind = rule["path"], "Exact"
        if path.endswith("*"):
            path, kind = path[:-1], "Prefix"
        paths.setdefault(rule["host"], []).append({"path": path, "pathType": kind, "backend": _backend(rule)})
    return [{**({"host": host} if host else {}), "http": {"paths": each}} for host, each in paths.items()]


def _tls(rules: list[re.Match[str]]) -> list[Json]:
    """One entry for each secret; a host stands in it once."""
    hosts: dict[str, list[str]] = {}
    for rule in rules:
        if rule["tls"]:
            known = hosts.setdefault(rule["secret"] or "", [])
            if rule["host"] and rule["host"] not in known:
                known.append(rule["host"])
    return [
        {**({"hosts": names} if names else {}), **({"secretName": secret} if secret else {})}
        for secret, names in hosts.items()
    ]
