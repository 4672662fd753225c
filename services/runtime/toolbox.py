"""Which program stands in for an executable of which name."""

from __future__ import annotations

from services.runtime.processes import Program
from services.runtime.programs import (
    conditions,
    database_clients,
    expr,
    files,
    find,
    listing,
    network,
    printing,
    process_tools,
    search,
    sed,
    text,
)
from services.runtime.shell import shell_program

PROGRAMS: dict[str, Program] = {
    **dict.fromkeys(("sh", "ash", "bash", "dash"), shell_program),
    **conditions.PROGRAMS,
    **database_clients.PROGRAMS,
    **expr.PROGRAMS,
    **files.PROGRAMS,
    **find.PROGRAMS,
    **listing.PROGRAMS,
    **network.PROGRAMS,
    **printing.PROGRAMS,
    **search.PROGRAMS,
    **process_tools.PROGRAMS,
    **sed.PROGRAMS,
    **text.PROGRAMS,
}
