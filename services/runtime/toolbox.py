"""Which program stands in for an executable of which name."""

from __future__ import annotations

from services.runtime.processes import Program
from services.runtime.programs import (
    archive,
    awk,
    batches,
    blocks,
    columns,
    compare,
    conditions,
    database_clients,
    dump,
    expr,
    files,
    find,
    listing,
    network,
    permissions,
    printing,
    process_tools,
    runners,
    search,
    sed,
    signals,
    sorting,
    text,
)
from services.runtime.shell import shell_program

PROGRAMS: dict[str, Program] = {
    **dict.fromkeys(("sh", "ash", "bash", "dash"), shell_program),
    **archive.PROGRAMS,
    **awk.PROGRAMS,
    **batches.PROGRAMS,
    **blocks.PROGRAMS,
    **columns.PROGRAMS,
    **compare.PROGRAMS,
    **conditions.PROGRAMS,
    **database_clients.PROGRAMS,
    **dump.PROGRAMS,
    **expr.PROGRAMS,
    **files.PROGRAMS,
    **find.PROGRAMS,
    **listing.PROGRAMS,
    **network.PROGRAMS,
    **permissions.PROGRAMS,
    **printing.PROGRAMS,
    **process_tools.PROGRAMS,
    **runners.PROGRAMS,
    **search.PROGRAMS,
    **sed.PROGRAMS,
    **signals.PROGRAMS,
    **sorting.PROGRAMS,
    **text.PROGRAMS,
}
