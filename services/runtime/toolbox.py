"""Which program stands in for an executable of which name."""

from __future__ import annotations

from services.runtime.processes import Program
from services.runtime.programs import conditions, files, find, network, process_tools, sed, text
from services.runtime.shell import shell_program

PROGRAMS: dict[str, Program] = {
    **dict.fromkeys(("sh", "ash", "bash", "dash"), shell_program),
    **conditions.PROGRAMS,
    **files.PROGRAMS,
    **find.PROGRAMS,
    **network.PROGRAMS,
    **process_tools.PROGRAMS,
    **sed.PROGRAMS,
    **text.PROGRAMS,
}
