"""The Common Expression Language, as Kubernetes speaks it: policies, match conditions, validation rules.

`Environment(variables).compile(text)` parses and checks an expression against declared types;
`Program.evaluate` runs it within a cost. Pure: no I/O, no clock; what an expression asks of an authorizer
is asked of a value that it was given. Upstream: google/cel-go and `k8s.io/apiserver/pkg/cel`.

Why it is written here and not taken from a library: docs/adr/0017.
"""

from services.apiserver.cel.environment import Environment, Program
from services.apiserver.cel.faults import CompileError, CostExceeded, EvaluationError
from services.apiserver.cel.types import Type

__all__ = ["CompileError", "CostExceeded", "Environment", "EvaluationError", "Program", "Type"]
