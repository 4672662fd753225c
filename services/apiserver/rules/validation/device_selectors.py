"""What a CEL expression that selects devices may say: it compiles, answers a bool, and cannot cost too much.

`device` has a driver, attributes and capacities by domain and name, each of known length, and says whether
it may be allocated more than once. Upstream: `dynamic-resource-allocation/cel`, with its default gates.
"""

from __future__ import annotations

from functools import lru_cache

from services.apiserver.cel import CompileError, Environment, types
from services.apiserver.cel.types import Field, object_of, opaque
from services.apiserver.crd.costs import Estimate
from services.apiserver.crd.sizes import Place
from services.machinery import turns
from services.machinery.field_errors import Causes, forbidden, invalid

COST_MAX = 1_000_000
_KEPT = 256  # expressions; claims made from one template have the same ones
_COMPILATION = 300  # units of work, and one for each letter
_IN_A_MAP, _DOMAIN, _NAME, _DRIVER, _VALUE = 32, 63, 32, 63, 64


def _by_domain(value: types.Type) -> types.Type:
    return types.map_of(types.STRING, types.map_of(types.STRING, value))


def _place_by_domain(value: Place, others: Place | None = None) -> Place:
    inner = Place(_IN_A_MAP, 2, values=value, keys=Place(_NAME, 2), others=others)
    return Place(_IN_A_MAP, 2, values=inner, keys=Place(_DOMAIN, 2))


_DEVICE = object_of(
    "kubernetes.DRADevice",
    {
        "driver": Field(types.STRING),
        "allowMultipleAllocations": Field(types.BOOL),
        "attributes": Field(_by_domain(types.ANY)),
        "capacity": Field(_by_domain(opaque("kubernetes.Quantity"))),
    },
)
_ATTRIBUTE = Place(_VALUE, 1)
PLACE = Place(
    0,
    2,
    fields={
        "driver": Place(_DRIVER, 2),
        "allowMultipleAllocations": Place(1, 4),
        "attributes": _place_by_domain(_ATTRIBUTE, _ATTRIBUTE),
        "capacity": _place_by_domain(Place(0, 2)),
    },
)
ENVIRONMENT = Environment({"device": _DEVICE}, binds=True)


def check(expression: str, path: str, out: Causes) -> None:
    """Appends what is wrong with it."""
    turns.done(_COMPILATION + len(expression))
    fault, is_costly = _judged(expression)
    if is_costly:
        out.append(forbidden(path, fault))
    elif fault:
        out.append(invalid(path, expression, fault))


@lru_cache(maxsize=_KEPT)
def _judged(expression: str) -> tuple[str, bool]:
    """What is wrong, if anything is; and whether that is its cost."""
    try:
        program = ENVIRONMENT.compile(expression)
    except CompileError as error:
        return f"compilation failed: {error}", False
    if program.type.kind not in ("any", "bool"):
        return f"must evaluate to bool or the unknown type, not {program.type}", False
    if Estimate(program.tree, PLACE, ("device",)).most > COST_MAX:
        return "too complex, exceeds cost limit", True
    return "", False
