"""What the API server says of its writes: one line each, so that its log tells who changed what.

Heartbeats (Leases, Events, the status of Nodes) are many and tell no story: they are at debug level.
"""

from __future__ import annotations

from services.apiserver.registry.request import Target, WriteOptions
from services.apiserver.registry.written import Written
from services.process.logging import Logger

QUIET = {"leases", "events"}


class Journal:
    def __init__(self, log: Logger) -> None:
        self._log = log

    def created(self, target: Target, written: Written, options: WriteOptions) -> None:
        if not options.dry_run:
            self._say(target, written, f"Created the {target.resource.kind}", options.field_manager)

    def updated(self, target: Target, written: Written, options: WriteOptions) -> None:
        if options.dry_run or not written.changed:
            return
        kind = target.resource.kind
        if written.deleted:
            sentence = f"Deleted the {kind}: its last finalizer is gone"
        elif target.subresource == "binding":
            sentence = f"Bound the {kind} to {written.obj['spec'].get('nodeName', '')}"
        elif target.subresource == "eviction":
            sentence = f"Evicted the {kind}"
        elif target.subresource:
            sentence = f"Changed the {target.subresource} of the {kind}"
        else:
            sentence = f"Changed the {kind}"
        self._say(target, written, sentence, options.field_manager)

    def deleted(self, target: Target, written: Written, gone: bool, dry_run: bool) -> None:
        if dry_run or not written.changed:
            return
        kind = target.resource.kind
        sentence = f"Deleted the {kind}" if gone else f"Marked the {kind} for deletion"
        self._say(target, written, sentence, "")

    def _say(self, target: Target, written: Written, sentence: str, by: str) -> None:
        resource, meta = target.resource, written.obj["metadata"]
        quiet = resource.plural in QUIET or (resource.plural == "nodes" and target.subresource == "status")
        say = self._log.debug if quiet else self._log.info
        say(
            sentence,
            kind=resource.kind,
            namespace=meta.get("namespace", ""),
            name=meta.get("name", ""),
            revision=written.stored.revision,
            by=by,
        )
