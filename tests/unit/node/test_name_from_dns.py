from __future__ import annotations

import pytest

from services.node.name_from_dns import node_name


@pytest.mark.parametrize(
    ("container", "name"),
    [
        ("orrery-node-2.orrery_default", "node-2"),
        ("orrery-test-node-13.orrery-test_default", "node-13"),
        ("orrery_node_1.orrery_default", "node-1"),
        ("laptop", "laptop"),
    ],
)
def test_the_end_of_a_containers_name_names_its_node(container: str, name: str) -> None:
    assert node_name(container) == name
