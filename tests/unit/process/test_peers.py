"""Names of certificates as gRPC gives them, and until when certificates last."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.machinery.certificate_time import ends
from services.process.keys import RENEWED_BEFORE, Issuer, make_missing
from services.process.peers import subject

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("CN=jane,O=devs,O=ops", [("CN", "jane"), ("O", "devs"), ("O", "ops")]),
        ("CN=jane", [("CN", "jane")]),
        (r"CN=a\,O=b", [("CN", "a,O=b")]),
        (r"CN=a\+b+O=c", [("CN", "a+b"), ("O", "c")]),
        (r"CN=J\C3\BCrgen", [("CN", "Jürgen")]),
        ("CN=a=b", [("CN", "a=b")]),
        ("CN=,O=x", [("CN", ""), ("O", "x")]),
        ("", []),
        ("nonsense", []),
        ("CN=trailing\\", [("CN", "trailing\\")]),
    ],
)
def test_subjects(text: str, parts: list[tuple[str, str]]) -> None:
    assert subject(text) == parts


def test_certificates_are_kept_until_they_near_their_end(tmp_path: Path) -> None:
    make_missing(tmp_path, NOW, ["n"])
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    assert ends((tmp_path / "admin.crt").read_text()) == NOW + timedelta(days=3650)
    make_missing(tmp_path, NOW, ["n"])
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before
    Issuer(tmp_path, NOW - timedelta(days=3650) + RENEWED_BEFORE).issue("scheduler", "old", "")
    make_missing(tmp_path, NOW, ["n"])
    after = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    assert {path.name for path in after if after[path] != before[path]} == {"scheduler.crt", "scheduler.key"}


def test_a_new_authority_makes_all_anew(tmp_path: Path) -> None:
    make_missing(tmp_path, NOW, ["n"])
    before = (tmp_path / "nodes" / "n.crt").read_bytes()
    (tmp_path / "ca.key").unlink()
    make_missing(tmp_path, NOW, ["n"])
    assert (tmp_path / "nodes" / "n.crt").read_bytes() != before


@pytest.mark.parametrize(
    "text", ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "x" * 99]
)
def test_what_is_no_certificate(text: str) -> None:
    with pytest.raises(ValueError, match="no certificate"):
        ends(text)
