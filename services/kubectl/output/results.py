"""What a command that writes prints for each object: `pod/kubia created`, or the object with `-o`."""

from __future__ import annotations

from typing import Any

from services.kubectl.flags import Flag, boolean, text
from services.kubectl.output import printers
from services.kubectl.resources import without_managed_fields
from services.kubectl.session import Session, dry_run_suffix

Json = dict[str, Any]

PRINT_FLAGS: tuple[Flag, ...] = (
    boolean("allow-missing-template-keys", "Ignore missing fields in templates", default=True),
    text("output", f"Format of the output: {', '.join(printers.COMMON_FORMATS)}", short="o"),
    boolean("show-managed-fields", "Show metadata.managedFields"),
    text("template", "The template, or its file"),
)
DRY_RUN = text(
    "dry-run", "none, server or client: only say what would be done", default="none", bare="unchanged"
)
FIELD_MANAGER = text("field-manager", "Who the changed fields belong to")
VALIDATE = text(
    "validate", "strict, warn or ignore fields that the schema does not know", default="strict", bare="strict"
)


class Results:
    """Prints the results of one command; made early, so that a wrong `-o` is told before anything is done."""

    def __init__(self, session: Session, operation: str, dry_run: str = "none") -> None:
        self._session = session
        self._operation = operation
        self._suffix = dry_run_suffix(dry_run)
        self._output = printers.asked_for(session.flags)
        self._count = 0
        self._printer: printers.Printer | None = None
        if self._output:
            self._printer = printers.structured(
                self._output,
                session.flags["template"],
                allow_missing=session.flags["allow-missing-template-keys"],
            )

    def show(self, obj: Json, operation: str = "") -> None:
        session = self._session
        if self._printer is None:
            session.print(f"{printers.name_of(obj)} {operation or self._operation}{self._suffix}")
            return
        if not session.flags["show-managed-fields"]:
            without_managed_fields(obj)
        if self._output == "yaml" and self._count:
            session.write("---\n")
        self._count += 1
        session.write(self._printer(obj))
