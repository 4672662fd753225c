"""Label selectors: `app=kubia,tier in (a, b),!canary`, and the `LabelSelector` of a spec.

A `Selector` is a conjunction of requirements over a flat map of strings; it is pure and hashable.
Parsing follows upstream's `labels.Parse` including its error texts, which users read. A selector
without requirements matches everything; `NOTHING` (a missing LabelSelector) matches nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from services.api.meta_v1 import LabelSelector

Operator = Literal["in", "notin", "=", "==", "!=", "exists", "!", "gt", "lt"]

_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_INTEGER = re.compile(r"[+-]?[0-9]+")
_NAME_RULE = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric"
    " character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is"
    " '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must"
    " start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used"
    " for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must"
    " start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is"
    r" '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)


class SelectorError(ValueError):
    """A selector that cannot be understood; the text is upstream's."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one key. `values` are sorted and unique."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case "in" | "=" | "==":
                return value is not None and value in self.values
            case "notin" | "!=":
                return value is None or value not in self.values
            case "exists":
                return value is not None
            case "!":
                return value is None
            case _:
                if value is None or not _INTEGER.fullmatch(value):
                    return False
                bound = int(self.values[0])
                return int(value) > bound if self.operator == "gt" else int(value) < bound

    def __str__(self) -> str:
        match self.operator:
            case "exists":
                return self.key
            case "!":
                return f"!{self.key}"
            case "in" | "notin":
                return f"{self.key} {self.operator} ({','.join(self.values)})"
            case "gt":
                return f"{self.key}>{self.values[0]}"
            case "lt":
                return f"{self.key}<{self.values[0]}"
            case _:
                return f"{self.key}{self.operator}{self.values[0]}"


@dataclass(frozen=True, slots=True)
class Selector:
    """All requirements must hold."""

    requirements: tuple[Requirement, ...] = ()
    nothing: bool = False

    def matches(self, labels: Mapping[str, str]) -> bool:
        return not self.nothing and all(requirement.matches(labels) for requirement in self.requirements)

    @property
    def empty(self) -> bool:
        """Whether it selects everything."""
        return not self.requirements and not self.nothing

    def __str__(self) -> str:
        return ",".join(str(requirement) for requirement in self.requirements)


EVERYTHING = Selector()
NOTHING = Selector(nothing=True)


def from_map(labels: Mapping[str, str]) -> Selector:
    """Selects what carries all of these labels; an empty map selects everything."""
    return Selector(tuple(Requirement(key, "=", (value,)) for key, value in sorted(labels.items())))


_SPEC_OPERATORS: dict[str, Operator] = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}


def from_label_selector(selector: LabelSelector | None) -> Selector:
    """The selector of a spec. A missing one selects nothing, an empty one everything. SelectorError."""
    if selector is None:
        return NOTHING
    requirements = list(from_map(selector.match_labels).requirements)
    for expression in selector.match_expressions:
        operator = _SPEC_OPERATORS.get(expression.operator)
        if operator is None:
            raise SelectorError(f'"{expression.operator}" is not a valid label selector operator')
        requirements.append(requirement(expression.key, operator, expression.values))
    return Selector(tuple(sorted(requirements, key=lambda r: r.key)))


def requirement(key: str, operator: Operator, values: Sequence[str] = ()) -> Requirement:
    """A checked requirement. SelectorError in upstream's words when a part is malformed."""
    if faults := key_faults(key):
        raise SelectorError(f'<nil>: Invalid value: "{key}": {"; ".join(faults)}')
    if operator in ("in", "notin") and not values:
        raise SelectorError(
            "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty"
        )
    if operator in ("exists", "!") and values:
        text = " ".join(values)
        rule = "values set must be empty for exists and does not exist"
        raise SelectorError(f"values: Invalid value: [{text}]: {rule}")
    for index, value in enumerate(sorted(set(values))):
        if operator in ("gt", "lt") and not _INTEGER.fullmatch(value):
            rule = "for 'Gt', 'Lt' operators, the value must be an integer"
            raise SelectorError(f'values[{index}]: Invalid value: "{value}": {rule}')
        if faults := value_faults(value):
            raise SelectorError(f'values[{index}][{key}]: Invalid value: "{value}": {"; ".join(faults)}')
    return Requirement(key, operator, tuple(sorted(set(values))))


