"""Compiles expressions, and runs what was compiled.

An environment is the variables that expressions may name, and what types they have; `dyn` where only
evaluation knows. Programs keep nothing between evaluations and may be shared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from services.apiserver.cel import syntax_faults
from services.apiserver.cel.activation import Activation, Run
from services.apiserver.cel.faults import CompileError, CostExceeded, EvaluationError, Faults
from services.apiserver.cel.functions import Library
from services.apiserver.cel.schema_values import needs_values, value_of
from services.apiserver.cel.tree import Node
from services.apiserver.cel.types import Type

# Upstream's bounds: of one evaluation, and of all expressions of one policy or schema for one request.
PER_CALL_COST_MAX, BUDGET = 1_000_000, 10_000_000


@dataclass(frozen=True, slots=True)
class Program:
    text: str
    type: Type  # what it answers
    tree: Node
    _run: Run
    _conversions: Mapping[str, Type]

    def evaluate(
        self, variables: Mapping[str, Any], limit: int = PER_CALL_COST_MAX, *, as_declared: bool = False
    ) -> tuple[Any, int]:
        """The value, and what it cost. EvaluationError, CostExceeded; TurnOver of `machinery.turns`.

        `as_declared`: the variables are what `value_of` makes of JSON.
        """
        given = dict(variables)  # a copy: loops write into it
        if not as_declared:
            for name, kind in self._conversions.items():
                if name in given:
                    given[name] = value_of(given[name], kind)
        activation = Activation(given, min(limit, PER_CALL_COST_MAX))
        try:
            found = self._run(activation)
        except RecursionError:
            raise CostExceeded from None
        except (TypeError, AttributeError) as error:
            # A value that is not of the type that it was declared with.
            raise EvaluationError(f"no such overload: {error}") from None
        finally:
            activation.settle()
        if activation.cost > activation.limit:
            raise CostExceeded
        return found, activation.cost


class Environment:
    """`variables` by name; `structs` are the types that `Name{…}` makes; `library` what may be called.

    `binds`: whether there is a macro `cel.bind`.
    """

    def __init__(
        self,
        variables: Mapping[str, Type],
        structs: Mapping[str, Type] | None = None,
        library: Library | None = None,
        *,
        binds: bool = False,
    ) -> None:
        self.variables, self._library, self._binds = variables, library, binds
        self.structs = structs if structs is not None else {}

    @cached_property
    def _conversions(self) -> dict[str, Type]:
        return {name: kind for name, kind in self.variables.items() if needs_values(kind)}

    def extended(self, variables: Mapping[str, Type]) -> Environment:
        return Environment({**self.variables, **variables}, self.structs, self._library, binds=self._binds)

    def with_structs(self, structs: Mapping[str, Type]) -> Environment:
        return Environment(self.variables, structs, self._library, binds=self._binds)

    def compile(self, text: str) -> Program:
        """CompileError, in upstream's words but for what whoever asks puts before them."""
        from services.apiserver.cel.checker import Checker
        from services.apiserver.cel.evaluator import Builder
        from services.apiserver.cel.library.everything import ALL
        from services.apiserver.cel.parser import TOO_DEEP, parse

        library, faults = self._library or ALL, Faults(text)
        tree = parse(text, faults, binds=self._binds)
        if tree is None:
            raise (None if faults.has(TOO_DEEP) else syntax_faults.of(text)) or faults.error()
        try:
            kind = Checker(self.variables, self.structs, library, faults).check(tree)
            if not faults:
                # Only what is named has to be converted.
                named = {name: each for name, each in self._conversions.items() if name in text}
                return Program(text, kind, tree, Builder(library).build(tree), named)
        except RecursionError:
            faults.add(0, TOO_DEEP)
        raise faults.error()


__all__ = [
    "BUDGET",
    "PER_CALL_COST_MAX",
    "CompileError",
    "CostExceeded",
    "Environment",
    "EvaluationError",
    "Program",
]
