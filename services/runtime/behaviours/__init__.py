"""What some programs do beyond what data can tell: the seam for small Python classes.

A behaviour in config/images names them: `tcp: [{port: 6379, speaks: redis}]` takes a speaker from
`SPEAKERS`, called once for the program and then once for each connection; `acts: stress` takes a
whole program from `ACTORS`. A name that is not here is refused when the program starts. To add one,
write it beside these and name it below.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from services.runtime.deferred import Deferred
from services.runtime.network import StreamHandler
from services.runtime.processes import Process, Program

Speaker = Callable[[Process, Mapping[str, Any]], StreamHandler]  # the second is the entry of `tcp`

_HERE = "services.runtime.behaviours"
_SPEAKERS = {
    f"{_HERE}.databases": ("memcached", "mongodb", "mysql", "postgres"),
    f"{_HERE}.grpc_health": ("grpc-health",),
    f"{_HERE}.redis": ("redis",),
}
_ACTORS = {
    f"{_HERE}.dns": ("coredns",),
    f"{_HERE}.ingress": ("ingress-nginx",),
    f"{_HERE}.stress": ("stress",),
}


def _named(module: ModuleType, name: str) -> Any:
    """A function has underscores where its name for people has dashes."""
    return getattr(module, name.replace("-", "_"))


SPEAKERS: Deferred[Speaker] = Deferred(_SPEAKERS, _named)
ACTORS: Deferred[Program] = Deferred(_ACTORS, _named)
