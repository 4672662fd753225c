"""Which requests rules and selectors mean."""

from __future__ import annotations

from typing import Any

import pytest

from services.api.kinds import Resource, resource_of_kind
from services.apiserver.admission import matching
from services.apiserver.admission.attributes import Attributes, Operation
from services.apiserver.authentication.users import ANONYMOUS

Json = dict[str, Any]


class Ctx:
    def __init__(self, **labels: Json) -> None:
        self.namespaces = labels

    def lookup(self, resource: Resource, namespace: str, name: str) -> Json | None:
        found = self.namespaces.get(name)
        return None if found is None else {"metadata": {"name": name, "labels": found}}

    @property
    def warnings(self) -> list[str]:
        return []

    def warn(self, text: str) -> None:
        raise AssertionError(text)


def resource(api_version: str, kind: str) -> Resource:
    found = resource_of_kind(api_version, kind)
    assert found is not None
    return found


PODS, NODES = resource("v1", "Pod"), resource("v1", "Node")
NAMESPACES = resource("v1", "Namespace")


def asked(
    of: Resource = PODS,
    operation: Operation = "CREATE",
    part: str = "",
    obj: Json | None = None,
    old: Json | None = None,
    ctx: Ctx | None = None,
) -> Attributes:
    namespace = "team" if of.namespaced else ""
    return Attributes(operation, of, part, namespace, "name", obj, old, ANONYMOUS, ctx or Ctx(team={}))


def rule(**more: Any) -> Json:
    everything = {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}
    return {**everything, "scope": "*", **more}


@pytest.mark.parametrize(
    ("found", "about", "matches"),
    [
        (rule(), asked(), True),
        (rule(), asked(part="status"), False),
        (rule(resources=["*/*"]), asked(part="status"), True),
        (rule(resources=["pods/*"]), asked(), True),
        (rule(resources=["pods/status"]), asked(), False),
        (rule(resources=["*/exec"]), asked(operation="CONNECT", part="exec"), True),
        (rule(resources=["nodes"]), asked(), False),
        (rule(apiGroups=["apps"]), asked(), False),
        (rule(apiGroups=[""], apiVersions=["v2"]), asked(), False),
        (rule(operations=["UPDATE", "DELETE"]), asked(), False),
        (rule(operations=["UPDATE", "DELETE"]), asked(operation="DELETE"), True),
        (rule(scope="Cluster"), asked(), False),
        (rule(scope="Cluster"), asked(NODES), True),
        (rule(scope="Cluster"), asked(NAMESPACES), True),
        (rule(scope="Namespaced"), asked(NODES), False),
        (rule(resourceNames=["name"]), asked(), True),
        (rule(resourceNames=["other"]), asked(), False),
    ],
)
def test_rules(found: Json, about: Attributes, matches: bool) -> None:
    assert matching.rule_matches(found, about, about.resource) is matches


def test_an_equivalent_version_is_meant_only_where_none_is_named_and_that_is_wanted() -> None:
    old = resource("autoscaling/v1", "HorizontalPodAutoscaler")
    new = resource("autoscaling/v2", "HorizontalPodAutoscaler")
    about = asked(new)

    def others(of: Resource) -> list[Resource]:
        return [old]

    only_old = [rule(apiGroups=["autoscaling"], apiVersions=["v1"])]
    assert matching.matched_as(only_old, about, "Equivalent", others) is old
    assert matching.matched_as(only_old, about, "Exact", others) is None
    assert matching.matched_as([*only_old, rule()], about, "Equivalent", others) is new


WANTED = {"matchLabels": {"a": "b"}}


def test_namespaces_are_selected_by_their_labels_and_by_their_own() -> None:
    assert matching.namespace_selected(WANTED, asked(ctx=Ctx(team={"a": "b"})))
    assert not matching.namespace_selected(WANTED, asked(ctx=Ctx(team={"a": "c"})))
    assert matching.namespace_selected({}, asked(ctx=Ctx()))
    assert matching.namespace_selected(WANTED, asked(NODES))  # what is in no namespace passes
    labelled = {"metadata": {"name": "name", "labels": {"a": "b"}}}
    assert matching.namespace_selected(WANTED, asked(NAMESPACES, obj=labelled))
    assert not matching.namespace_selected(WANTED, asked(NAMESPACES, obj={"metadata": {"name": "name"}}))
    assert matching.namespace_selected(WANTED, asked(NAMESPACES, "DELETE", old=labelled))


def test_an_object_is_selected_as_it_is_or_as_it_was() -> None:
    labelled: Json = {"metadata": {"labels": {"a": "b"}}}
    plain: Json = {"metadata": {}}
    assert matching.object_selected(WANTED, asked(obj=labelled))
    assert matching.object_selected(WANTED, asked(obj=plain, old=labelled))
    assert not matching.object_selected(WANTED, asked(obj=plain))
    assert not matching.object_selected(WANTED, asked(obj={"kind": "PodExecOptions"}))
    assert matching.object_selected({}, asked(obj=plain))
