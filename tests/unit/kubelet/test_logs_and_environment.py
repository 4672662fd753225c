"""What `kubectl logs` prints, and what containers are told about Services."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from services.api.core_v1 import Service
from services.kubelet.environment import expand, service_variables
from services.kubelet.log_lines import LineFilter
from services.kubelet.references import ConfigError
from services.kubelet.volumes import atomic
from services.kubelet.volumes.payload import File
from tests.unit.kubelet.pods import pod

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LINES = (
    b"2026-01-01T00:00:01.000000000Z stdout F one\n"
    b"2026-01-01T00:00:02.500000000Z stderr P tw\n"
    b"2026-01-01T00:00:02.500000000Z stderr F o\n"
)


def test_lines_without_their_prefix() -> None:
    assert LineFilter().feed(LINES) == b"one\ntwo\n"


def test_with_timestamps() -> None:
    assert LineFilter(timestamps=True).feed(LINES[:44]) == b"2026-01-01T00:00:01.000000000Z one\n"


def test_since() -> None:
    since = datetime(2026, 1, 1, 0, 0, 2, tzinfo=UTC)
    assert LineFilter(since=since).feed(LINES) == b"two\n"


def test_a_limit_cuts_and_ends() -> None:
    lines = LineFilter(remaining_bytes=5)
    assert lines.feed(LINES) == b"one\nt"
    assert lines.exhausted


def test_an_unfinished_line_waits() -> None:
    lines = LineFilter()
    assert lines.feed(LINES[:20]) == b""
    assert lines.feed(LINES[20:44]) == b"one\n"


def test_expansion() -> None:
    scope = {"A": "1"}
    assert expand("$(A) $(B) $$(A) $A", scope) == "1 $(B) $(A) $A"


def service(name: str, namespace: str, address: str) -> Service:
    return msgspec.convert(
        {
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"clusterIP": address, "ports": [{"name": "http", "port": 80}]},
        },
        Service,
    )


def test_variables_of_services() -> None:
    services = [
        service("kubia-http", "default", "10.96.0.5"),
        service("other", "elsewhere", "10.96.0.6"),
        service("headless", "default", "None"),
        service("kubernetes", "default", "10.96.0.1"),
    ]
    found = service_variables(pod(), services)
    assert found["KUBIA_HTTP_SERVICE_HOST"] == "10.96.0.5"
    assert found["KUBIA_HTTP_SERVICE_PORT_HTTP"] == "80"
    assert found["KUBIA_HTTP_PORT_80_TCP_ADDR"] == "10.96.0.5"
    assert found["KUBERNETES_PORT"] == "tcp://10.96.0.1:80"
    assert not any(name.startswith(("OTHER", "HEADLESS")) for name in found)
    without = service_variables(pod(enableServiceLinks=False), services)
    assert "KUBIA_HTTP_SERVICE_HOST" not in without
    assert "KUBERNETES_SERVICE_HOST" in without


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "", "a\0b"])
def test_no_file_leaves_its_volume(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError):
        atomic.write(str(tmp_path / "v"), {name: File(b"")}, NOW, 0)
    assert not (tmp_path / "x").exists()
