"""The small tools found in containers, by the name of their executable."""

from __future__ import annotations

from services.runtime.processes import Program

PROGRAMS: dict[str, Program] = {}
