"""What becomes of the answers of webhooks and policies: for the caller, and for the audit log."""

from __future__ import annotations

import base64
import random
from dataclasses import replace
from typing import Any

import orjson
import pytest
import structlog.testing

from services.api.errors import ApiError
from services.api.kinds import Resource
from services.apiserver.admission.attributes import Attributes
from services.apiserver.admission.conditions import request_of, variables_of
from services.apiserver.admission.policies import Judgement, Misconfigured, Policies
from services.apiserver.admission.policy_programs import compile_policy
from services.apiserver.admission.registrations import Bound, Webhook, _webhooks_of
from services.apiserver.admission.step import _Rounds
from services.apiserver.admission.webhooks import Webhooks
from services.apiserver.strands import Strands
from services.process.clock import SystemClock
from tests.unit.apiserver.admission.test_matching import NAMESPACES, asked, rule
from tests.unit.apiserver.admission.test_matching import resource as resource_of

Json = dict[str, Any]
SCALERS, NEW_SCALERS = (
    resource_of(f"autoscaling/{version}", "HorizontalPodAutoscaler") for version in ("v1", "v2")
)
MUTATION, OPEN = "mutation.webhook.admission.k8s.io", "failed-open"


def seen_of(about: Attributes) -> Json:
    return variables_of(about, None, lambda request, question: (True, "", ""))


class Hooks:
    """Webhooks that all give one answer; `notes` is what the audit log is told."""

    def __init__(self, **response: Any) -> None:
        self.response, self.notes, self.asked = response, dict[str, str](), 0
        strands, chance = Strands(SystemClock()), random.Random(1)
        self.hooks = Webhooks(
            self.ask, chance, seen_of, lambda _: [NEW_SCALERS], self.convert, self.notes.__setitem__, strands
        )

    async def ask(self, config: Json, review: Json, seconds: int) -> Json:
        self.asked += 1
        response = {"uid": review["request"]["uid"], "allowed": True, **self.response}
        return {"apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": response}

    async def convert(self, obj: Json, given: Resource, wanted: Resource) -> Json:
        return {**obj, "apiVersion": wanted.api_version}

    async def mutate(self, about: Attributes, place: str = "round_0_index_3", **spec: Any) -> bool | None:
        return await self.hooks.mutate(webhook(**spec), about, lambda obj: obj, place)


def webhook(**spec: Any) -> Webhook:
    given = {
        "name": "w",
        "clientConfig": {},
        "rules": [rule()],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        **spec,
    }
    return _webhooks_of({"metadata": {"name": "c"}, "webhooks": [given]})[0]


def patch(text: bytes) -> Json:
    return {"patch": base64.b64encode(text).decode(), "patchType": "JSONPatch"}


POD: Json = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "name"}}
ADD = patch(b'[{"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}]')


async def test_who_changed_an_object_is_on_record() -> None:
    hooks, about = Hooks(**ADD), asked(obj=POD)
    assert await hooks.mutate(about) is True
    assert about.obj == {**POD, "metadata": {"name": "name", "labels": {"a": "b"}}}
    told = {"configuration": "c", "webhook": "w", "mutated": True}
    assert hooks.notes == {f"{MUTATION}/round_0_index_3": orjson.dumps(told).decode()}


async def test_who_refuses_is_on_record_too() -> None:
    hooks = Hooks(allowed=False)
    with pytest.raises(ApiError):
        await hooks.mutate(asked(obj=POD))
    assert orjson.loads(hooks.notes[f"{MUTATION}/round_0_index_3"])["mutated"] is False


async def test_a_patch_that_cannot_be_read_counts_by_the_failure_policy() -> None:
    hooks = Hooks(**patch(b"{"))
    assert await hooks.mutate(asked(obj=POD), failurePolicy="Ignore") is False
    assert hooks.notes[f"{OPEN}.{MUTATION}/round_0_index_3"] == "w"
    with pytest.raises(ApiError, match='failed calling webhook "w": received undecodable patch'):
        await hooks.mutate(asked(obj=POD))


async def test_a_webhook_that_fails_is_told_once_until_it_answers_again() -> None:
    hooks = Hooks(uid="another")
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            await hooks.mutate(asked(obj=POD), failurePolicy="Ignore")
        del hooks.response["uid"]
        await hooks.mutate(asked(obj=POD))
        hooks.response["uid"] = "another"
        with pytest.raises(ApiError):
            await hooks.mutate(asked(obj=POD))
    assert [line["event"] for line in lines] == [
        "Failed calling webhook, failing open",
        "The webhook answers again",
        "Failed calling webhook, failing closed",
    ]
    assert lines[0]["webhook"] == "w"
    assert lines[0]["reason"].startswith("received invalid webhook response: ")


