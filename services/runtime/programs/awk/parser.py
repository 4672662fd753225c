"""From awk's text to a tree of tuples: (kind, …). Its expressions are parsed in expressions.py."""

from __future__ import annotations

from services.runtime.programs.awk.expressions import DEPTH_MAX, Expressions, Function, Node, Program
from services.runtime.programs.awk.lexer import BadProgram, tokens

SOURCE_CHARACTERS_MAX = 200_000


def parse(source: str) -> Program:
    if len(source) > SOURCE_CHARACTERS_MAX:
        raise BadProgram("program too long", 1)
    return _Parser(tokens(source)).program()


class _Parser(Expressions):
    # -- program ------------------------------------------------------------------------------

    def program(self) -> Program:
        self._terminators()
        while self._token.kind != "end":
            self._item()
            self._terminators()
        return self._program

    def _item(self) -> None:
        if self._accept("function", "func"):
            self._function()
        elif self._accept("BEGIN"):
            self._newlines()
            self._program.begin.append(self._block())
        elif self._accept("END"):
            self._newlines()
            self._program.end.append(self._block())
        else:
            first = second = None
            if not self._is("{"):
                first = self._expression()
                if self._accept(","):
                    self._newlines()
                    second = self._expression()
            action: Node = self._block() if self._is("{") else ("print", [], None, None)
            self._program.rules.append((first, second, action))

    def _function(self) -> None:
        name = self._token.text
        self._at += 1
        self._need("(")
        parameters: list[str] = []
        while not self._accept(")"):
            if self._token.kind != "name":
                raise self._fail()
            parameters.append(self._token.text)
            self._at += 1
            if not self._accept(","):
                self._need(")")
                break
            self._newlines()
        function = self._program.functions[name] = Function(parameters)
        self._current = function
        self._newlines()
        function.body = self._block()
        self._current = None

    def _block(self) -> Node:
        self._need("{")
        body: list[Node] = []
        self._terminators()
        while not self._accept("}"):
            body.append(self._statement())
            self._terminators()
        return ("block", body)

    # -- statements ---------------------------------------------------------------------------

    def _statement(self) -> Node:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise BadProgram("nested too deep", self._token.line)
        try:
            return self._one_statement()
        finally:
            self._depth -= 1

    def _body(self) -> Node:
        self._newlines()
        if self._accept(";"):
            return ("block", [])
        return self._statement()

    def _one_statement(self) -> Node:
        if self._is("{"):
            return self._block()
        if self._accept("if"):
            self._need("(")
            condition = self._expression()
            self._need(")")
            then = self._body()
            mark = self._at
            self._terminators()
            if self._accept("else"):
                return ("if", condition, then, self._body())
            self._at = mark
            return ("if", condition, then, None)
        if self._accept("while"):
            self._need("(")
            condition = self._expression()
            self._need(")")
            return ("while", condition, self._body())
        if self._accept("do"):
            body = self._body()
            self._terminators()
            self._need("while")
            self._need("(")
            condition = self._expression()
            self._need(")")
            return ("do", condition, body)
        if self._accept("for"):
            return self._for()
        return self._simple_statement()

    def _for(self) -> Node:
        self._need("(")
        ahead = self._tokens[self._at : self._at + 4]
        if [token.text for token in ahead[1:4:2]] == ["in", ")"] and ahead[0].kind == "name":
            self._at += 4
            self._mark_array(ahead[2].text)
            return ("forin", ahead[0].text, ahead[2].text, self._body())
        first = None if self._is(";") else self._simple_statement()
        self._need(";")
        self._newlines()
        condition = None if self._is(";") else self._expression()
        self._need(";")
        self._newlines()
        step = None if self._is(")") else self._simple_statement()
        self._need(")")
        return ("for", first, condition, step, self._body())

    def _simple_statement(self) -> Node:
        token = self._token
        if token.kind == "name" and token.text in ("break", "continue", "next", "nextfile"):
            self._at += 1
            return (token.text,)
        if self._accept("exit", "return"):
            ends = self._is("\n", ";", "}") or self._token.kind == "end"
            return (token.text, None if ends else self._expression())
        if self._accept("delete"):
            name = self._token.text
            self._at += 1
            self._mark_array(name)
            if self._accept("["):
                return ("delete", name, self._list("]"))
            return ("delete", name, None)
        if self._is("print", "printf"):
            return self._print()
        return ("expression", self._expression())

    def _print(self) -> Node:
        kind = self._token.text
        self._at += 1
        arguments: list[Node] = []
        if not (self._is("\n", ";", "}", ">", ">>", "|") or self._token.kind == "end"):
            mark = self._at
            if self._accept("("):
                arguments = self._list(")")
                if not (self._is("\n", ";", "}", ">", ">>", "|") or self._token.kind == "end"):
                    self._at, arguments = mark, []
            if not arguments:
                arguments.append(self._expression(output=True))
                while self._accept(","):
                    self._newlines()
                    arguments.append(self._expression(output=True))
        target = None
        operator = None
        if self._is(">", ">>", "|"):
            operator = self._token.text
            self._at += 1
            target = self._concatenation(output=True)
        return (kind, arguments, operator, target)
