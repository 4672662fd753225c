"""What `orrery up -d` says of a cluster that does not come up."""

from __future__ import annotations

from pathlib import Path

from services.launcher.home import Home
from services.launcher.symptoms import complaint, unsteady


def test_who_ends_again_and_again_is_told_once() -> None:
    components = [{"name": "node-1", "restarts": 2}, {"name": "etcd", "restarts": 1}]
    told: set[str] = set()
    assert unsteady(components, told) == ["node-1"]
    assert unsteady(components, told) == []
    assert unsteady([{"name": "apiserver", "restarts": 0, "last_exit": 2}], told) == ["apiserver"]


def test_the_last_line_of_its_own_says_why(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.create()
    home.log_of("node-1").write_text(
        "python -m services.node: error: unrecognized arguments: --nonsense=1\n"
        "22:27:01.000 orrery             WARNING node-1 ended with exit code 2; starting it again in 1s\n"
    )
    assert complaint(home, "node-1") == (
        "node-1 does not keep running; the last it said: "
        "python -m services.node: error: unrecognized arguments: --nonsense=1"
    )
    assert complaint(home, "node-2").endswith("the last it said: nothing")