async def test_a_patch_of_nothing_is_none_and_of_something_that_goes_is_refused() -> None:
    gone = asked(operation="DELETE", old=POD)
    assert await Hooks(**patch(b"[]")).mutate(gone) is False
    with pytest.raises(ApiError, match='admission webhook "w" attempted to modify the object'):
        await Hooks(**ADD).mutate(gone)


async def test_a_validating_webhook_that_is_passed_over_is_on_record_by_its_number() -> None:
    hooks = Hooks(uid="another")
    several = [
        webhook(failurePolicy="Ignore", rules=[rule(resources=[plural])]) for plural in ("nodes", "pods")
    ]
    await hooks.hooks.validate(several, asked(obj=POD))
    assert hooks.notes == {f"{OPEN}.validating.webhook.admission.k8s.io/round_0_index_0": "w"}


async def test_conditions_see_the_version_that_the_rule_names() -> None:
    about = asked(SCALERS, obj={"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler"})
    rules = [rule(apiGroups=["autoscaling"], apiVersions=["v2"])]
    for version, wanted in (("v2", False), ("v1", None)):
        text = f"object.apiVersion == 'autoscaling/{version}' && request.resource.version == '{version}'"
        conditions = [{"name": "c", "expression": text}]
        assert await Hooks().mutate(replace(about), rules=rules, matchConditions=conditions) is wanted


async def test_whom_a_request_does_not_concern_is_not_asked_in_the_second_round_either() -> None:
    hooks = Hooks()
    assert await hooks.mutate(asked(obj=POD), rules=[rule(resources=["nodes"])]) is None
    assert (hooks.asked, hooks.notes) == (0, {})
    rounds = _Rounds()
    rounds.ran("a", "IfNeeded", False)
    rounds.ran("b", "IfNeeded", True)
    assert rounds.wanted == {"a"}


def test_a_namespace_is_named_as_its_own() -> None:
    assert "namespace" not in request_of(asked(NAMESPACES))
    assert request_of(asked(NAMESPACES, operation="UPDATE"))["namespace"] == "name"


# -- policies ------------------------------------------------------------------------------------


def judged(params: list[Json | None] | Misconfigured, *actions: str, **spec: Any) -> Judgement:
    def parameters(policy: Any, binding: Json, about: Attributes) -> list[Json | None]:
        if isinstance(params, Misconfigured):
            raise params
        return params

    given = {
        "matchConstraints": {"resourceRules": [rule()]},
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "validations": [],
        **spec,
    }
    policy = compile_policy({"metadata": {"name": "p"}, "spec": given})
    binding = {"metadata": {"name": "b"}, "spec": {"validationActions": actions}}
    policies = Policies(parameters, lambda _: [], lambda key, value: None, Strands(SystemClock()))
    return policies._judge([Bound(policy, (binding,))], asked(obj=POD), seen_of)


NOTE = {"key": "who", "valueExpression": "string(params.who)"}


def test_what_several_params_note_is_told_together_and_once() -> None:
    found = judged([{"who": "a"}, {"who": "b"}, {"who": "a"}, {"who": " "}], auditAnnotations=[NOTE])
    assert found.notes == [("p/who", "a, b")]
    assert found.denials == []


def test_a_note_that_cannot_be_made_denies_unless_that_is_ignored() -> None:
    (denial,) = judged([{}], "Audit", auditAnnotations=[NOTE]).denials
    assert "no such key: who" in denial.message
    assert judged([{}], "Audit", auditAnnotations=[NOTE], failurePolicy="Ignore").denials == []


def test_a_long_note_is_cut() -> None:
    ((_, text),) = judged([{"who": "ä" * 9000}], auditAnnotations=[NOTE]).notes
    assert len(text.encode()) == 10 * 1024


def test_a_condition_without_a_value_denies_nothing_where_there_are_only_warnings() -> None:
    conditions = [{"name": "c", "expression": "params.nothing"}]
    found = judged([{"who": "a"}], "Warn", matchConditions=conditions, auditAnnotations=[NOTE])
    assert (found.denials, found.notes, len(found.warnings)) == ([], [], 1)


def test_a_policy_that_cannot_be_configured_is_told_from_a_binding() -> None:
    (denial,) = judged(Misconfigured("why", of_policy=True)).denials
    assert (denial.binding, denial.message) == ("", "failed to configure policy: why")
    (denial,) = judged(Misconfigured("why")).denials
    assert (denial.binding, denial.message) == ("b", "failed to configure binding: why")
