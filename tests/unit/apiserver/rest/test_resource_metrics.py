from typing import Any

from services.apiserver.fronts.rest.streams import resource_metrics

AT = "2026-01-01T00:00:01Z"


def used(cpu: int, memory: int, **more: Any) -> dict[str, Any]:
    cpu_stats = {"time": AT, "usageCoreNanoSeconds": cpu}
    return {"cpu": cpu_stats, "memory": {"time": AT, "workingSetBytes": memory}, **more}


def test_what_scrapers_read() -> None:
    containers = [used(1_500_000_000, 10, name="a", startTime="2026-01-01T00:00:00Z"), used(500, 5, name="b")]
    pod = {"podRef": {"namespace": "d", "name": "p", "uid": "u"}, "containers": containers}
    lines = resource_metrics.text({"node": used(7, 123456789012), "pods": [pod]}).splitlines()
    values = [line for line in lines if not line.startswith("#")]
    assert values == [
        'container_cpu_usage_seconds_total{container="a",namespace="d",pod="p"} 1.5 1767225601000',
        'container_cpu_usage_seconds_total{container="b",namespace="d",pod="p"} 5e-07 1767225601000',
        'container_memory_working_set_bytes{container="a",namespace="d",pod="p"} 10 1767225601000',
        'container_memory_working_set_bytes{container="b",namespace="d",pod="p"} 5 1767225601000',
        'container_start_time_seconds{container="a",namespace="d",pod="p"} 1767225600',
        "node_cpu_usage_seconds_total 7e-09 1767225601000",
        "node_memory_working_set_bytes 123456789012 1767225601000",
        'pod_cpu_usage_seconds_total{namespace="d",pod="p"} 1.5000005 1767225601000',
        'pod_memory_working_set_bytes{namespace="d",pod="p"} 15 1767225601000',
        "resource_scrape_error 0",
    ]
    assert "# TYPE container_cpu_usage_seconds_total counter" in lines
