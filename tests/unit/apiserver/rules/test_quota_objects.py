"""LimitRanges and ResourceQuotas as objects: what they may be called."""

from __future__ import annotations

import orjson
import pytest

from services.api.core_v1 import LimitRange, ResourceQuota
from services.api.errors import ApiError
from tests.unit.apiserver.rules import world


@pytest.mark.parametrize("kind", [LimitRange, ResourceQuota])
@pytest.mark.parametrize("name", ["Qq", "a_b", "-a"])
def test_their_names_are_subdomains(kind: type[LimitRange | ResourceQuota], name: str) -> None:
    with pytest.raises(ApiError, match="a lowercase RFC 1123 subdomain must consist of"):
        world.create(kind, orjson.dumps({"metadata": {"name": name}, "spec": {}}))


@pytest.mark.parametrize("kind", [LimitRange, ResourceQuota])
def test_their_finalizers_are_qualified(kind: type[LimitRange | ResourceQuota]) -> None:
    with pytest.raises(ApiError, match=r"metadata\.finalizers\[0\]"):
        world.create(kind, orjson.dumps({"metadata": {"name": "a", "finalizers": ["mine"]}, "spec": {}}))
