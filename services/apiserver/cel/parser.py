"""Reads an expression into a tree: precedence climbing over the words; macros are known here.

What is wrong is said as upstream's generated parser says it, where `syntax_faults` can find those words.
"""

from __future__ import annotations

from services.apiserver.cel import lexer, types
from services.apiserver.cel.faults import Faults
from services.apiserver.cel.lexer import INT64_MAX, LexError, Token
from services.apiserver.cel.macros import expand
from services.apiserver.cel.tree import Call, Entry, Ident, ListOf, Literal, MapOf, Node, Select, Struct

NESTED_MAX = 100
TOO_DEEP = "expression recursion limit exceeded: 250"
TEXT_LENGTH_MAX = 100_000
RESERVED = frozenset(
    [
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ]
)
_LEVELS: tuple[dict[str, str], ...] = (
    {"||": "_||_"},
    {"&&": "_&&_"},
    {"<": "_<_", "<=": "_<=_", ">": "_>_", ">=": "_>=_", "==": "_==_", "!=": "_!=_", "in": "@in"},
    {"+": "_+_", "-": "_-_"},
    {"*": "_*_", "/": "_/_", "%": "_%_"},
)
_BINARY = {text: (level, name) for level, found in enumerate(_LEVELS) for text, name in found.items()}
_LOGICAL_MAX = 1
_LITERALS = {
    "int": types.INT,
    "uint": types.UINT,
    "double": types.DOUBLE,
    "string": types.STRING,
    "bytes": types.BYTES,
}


class SyntaxFault(Exception):
    def __init__(self, at: int, message: str) -> None:
        super().__init__(message)
        self.at, self.message = at, message


def parse(text: str, faults: Faults, *, binds: bool = False) -> Node | None:
    """The tree; None where the text has none, and `faults` say why. `binds`: there is a macro `cel.bind`."""
    if len(text) > TEXT_LENGTH_MAX:
        faults.add(0, f"expression code point size exceeds limit: size: {len(text)}, limit {TEXT_LENGTH_MAX}")
        return None
    try:
        parser = _Parser(lexer.tokens(text), faults, binds)
        tree = parser.expression()
        parser.expect("end")
    except (LexError, SyntaxFault) as fault:
        faults.add(fault.at, fault.message)
    except RecursionError:
        faults.add(0, TOO_DEEP)
    else:
        return None if faults else tree
    return None


