"""Objects that `create` and `autoscale` put together from what is typed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from services.api.errors import failure
from services.kubectl.commands import create_batch, create_budget
from services.kubectl.commands.create import failed
from services.kubectl.errors import Fail
from services.kubectl.flags import parse

Json = dict[str, Any]


def session(flags: Any, *words: str) -> Any:
    parsed = parse(flags, words)
    return SimpleNamespace(flags=parsed, args=parsed.args, usage_error=Fail)


def budget(*words: str) -> Json:
    made: Json = create_budget.budget(session(create_budget.FLAGS, *words), "b")["spec"]
    return made


def test_a_budget_for_what_a_selector_means() -> None:
    assert budget("--selector=app=web,a!=b,c in (d,e),f", "--min-available=50%") == {
        "minAvailable": "50%",
        "selector": {
            "matchLabels": {"app": "web"},
            "matchExpressions": [
                {"key": "a", "operator": "NotIn", "values": ["b"]},
                {"key": "c", "operator": "In", "values": ["d", "e"]},
                {"key": "f", "operator": "Exists"},
            ],
        },
    }
    assert budget("--selector=a=b", "--max-unavailable=1")["maxUnavailable"] == 1


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--min-available=1"], "a selector must be specified"),
        (["--selector=a"], "one of min-available or max-unavailable must be specified"),
        (
            ["--selector=a", "--min-available=1", "--max-unavailable=1"],
            "min-available and max-unavailable cannot be both specified",
        ),
        (["--selector=a", "--max-unavailable=x"], "invalid format specified for max-unavailable"),
        (["--selector=a>1", "--min-available=1"], '"gt" isn\'t supported in label selectors'),
    ],
)
def test_budgets_that_are_none(words: list[str], why: str) -> None:
    with pytest.raises(Fail, match=f"^{why}$"):
        budget(*words)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["j"], "either --image or --from must be specified"),
        (["j", "--image=a", "--from=cronjob/c"], "either --image or --from must be specified"),
        (["j", "--from=cronjob/c", "--", "date"], "cannot specify --from and command"),
        (["j", "k", "--image=a"], "exactly one NAME is required, got 2"),
    ],
)
async def test_jobs_that_are_none(words: list[str], why: str) -> None:
    with pytest.raises(Fail, match=f"^{why}$"):
        await create_batch.job(session(create_batch.JOB_FLAGS, *words))


async def test_what_stands_after_the_dashes_runs() -> None:
    made = await create_batch.job(session(create_batch.JOB_FLAGS, "j", "--image=a", "--", "date", "-u"))
    (container,) = made["spec"]["template"]["spec"]["containers"]
    assert (container["name"], container["command"]) == ("j", ["date", "-u"])


@pytest.mark.parametrize(
    ("obj", "said"),
    [
        ({"kind": "Deployment"}, "failed to create deployment: no"),
        ({"kind": "ConfigMap"}, "failed to create configmap: no"),
        ({"kind": "Secret"}, "failed to create secret no"),
        ({"kind": "PodDisruptionBudget"}, "failed to create poddisruptionbudgets: no"),
        ({"kind": "ResourceQuota"}, "failed to create quota: no"),
        ({"kind": "ClusterRoleBinding"}, "failed to create clusterrolebinding: no"),
        ({"kind": "Service", "spec": {"type": "NodePort"}}, "failed to create NodePort service: no"),
        ({"kind": "Role"}, None),
        ({"kind": "Namespace"}, None),
    ],
)
@pytest.mark.parametrize("reason", ["Forbidden", "Invalid"])
def test_a_refusal_is_told_as_kubectl_tells_it(obj: dict[str, Any], said: str | None, reason: str) -> None:
    error = failure(403, reason, "no")
    told = failed(obj, error)
    assert told is error if said is None else str(told) == said
