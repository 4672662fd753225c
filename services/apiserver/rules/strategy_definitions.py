"""Rules of CustomResourceDefinitions, as entries for the table of strategies."""

from __future__ import annotations

from services.apiserver.crd import definition, definition_rules
from services.apiserver.rules.kind_rules import Rules, of_status

KINDS: dict[str, Rules] = {
    "CustomResourceDefinition": Rules(
        definition.create,
        definition.update,
        definition_rules.prepare_create,
        definition_rules.prepare_update,
        allows_unconditional_update=False,
    ),
}
SUBRESOURCES: dict[tuple[str, str], Rules] = {
    ("CustomResourceDefinition", "status"): of_status(definition.status_update),
}
