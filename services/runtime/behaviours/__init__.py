"""What some programs do beyond what data can tell: the seam for small Python classes.

A behaviour in config/images names them: `tcp: [{port: 6379, speaks: redis}]` takes a speaker from
`SPEAKERS`, called once for the program and then once for each connection; `acts: stress` takes a
whole program from `ACTORS`. A name that is not here is refused when the program starts. To add one,
write it beside these and name it below.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from services.runtime.behaviours.databases import memcached, mongodb, mysql, postgres
from services.runtime.behaviours.dns import coredns
from services.runtime.behaviours.grpc_health import grpc_health
from services.runtime.behaviours.ingress import ingress_nginx
from services.runtime.behaviours.redis import redis
from services.runtime.behaviours.stress import stress
from services.runtime.network import StreamHandler
from services.runtime.processes import Process, Program

Speaker = Callable[[Process, Mapping[str, Any]], StreamHandler]  # the second is the entry of `tcp`

SPEAKERS: dict[str, Speaker] = {
    "grpc-health": grpc_health,
    "memcached": memcached,
    "mongodb": mongodb,
    "mysql": mysql,
    "postgres": postgres,
    "redis": redis,
}

ACTORS: dict[str, Program] = {"coredns": coredns, "ingress-nginx": ingress_nginx, "stress": stress}
