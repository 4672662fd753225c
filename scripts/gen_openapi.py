"""Writes `services/apiserver/openapi/facts.json`: what OpenAPI says of types beyond the schema.

Facts only, recorded from a real server (`../shared/golden/discovery`): which fields are required, the values
of enumerations, defaults, unions, and the shapes of the few types that are answered but never stored (Status,
discovery, watch events).

    python scripts/gen_openapi.py [--golden PATH]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "services" / "apiserver" / "openapi" / "facts.json"
DEFINITIONS = "openapi_v2_definitions.json"
DEFAULTS = "openapi_v3_defaults_enums.json"
EXTENSIONS = "openapi_v2_extensions.json"


def facts_of(definition: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """`required` and, for a field, `enum` and `default`."""
    entry: dict[str, Any] = {}
    if required := definition.get("required"):
        entry["required"] = required
    enums = {name: facts["enum"] for name, facts in sorted(fields.items()) if "enum" in facts}
    defaults = {name: facts["default"] for name, facts in sorted(fields.items()) if "default" in facts}
    return entry | ({"enum": enums} if enums else {}) | ({"default": defaults} if defaults else {})


def shape_of(definition: dict[str, Any]) -> dict[str, Any]:
    """The fields of a type that our own schema does not hold, in the recording's notation."""
    return {"fields": definition["fields"]} if "fields" in definition else {"type": definition["type"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--golden", type=Path, default=ROOT.parent / "shared" / "golden" / "discovery")
    golden = parser.parse_args().golden
    definitions = json.loads((golden / DEFINITIONS).read_text())
    defaults = json.loads((golden / DEFAULTS).read_text())
    extensions = json.loads((golden / EXTENSIONS).read_text())
    lines = []
    for name, definition in sorted(definitions.items()):
        if name.endswith("List") and "items" in definition.get("fields", {}):
            continue  # Made from the kind that it lists.
        entry = facts_of(definition, defaults.get(name, {}))
        if unions := extensions.get(name, {}).get("unions"):
            entry["unions"] = unions
        if name.startswith("io.k8s.apimachinery.") or "type" in definition:
            entry |= shape_of(definition)
            lists = {key: extensions.get(f"{name}.{key}", {}) for key in definition.get("fields", {})}
            if atomic := sorted(key for key, facts in lists.items() if facts == {"list-type": "atomic"}):
                entry["atomic"] = atomic
        if entry:
            lines.append(f'"{name}":{json.dumps(entry, separators=(",", ":"))}')
    TARGET.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{len(lines)} definitions")


if __name__ == "__main__":
    main()