def key_faults(key: str) -> list[str]:
    """What breaks the rules of a qualified name (upstream: IsQualifiedName)."""
    prefix, slash, name = key.rpartition("/")
    if "/" in prefix:
        return [
            "a qualified name " + _NAME_RULE + " with an optional DNS subdomain prefix and '/'"
            " (e.g. 'example.com/MyName')"
        ]
    faults = []
    if slash and not prefix:
        faults.append("prefix part must be non-empty")
    elif prefix:
        if len(prefix) > 253:
            faults.append("prefix part must be no more than 253 bytes")
        if not _SUBDOMAIN.fullmatch(prefix):
            faults.append(f"prefix part {_SUBDOMAIN_RULE}")
    if not name:
        faults.append("name part must be non-empty")
    elif len(name) > 63:
        faults.append("name part must be no more than 63 bytes")
    if not _NAME.fullmatch(name):
        faults.append(f"name part {_NAME_RULE}")
    return faults


def value_faults(value: str) -> list[str]:
    """What breaks the rules of a label's value (upstream: IsValidLabelValue)."""
    faults = []
    if len(value) > 63:
        faults.append("must be no more than 63 bytes")
    if not _VALUE.fullmatch(value):
        faults.append(_VALUE_RULE)
    return faults


def parse(text: str) -> Selector:
    """Reads the form used by `-l` and `labelSelector=`. SelectorError in upstream's words."""
    return Selector(tuple(sorted(_Parser(text).parse(), key=lambda r: r.key)))


_TOKENS = re.compile(r"\s*(==|!=|[=!(),<>]|[^\s=!(),<>]+)")
_SPECIAL = frozenset("=!(),<>") | {"==", "!="}
_OPERATORS: dict[str, Operator] = {
    "in": "in", "notin": "notin", "=": "=", "==": "==", "!=": "!=", ">": "gt", "<": "lt",
}  # fmt: skip
_OPERATOR_NAMES = "in, notin, =, ==, !=, gt, lt"


class _Parser:
    """Recursive descent over the tokens; `""` is the end of the text."""

    def __init__(self, text: str) -> None:
        self._tokens = _TOKENS.findall(text)
        self._at = 0

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        token = self._peek()
        self._at += 1
        return token

    def parse(self) -> list[Requirement]:
        requirements: list[Requirement] = []
        if not self._peek():
            return requirements
        while True:
            if not _is_word(self._peek()) and self._peek() != "!":
                raise SelectorError(f"found '{self._peek()}', expected: !, identifier, or 'end of string'")
            try:
                requirements.append(self._requirement())
            except SelectorError as error:
                raise SelectorError(f"unable to parse requirement: {error}") from None
            token = self._next()
            if not token:
                return requirements
            if token != ",":
                raise SelectorError(f"found '{token}', expected: ',' or 'end of string'")
            if not _is_word(self._peek()) and self._peek() != "!":
                raise SelectorError(f"found '{self._peek()}', expected: identifier after ','")

    def _requirement(self) -> Requirement:
        absent = self._peek() == "!"
        if absent:
            self._next()
        key = self._next()
        if not _is_word(key):
            raise SelectorError(f"found '{key}', expected: identifier")
        if faults := key_faults(key):
            raise SelectorError(f'<nil>: Invalid value: "{key}": {"; ".join(faults)}')
        if absent:
            return requirement(key, "!")
        if self._peek() in ("", ","):
            return requirement(key, "exists")
        token = self._next()
        operator = _OPERATORS.get(token)
        if operator is None:
            raise SelectorError(f"found '{token}', expected: {_OPERATOR_NAMES}")
        if operator in ("in", "notin"):
            return requirement(key, operator, self._values())
        return requirement(key, operator, self._exact_value())

    def _exact_value(self) -> list[str]:
        if self._peek() in ("", ","):
            return [""]
        token = self._next()
        if not _is_word(token):
            raise SelectorError(f"found '{token}', expected: identifier")
        return [token]

    def _values(self) -> list[str]:
        token = self._next()
        if token != "(":
            raise SelectorError(f"found '{token}' expected: '('")
        if self._peek() == ")":
            self._next()
            return []
        if self._peek() != "," and not _is_word(self._peek()):
            raise SelectorError(f"found '{self._peek()}', expected: ',', ')' or identifier")
        values = []
        while True:
            # An empty place between commas is an empty value, as upstream reads it.
            values.append(self._next() if _is_word(self._peek()) else "")
            token = self._next()
            if token == ")":
                return values
            if token != ",":
                raise SelectorError(f"found '{token}', expected: ',' or ')'")


def _is_word(token: str) -> bool:
    return bool(token) and token not in _SPECIAL