class _Parser:
    def __init__(self, words: list[Token], faults: Faults, binds: bool) -> None:
        self._words, self._faults, self._binds = words, faults, binds
        self._at = 0
        self._depth = 0

    # -- words -----------------------------------------------------------------------------------

    def _peek(self) -> Token:
        return self._words[self._at]

    def _take(self) -> Token:
        token = self._words[self._at]
        self._at += 1
        return token

    def _accept(self, kind: str) -> Token | None:
        return self._take() if self._peek().kind == kind else None

    def expect(self, kind: str) -> Token:
        token = self._peek()
        if token.kind != kind:
            wanted = "<EOF>" if kind == "end" else "IDENTIFIER" if kind == "ident" else f"'{kind}'"
            raise SyntaxFault(token.at, f"Syntax error: mismatched input '{token.text}' expecting {wanted}")
        return self._take()

    # -- expressions -----------------------------------------------------------------------------

    def expression(self) -> Node:
        self._depth += 1
        if self._depth > NESTED_MAX:
            raise SyntaxFault(self._peek().at, TOO_DEEP)
        condition = self._binary(0)
        if question := self._accept("?"):
            one = self._binary(0)
            self.expect(":")
            other = self.expression()
            condition = Call(at=question.at, function="_?_:_", args=[condition, one, other])
        self._depth -= 1
        return condition

    def _binary(self, least: int) -> Node:
        """Operators that bind as tightly as `least` or more."""
        left, chained = self._unary(), 0
        while (found := self._operator()) and found[0] >= least:
            level, function = found
            if level <= _LOGICAL_MAX:
                left = self._logical(left, level, function)
                continue
            operator, chained = self._take(), chained + 1
            if chained > NESTED_MAX:
                raise SyntaxFault(operator.at, TOO_DEEP)
            left = Call(at=operator.at, function=function, args=[left, self._binary(level + 1)])
        return left

    def _operator(self) -> tuple[int, str] | None:
        token = self._peek()
        return None if token.kind in _LITERALS or token.kind == "quoted" else _BINARY.get(token.text)

    def _logical(self, first: Node, level: int, function: str) -> Node:
        """`a && b && c …`: as long as it may be, the tree is not deep."""
        operands, places = [first], []
        while self._operator() == (level, function):
            places.append(self._take().at)
            operands.append(self._binary(level + 1))

        def balanced(low: int, high: int) -> Node:
            if low == high:
                return operands[low]
            middle = (low + high + 1) // 2
            args = [balanced(low, middle - 1), balanced(middle, high)]
            return Call(at=places[middle - 1], function=function, args=args)

        return balanced(0, len(operands) - 1)

    def _unary(self) -> Node:
        token = self._peek()
        if token.kind not in ("!", "-"):
            return self._member()
        signs = 0
        while self._accept(token.kind):
            signs += 1
        if token.kind == "-" and signs == 1 and self._peek().kind in ("int", "double"):
            self._peek_negative()
            return self._member()
        operand = self._member()
        if signs % 2 == 0:
            return operand
        return Call(at=token.at, function="!_" if token.kind == "!" else "-_", args=[operand])

    def _peek_negative(self) -> None:
        """The sign belongs to the number: the least integer has no positive."""
        number = self._peek()
        self._words[self._at] = Token(number.kind, f"-{number.text}", -number.value, number.at - 1)

    def _member(self) -> Node:
        node, levels = self._primary(), 0
        while True:
            token = self._peek()
            if token.kind == ".":
                node = self._selected(node)
            elif token.kind == "[":
                node = self._indexed(node)
            elif token.kind == "{" and (name := _dotted(node)):
                node = self._struct(node.at, name)
            else:
                return node
            levels += 1
            if levels > NESTED_MAX:
                raise SyntaxFault(token.at, TOO_DEEP)

    def _selected(self, operand: Node) -> Node:
        dot = self._take()
        optional = self._accept("?") is not None
        name = self._accept("quoted") or self.expect("ident")
        if not optional and name.kind == "ident" and (paren := self._accept("(")):
            args = self._list_until(")")
            call = Call(at=paren.at, function=name.text, target=operand, args=args)
            return expand(call, self._faults, binds=self._binds)
        return Select(at=dot.at, operand=operand, field=name.value, optional=optional)

    def _indexed(self, operand: Node) -> Node:
        bracket = self._take()
        optional = self._accept("?") is not None
        index = self.expression()
        self.expect("]")
        return Call(at=bracket.at, function="_[?_]" if optional else "_[_]", args=[operand, index])

    def _list_until(self, end: str) -> list[Node]:
        if self._accept(end):
            return []
        found = [self.expression()]
        while self._accept(","):
            found.append(self.expression())
        self.expect(end)
        return found

    # -- what stands alone -----------------------------------------------------------------------

    def _primary(self) -> Node:
        token = self._take()
        match token.kind:
            case "int" | "uint" | "double" | "string" | "bytes":
                if token.kind == "int" and not -INT64_MAX - 1 <= token.value <= INT64_MAX:
                    raise SyntaxFault(token.at, "invalid int literal")
                return Literal(at=token.at, value=token.value, kind=_LITERALS[token.kind])
            case "(":
                inner = self.expression()
                self.expect(")")
                return inner
            case "[":
                return self._list(token)
            case "{":
                return self._map(token)
            case "ident":
                return self._named(token)
            case "." if self._peek().kind == "ident":
                return self._named(self._take())
        raise SyntaxFault(token.at, f"Syntax error: mismatched input '{token.text}' expecting {_STARTS}")

    def _named(self, token: Token) -> Node:
        if token.text in _WORDS:
            value, kind = _WORDS[token.text]
            return Literal(at=token.at, value=value, kind=kind)
        if token.text == "in":
            raise SyntaxFault(token.at, f"Syntax error: mismatched input 'in' expecting {_STARTS}")
        if token.text in RESERVED:
            self._faults.add(token.at, f"reserved identifier: {token.text}")
        if paren := self._accept("("):
            args = self._list_until(")")
            return expand(Call(at=paren.at, function=token.text, args=args), self._faults)
        return Ident(at=token.at, name=token.text)

    def _list(self, bracket: Token) -> Node:
        elements: list[Node] = []
        optional: set[int] = set()
        while not self._accept("]"):
            if self._accept("?"):
                optional.add(len(elements))
            elements.append(self.expression())
            if not self._accept(","):
                self.expect("]")
                break
        return ListOf(at=bracket.at, elements=elements, optional=frozenset(optional))

    def _map(self, brace: Token) -> Node:
        entries: list[Entry] = []
        while not self._accept("}"):
            optional = self._accept("?") is not None
            key = self.expression()
            self.expect(":")
            entries.append(Entry(key=key, value=self.expression(), optional=optional))
            if not self._accept(","):
                self.expect("}")
                break
        return MapOf(at=brace.at, entries=entries)

    def _struct(self, at: int, name: str) -> Node:
        brace = self._take()
        made = Struct(at=brace.at, name=name)
        while not self._accept("}"):
            optional = self._accept("?") is not None
            field = self._accept("quoted") or self.expect("ident")
            self.expect(":")
            made.fields.append((field.value, self.expression(), optional, field.at))
            if not self._accept(","):
                self.expect("}")
                break
        return made


_STARTS = (
    "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES,"
    " IDENTIFIER}"
)
_WORDS = {"true": (True, types.BOOL), "false": (False, types.BOOL), "null": (None, types.NULL)}


def _dotted(node: Node) -> str:
    """`a.b.c`, where the node is such a name; else nothing."""
    if isinstance(node, Ident):
        return node.name
    if isinstance(node, Select) and not node.optional and not node.tests:
        head = _dotted(node.operand)
        return f"{head}.{node.field}" if head else ""
    return ""


dotted = _dotted
