"""How large the values of a schema can be in one request of at most 3 MiB: by that rules are charged.

Where a schema sets no bound (`maxLength`, `maxItems`, `maxProperties`), as many as would fit count.
Upstream: `k8s.io/apiserver/pkg/cel/common` SchemaDeclType, with its constants.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from services.apiserver.crd.rule_types import escaped
from services.apiserver.crd.structural import Node

REQUEST_BYTES_MAX = 3 * 1024 * 1024
_TEXT_MAX = REQUEST_BYTES_MAX - 2
_BYTES_OF_LETTER_MAX = 4
# Of formats: what a value takes at least, and at most.
_FORMATS = {"duration": (3, 32), "date": (12, 12), "date-time": (21, 37)}
_SCALARS = {"boolean": 4, "number": 1, "integer": 1}


@dataclass(slots=True)
class Place:
    """`elements` of a text, list or map at most; `bytes_min` of one value in JSON."""

    elements: int
    bytes_min: int
    fields: dict[str, Place] = field(default_factory=dict)
    items: Place | None = None  # of a list
    values: Place | None = None  # of a map, whose keys are texts
    keys: Place | None = None  # of a map; where they are not known, upstream takes them for empty
    others: Place | None = None  # what a field is that has no place of its own


KEY = Place(0, 2)


class Places:
    """Those of one schema; each is looked at once."""

    def __init__(self) -> None:
        self._known: dict[tuple[Node, bool], Place | None] = {}

    def of(self, node: Node, *, is_root: bool = False) -> Place | None:
        """None where expressions see nothing."""
        key = (node, is_root)
        if key not in self._known:
            self._known[key] = _place(self, node, is_root)
        return self._known[key]


def _place(places: Places, node: Node, is_root: bool) -> Place | None:
    if node.int_or_string:
        return Place(_text_elements(node), 1)
    match node.type:
        case "array":
            return _list(places, node)
        case "object":
            if node.additional is not None:
                return _map(places, node)
            return _object(places, node, is_root)
        case "string":
            return _text(node)
        case "boolean" | "number" | "integer":
            return Place(0, _SCALARS[node.type])
    return None


def _text(node: Node) -> Place:
    if node.format in _FORMATS:
        least, most = _FORMATS[node.format]
        return Place(most, least)
    if node.format == "byte":
        return Place(_TEXT_MAX if node.max_length is None else max(node.max_length, 0), 2)
    return Place(_text_elements(node), 2)


def _text_elements(node: Node) -> int:
    if node.max_length is not None:
        return max(int(node.max_length), 0) * _BYTES_OF_LETTER_MAX
    if node.enum and not node.int_or_string:
        return max((len(value.encode()) for value in node.enum if isinstance(value, str)), default=0)
    return _TEXT_MAX


def _list(places: Places, node: Node) -> Place | None:
    items = places.of(node.items, is_root=node.items.embedded) if node.items is not None else None
    if items is None:
        return None
    fitting = _TEXT_MAX // (items.bytes_min + 1)
    return Place(fitting if node.max_items is None else max(int(node.max_items), 0), 2, items=items)


def _map(places: Places, node: Node) -> Place | None:
    assert node.additional is not None
    values = places.of(node.additional, is_root=node.additional.embedded)
    if values is None:
        return None
    fitting = _TEXT_MAX // (values.bytes_min + 6)  # two quotes, a letter or none, a colon, a comma
    most = fitting if node.max_properties is None else max(int(node.max_properties), 0)
    return Place(most, 2, values=values)


def _object(places: Places, node: Node, is_root: bool) -> Place:
    found = Place(0, 2)
    for name, child in node.properties.items():
        place = places.of(child, is_root=child.embedded)
        if place is None:
            continue
        word = escaped(name)
        if word is not None:
            found.fields[word] = place
        if name in node.required and child.default is None:
            found.bytes_min += len(name.encode()) + place.bytes_min + 4
    if is_root:
        text = Place(_TEXT_MAX, 2)
        names = Place(0, 2, fields={"name": text, "generateName": text})
        found.fields |= {"apiVersion": text, "kind": text, "metadata": names}
    return found
