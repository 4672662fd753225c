"""Normal form: what upstream's own encoder would have written."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.machinery.schema import definition, in_order
from services.machinery.schema.normal import Irregular, normaliser

POD = normaliser(definition("core.v1.Pod"))
SPEC = normaliser(definition("core.v1.PodSpec"))
DEPLOYMENT = normaliser(definition("apps.v1.DeploymentSpec"))


def test_what_go_always_writes_is_there() -> None:
    assert POD({}) == {"metadata": {}, "spec": {"containers": None}, "status": {}}
    condition = normaliser(definition("core.v1.PodCondition"))({"type": "Ready", "status": "True"})
    assert condition == {"type": "Ready", "status": "True", "lastProbeTime": None, "lastTransitionTime": None}


def test_empty_and_null_are_left_out_where_upstream_leaves_them_out() -> None:
    spec = SPEC(
        {"containers": [{"name": "c", "args": [], "env": None, "tty": False}], "nodeName": "", "os": None}
    )
    assert spec == {"containers": [{"name": "c", "resources": {}}]}


def test_pointers_keep_what_is_empty() -> None:
    spec = DEPLOYMENT({"replicas": 0, "minReadySeconds": 0})
    assert spec["replicas"] == 0
    assert "minReadySeconds" not in spec
    volume = normaliser(definition("core.v1.Volume"))({"name": "v", "emptyDir": {}})
    assert volume == {"name": "v", "emptyDir": {}}


@pytest.mark.parametrize(
    ("given_text", "written"),
    [("0.5", "500m"), (2, "2"), ("1024Mi", "1Gi"), ("1e3", "1e3"), ("1000m", "1"), ("+5k", "5k")],
)
def test_quantities_are_canonical(given_text: Any, written: str) -> None:
    requirements = normaliser(definition("core.v1.ResourceRequirements"))
    assert requirements({"limits": {"cpu": given_text}}) == {"limits": {"cpu": written}}


@pytest.mark.parametrize(
    ("given_text", "written"),
    [
        ("2026-11-21T12:00:00Z", "2026-11-21T12:00:00Z"),
        ("2026-11-21T14:00:00+02:00", "2026-11-21T12:00:00Z"),
        ("2026-11-21T12:00:00.75Z", "2026-11-21T12:00:00Z"),
    ],
)
def test_times_are_utc_and_whole_seconds(given_text: str, written: str) -> None:
    meta = normaliser(definition("meta.v1.ObjectMeta"))
    assert meta({"creationTimestamp": given_text}) == {"creationTimestamp": written}


def test_a_leases_times_keep_their_microseconds() -> None:
    spec = normaliser(definition("coordination.v1.LeaseSpec"))
    assert spec({"renewTime": "2026-11-21T12:00:00.5Z"}) == {"renewTime": "2026-11-21T12:00:00.500000Z"}


@pytest.mark.parametrize(
    "irregular",
    [
        {"unknown": 1},
        {"containers": {}},
        {"containers": ["c"]},
        {"nodeName": 1},
        {"hostNetwork": "true"},
        {"priority": 1 << 31},
        {"priority": True},
        {"terminationGracePeriodSeconds": 1.0},
        {"overhead": {"cpu": "x"}},
        {"overhead": {"cpu": 0.5}},
        [],
    ],
)
def test_what_is_irregular_is_left_to_the_slow_reader(irregular: Any) -> None:
    with pytest.raises(Irregular):
        SPEC(irregular)


TEXT = st.text(max_size=4)
CONTAINER = st.fixed_dictionaries(
    {"name": TEXT},
    optional={
        "image": TEXT,
        "args": st.lists(TEXT, max_size=2),
        "tty": st.booleans(),
        "ports": st.lists(st.fixed_dictionaries({"containerPort": st.integers(0, 9)}), max_size=2),
        "resources": st.fixed_dictionaries(
            {}, optional={"limits": st.dictionaries(TEXT, st.sampled_from(("1", "0.1", "1Ki", "2000m")))}
        ),
    },
)


@given(st.fixed_dictionaries({"containers": st.lists(CONTAINER, max_size=3)}, optional={"nodeName": TEXT}))
def test_normal_form_is_normal(spec: dict[str, Any]) -> None:
    once = SPEC(spec)
    assert SPEC(once) == once


def test_fields_in_upstreams_order() -> None:
    reference = {"uid": "u", "controller": True, "kind": "Pod", "name": "p", "apiVersion": "v1"}
    ordered = in_order(reference, definition("meta.v1.OwnerReference"))
    assert list(ordered) == ["apiVersion", "kind", "name", "uid", "controller"]


@pytest.mark.parametrize("year", ["0001", "0983", "9999"])
def test_years_have_four_digits(year: str) -> None:
    normal = normaliser(definition("meta.v1.ObjectMeta"))
    once = normal({"creationTimestamp": f"{year}-02-03T04:05:06.7+00:00"})
    assert once == {"creationTimestamp": f"{year}-02-03T04:05:06Z"}
    assert normal(once) == once
