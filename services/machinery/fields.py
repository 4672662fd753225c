"""Field selectors: `spec.nodeName=node-1,status.phase!=Running`.

Only equality exists. Which fields a kind offers is the API server's to say; this part parses,
in upstream's words (`fields.ParseSelector`), and matches against a flat map of field values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


class FieldSelectorError(ValueError):
    """A field selector that cannot be understood; the text is upstream's."""


@dataclass(frozen=True, slots=True)
class FieldRequirement:
    field: str
    operator: Literal["=", "!="]
    value: str

    def matches(self, fields: Mapping[str, str]) -> bool:
        return (fields.get(self.field, "") == self.value) == (self.operator == "=")

    def __str__(self) -> str:
        return f"{self.field}{self.operator}{_escape(self.value)}"


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """All requirements must hold; an absent field counts as empty."""

    requirements: tuple[FieldRequirement, ...] = ()

    def matches(self, fields: Mapping[str, str]) -> bool:
        return all(requirement.matches(fields) for requirement in self.requirements)

    @property
    def empty(self) -> bool:
        return not self.requirements

    def exact(self, field: str) -> str | None:
        """The one value that `field` must have, if the selector says so: lets a caller use an index."""
        for requirement in self.requirements:
            if requirement.field == field and requirement.operator == "=":
                return requirement.value
        return None

    def __str__(self) -> str:
        return ",".join(str(requirement) for requirement in self.requirements)


EVERYTHING = FieldSelector()


def parse(text: str) -> FieldSelector:
    """Reads `a=b,c!=d`; `\\,` `\\=` `\\\\` escape. FieldSelectorError in upstream's words."""
    requirements = []
    for term in _split(text):
        if not term:
            continue
        requirement = _parse_term(term)
        if requirement is None:
            raise FieldSelectorError(f"invalid selector: '{text}'; can't understand '{term}'")
        requirements.append(requirement)
    return FieldSelector(tuple(requirements))


def _split(text: str) -> list[str]:
    """Splits at commas that are not escaped."""
    terms, start, at = [], 0, 0
    while at < len(text):
        if text[at] == "\\":
            at += 1
        elif text[at] == ",":
            terms.append(text[start:at])
            start = at + 1
        at += 1
    terms.append(text[start:])
    return terms


def _parse_term(term: str) -> FieldRequirement | None:
    for at in range(len(term)):
        rest = term[at:]
        if rest.startswith("!="):
            return FieldRequirement(term[:at], "!=", _unescape(rest[2:]))
        if rest.startswith("=="):
            return FieldRequirement(term[:at], "=", _unescape(rest[2:]))
        if rest.startswith("="):
            return FieldRequirement(term[:at], "=", _unescape(rest[1:]))
    return None


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")


def _unescape(value: str) -> str:
    out, at = [], 0
    while at < len(value):
        character = value[at]
        if character == "\\":
            at += 1
            if at >= len(value) or value[at] not in "\\,=":
                shown = value[at] if at < len(value) else ""
                raise FieldSelectorError(f"invalid field selector: invalid escape sequence: \\{shown}")
            character = value[at]
        elif character in ",=":
            raise FieldSelectorError(f"invalid field selector: unescaped character in value: {character}")
        out.append(character)
        at += 1
    return "".join(out)
