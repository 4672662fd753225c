"""The expressions of awk, from its tokens: (kind, …) tuples. Recursive descent, bounded in depth."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from services.runtime.programs.awk.lexer import BUILTINS, KEYWORDS, BadProgram, Token
from services.runtime.programs.patterns import extended

Node = tuple[Any, ...]
DEPTH_MAX = 60
_ASSIGNING = frozenset({"=", "+=", "-=", "*=", "/=", "%=", "^=", "**="})


@dataclass(slots=True)
class Function:
    parameters: list[str]
    body: Node = ("block", [])
    arrays: set[str] = field(default_factory=set)  # parameters that are used as arrays


@dataclass(slots=True)
class Program:
    begin: list[Node] = field(default_factory=list)
    end: list[Node] = field(default_factory=list)
    rules: list[tuple[Node | None, Node | None, Node]] = field(default_factory=list)  # from, to, action
    functions: dict[str, Function] = field(default_factory=dict)


class Expressions:
    """Tokens, and the part of the grammar that yields values."""

    def __init__(self, found: list[Token]) -> None:
        self._tokens, self._at, self._depth = found, 0, 0
        self._program = Program()
        self._current: Function | None = None

    # -- tokens -------------------------------------------------------------------------------

    @property
    def _token(self) -> Token:
        return self._tokens[self._at]

    def _is(self, *texts: str) -> bool:
        token = self._token
        return token.kind in ("operator", "name", "newline") and token.text in texts

    def _accept(self, *texts: str) -> bool:
        if self._is(*texts):
            self._at += 1
            return True
        return False

    def _fail(self) -> BadProgram:
        return BadProgram("Unexpected token", self._token.line)

    def _need(self, text: str) -> None:
        if not self._accept(text):
            raise self._fail()

    def _newlines(self) -> None:
        while self._accept("\n"):
            pass

    def _terminators(self) -> None:
        while self._accept("\n", ";"):
            pass

    def _list(self, closing: str) -> list[Node]:
        found: list[Node] = []
        self._newlines()
        while not self._accept(closing):
            found.append(self._expression())
            self._newlines()
            if not self._accept(","):
                self._need(closing)
                break
            self._newlines()
        return found

    # -- expressions --------------------------------------------------------------------------

    def _expression(self, *, output: bool = False) -> Node:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise BadProgram("nested too deep", self._token.line)
        left = self._ternary(output)
        token = self._token
        if token.kind == "operator" and token.text in _ASSIGNING:
            if left[0] not in ("var", "field", "index"):
                raise self._fail()
            self._at += 1
            self._newlines()
            left = ("assign", token.text, left, self._expression(output=output))
        self._depth -= 1
        return left

    def _ternary(self, output: bool) -> Node:
        condition = self._or(output)
        if not self._accept("?"):
            return condition
        self._newlines()
        first = self._expression(output=output)
        self._newlines()
        self._need(":")
        self._newlines()
        return ("cond", condition, first, self._expression(output=output))

    def _or(self, output: bool) -> Node:
        left = self._and(output)
        while self._accept("||"):
            self._newlines()
            left = ("or", left, self._and(output))
        return left

    def _and(self, output: bool) -> Node:
        left = self._in(output)
        while self._accept("&&"):
            self._newlines()
            left = ("and", left, self._in(output))
        return left

    def _in(self, output: bool) -> Node:
        left = self._match(output)
        while self._accept("in"):
            name = self._token.text
            self._mark_array(name)
            self._at += 1
            left = ("in", left[1] if left[0] == "tuple" else [left], name)
        return left

    def _match(self, output: bool) -> Node:
        left = self._comparison(output)
        while self._is("~", "!~"):
            negated = self._token.text == "!~"
            self._at += 1
            left = ("match", negated, left, self._comparison(output))
        return left

    def _comparison(self, output: bool) -> Node:
        left = self._concatenation(output)
        while self._is("<", "<=", "==", "!=", ">=") or (self._is(">") and not output):
            operator = self._token.text
            self._at += 1
            left = ("compare", operator, left, self._concatenation(output))
        while not output and self._is("|") and self._tokens[self._at + 1].text == "getline":
            self._at += 2
            left = ("getline", "|", left, self._optional_lvalue())
        return left

    def _concatenation(self, output: bool = False) -> Node:
        left = self._additive(output)
        while self._starts_operand():
            left = ("concat", left, self._additive(output))
        return left

    def _starts_operand(self) -> bool:
        token = self._token
        if token.kind in ("number", "string", "regex"):
            return True
        if token.kind == "name":
            return token.text not in KEYWORDS
        return token.text in ("$", "!", "(", "++", "--")

    def _additive(self, output: bool) -> Node:
        left = self._multiplicative(output)
        while self._is("+", "-"):
            operator = self._token.text
            self._at += 1
            left = ("binary", operator, left, self._multiplicative(output))
        return left

    def _multiplicative(self, output: bool) -> Node:
        left = self._unary(output)
        while self._is("*", "/", "%"):
            operator = self._token.text
            self._at += 1
            left = ("binary", operator, left, self._unary(output))
        return left

    def _unary(self, output: bool) -> Node:
        token = self._token
        if token.kind == "operator" and token.text in ("!", "-", "+"):
            self._at += 1
            self._depth += 1
            if self._depth > DEPTH_MAX:
                raise BadProgram("nested too deep", token.line)
            inner = self._unary(output)
            self._depth -= 1
            return ({"!": "not", "-": "minus", "+": "plus"}[token.text], inner)
        return self._power(output)

    def _power(self, output: bool) -> Node:
        left = self._postfix()
        if self._accept("^", "**"):
            return ("binary", "^", left, self._unary(output))
        return left

    def _postfix(self) -> Node:
        left = self._primary()
        if left[0] in ("var", "field", "index") and self._is("++", "--"):
            change = 1.0 if self._token.text == "++" else -1.0
            self._at += 1
            return ("step", False, change, left)
        return left

    def _primary(self) -> Node:
        token = self._token
        self._at += 1
        if token.kind == "number":
            return (
                "value",
                float(int(token.text, 16)) if token.text[:2] in ("0x", "0X") else float(token.text),
            )
        if token.kind == "string":
            return ("value", token.text)
        if token.kind == "regex":
            return ("regex", extended(token.text))
        if token.text == "$" and token.kind == "operator":
            if self._is("++", "--"):
                return ("field", self._primary())
            return ("field", self._primary() if not self._is("-") else self._unary(False))
        if token.text in ("++", "--") and token.kind == "operator":
            target = self._primary()
            if target[0] not in ("var", "field", "index"):
                raise self._fail()
            return ("step", True, 1.0 if token.text == "++" else -1.0, target)
        if token.text == "(" and token.kind == "operator":
            found = self._list(")")
            if len(found) == 1:
                return ("group", found[0])
            if not found or not self._is("in"):
                raise self._fail()
            return ("tuple", found)
        if token.kind == "name":
            return self._named(token)
        self._at -= 1
        raise self._fail()

    def _named(self, token: Token) -> Node:
        if token.text == "getline":
            target = self._optional_lvalue()
            if self._accept("<"):
                return ("getline", "<", self._primary(), target)
            return ("getline", "", None, target)
        if token.text in BUILTINS:
            if self._accept("("):
                return ("builtin", token.text, self._list(")"))
            if token.text == "length":
                return ("builtin", "length", [])
            raise self._fail()
        if token.text in KEYWORDS:
            self._at -= 1
            raise self._fail()
        if token.glued and self._accept("("):
            return ("call", token.text, self._list(")"), token.line)
        if self._accept("["):
            self._mark_array(token.text)
            return ("index", token.text, self._list("]"))
        return ("var", token.text)

    def _optional_lvalue(self) -> Node | None:
        if self._is("$") or (self._token.kind == "name" and self._token.text not in KEYWORDS | BUILTINS):
            return self._primary()
        return None

    def _mark_array(self, name: str) -> None:
        if self._current is not None and name in self._current.parameters:
            self._current.arrays.add(name)
