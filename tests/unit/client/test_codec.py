"""Objects as they come over the wire, read as typed ones."""

from __future__ import annotations

import pytest

from services.api.autoscaling_v2 import HorizontalPodAutoscaler
from services.api.discovery_v1 import EndpointSlice
from services.api.rbac_v1 import ClusterRole, Role
from services.client.codec import decode
from services.client.transport import RawObject


@pytest.mark.parametrize(
    ("kind", "field"), [(EndpointSlice, "ports"), (ClusterRole, "rules"), (Role, "rules")]
)
def test_a_list_that_is_null_is_empty(
    kind: type[EndpointSlice] | type[ClusterRole] | type[Role], field: str
) -> None:
    raw = RawObject(f'{{"metadata":{{"name":"x"}},"{field}":null}}'.encode(), "7")
    found = decode(kind, raw)
    assert getattr(found, field) == []
    assert found.metadata.resource_version == "7"


def test_null_stands_for_what_is_not_there() -> None:
    """Upstream writes it for lists without `omitempty`; a component must not end over one."""
    body = (
        b'{"metadata":{"name":"h"},"spec":{"maxReplicas":2,"metrics":null},'
        b'"status":{"conditions":null,"currentMetrics":null,"desiredReplicas":1}}'
    )
    found = decode(HorizontalPodAutoscaler, RawObject(body, "5"))
    assert found.status.current_metrics == []
    assert found.spec.metrics == []
    assert found.status.desired_replicas == 1
