"""Health as upstream tells it, also where something fails; and how requests are counted."""

from __future__ import annotations

from services.apiserver.fronts.rest.health import checks, judge, judge_one
from services.apiserver.fronts.rest.metrics import Metrics
from services.apiserver.fronts.rest.paths import parse

UNREADY = checks(lambda: False)


def test_a_failed_check_is_named_but_not_explained() -> None:
    verdict = judge(UNREADY, "readyz", verbose=False, excluded=set())
    assert verdict.status == 500
    assert verdict.text == (
        "[+]ping ok\n[+]log ok\n[-]etcd failed: reason withheld\n"
        "[-]informer-sync failed: reason withheld\n"
        "[-]poststarthook/start-system-namespaces-controller failed: reason withheld\n"
        "readyz check failed\n"
    )


def test_who_only_has_to_live_is_alive_before_he_is_ready() -> None:
    assert judge(UNREADY, "livez", verbose=False, excluded=set()).text == "ok"


def test_excluded_checks_do_not_count() -> None:
    names = {check.name for check in UNREADY}
    verdict = judge(UNREADY, "readyz", verbose=False, excluded=names)
    assert (verdict.status, verdict.text) == (200, "ok")


def test_one_check() -> None:
    failed = judge_one(UNREADY, "readyz", "etcd")
    assert failed is not None
    assert failed.status == 500
    assert judge_one(UNREADY, "livez", "informer-sync") is None
    assert judge_one(UNREADY, "readyz", "") is None


def test_watches_are_counted_but_not_timed() -> None:
    metrics = Metrics()
    path = parse("/api/v1/namespaces/default/pods")
    metrics.note("GET", path, 200, 3600.0, watches=True)
    metrics.note("GET", path, 200, 0.003, watches=False)
    metrics.note("GET", parse("/apis/nobody.knows/v1/things/x"), 404, 0.1, watches=False)
    text = metrics.text()
    assert 'scope="namespace",verb="WATCH"} 1\n' in text
    assert 'verb="WATCH",le=' not in text
    assert 'scope="namespace",verb="LIST",le="0.005"} 1\n' in text
    assert 'scope="namespace",verb="LIST"} 0.003\n' in text
    assert 'code="404",group="",version="",resource="",subresource="",scope="",verb="GET"} 1\n' in text
    assert "nobody" not in text
