"""The expressions of policies and match conditions: which variables they may name, and what they may answer.

Upstream: `apiserver/pkg/admission/plugin/cel`. What is checked when a policy is stored and what runs at a
request is compiled here alike. `variables` of a policy are declared one after the other: each may use those
before it.
"""

from __future__ import annotations

from functools import lru_cache

from services.apiserver.cel import CompileError, Environment, Program, types
from services.apiserver.cel.library.access import AUTHORIZER_TYPE, RESOURCE_CHECK_TYPE
from services.apiserver.cel.types import BOOL, DYN, NULL, STRING, Field, Type, list_of, map_of, object_of

EXTRA_LENGTH_MAX = 10_000


def _of(**fields: Type) -> dict[str, Field]:
    return {name: Field(kind) for name, kind in fields.items()}


_KIND = object_of("kubernetes.GroupVersionKind", _of(group=STRING, version=STRING, kind=STRING))
_RESOURCE = object_of("kubernetes.GroupVersionResource", _of(group=STRING, version=STRING, resource=STRING))
_USER = object_of(
    "kubernetes.UserInfo",
    _of(username=STRING, uid=STRING, groups=list_of(STRING), extra=map_of(STRING, list_of(STRING))),
)
REQUEST = object_of(
    "kubernetes.AdmissionRequest",
    _of(
        kind=_KIND, resource=_RESOURCE, subResource=STRING, requestKind=_KIND, requestResource=_RESOURCE,
        requestSubResource=STRING, name=STRING, namespace=STRING, operation=STRING, userInfo=_USER,
        dryRun=BOOL, options=DYN,
    ),
)  # fmt: skip
_METADATA = object_of(
    "kubernetes.NamespaceMetadata",
    _of(
        name=STRING, generateName=STRING, namespace=STRING, labels=map_of(STRING, STRING),
        annotations=map_of(STRING, STRING), UID=STRING, creationTimestamp=types.TIMESTAMP,
        deletionGracePeriodSeconds=types.INT, deletionTimestamp=types.TIMESTAMP, generation=types.INT,
        resourceVersion=STRING, finalizers=list_of(STRING),
    ),
)  # fmt: skip
NAMESPACE = object_of(
    "kubernetes.Namespace",
    _of(
        metadata=_METADATA,
        spec=object_of("kubernetes.NamespaceSpec", _of(finalizers=list_of(STRING))),
        status=object_of("kubernetes.NamespaceStatus", _of(phase=STRING)),
    ),
)
CONDITION, MESSAGE, AUDIT = (BOOL,), (STRING,), (STRING, NULL)


@lru_cache(maxsize=8)
def environment(*, params: bool, authorizer: bool) -> Environment:
    """What every expression about a request sees; `params` where the policy has a kind of them."""
    variables = {"object": DYN, "oldObject": DYN, "request": REQUEST, "namespaceObject": NAMESPACE}
    if params:
        variables["params"] = DYN
    if authorizer:
        variables |= {"authorizer": AUTHORIZER_TYPE, "authorizer.requestResource": RESOURCE_CHECK_TYPE}
    return Environment(variables)


def with_variables(base: Environment, declared: dict[str, Type]) -> Environment:
    """The same, where a policy's own variables may be named too."""
    return base.extended({"variables": object_of("kubernetes.variables", _of(**declared))})


def compile_as(base: Environment, text: str, answers: tuple[Type, ...] = ()) -> Program:
    """CompileError, as upstream's compiler says it; `answers` are the types that may come out, or any."""
    try:
        program = base.compile(text)
    except CompileError as error:
        raise CompileError(f"compilation failed: {error}") from None
    if answers and all(str(program.type) != str(each) for each in answers):
        shown = [_shown(each) for each in answers]
        what = shown[0] if len(shown) == 1 else f"one of [{' '.join(shown)}]"
        raise CompileError(f"must evaluate to {what}")
    return program


def _shown(kind: Type) -> str:
    return "null_type" if kind == NULL else str(kind)


# -- mutations -----------------------------------------------------------------------------------

JSON_PATCH = object_of(
    "JSONPatch",
    {"op": Field(STRING), "path": Field(STRING), "from": Field(STRING), "value": Field(DYN)},
)


class AnyObject(dict[str, Type]):
    """The types `Object`, `Object.spec`, `Object.spec.template` …: what an apply configuration is written in.

    Which fields there are, the kind that is changed says when it is decoded; here every name is one.
    """

    def get(self, name: str, default: Type | None = None) -> Type | None:  # type: ignore[override]
        if name == "JSONPatch":
            return JSON_PATCH
        if name == "Object" or name.startswith("Object."):
            return object_of("Object", _ANY_FIELD)
        return default


class _AnyField(dict[str, Field]):
    def get(self, name: str, default: Field | None = None) -> Field:  # type: ignore[override]
        return Field(DYN)

    def __getitem__(self, name: str) -> Field:
        return Field(DYN)


_ANY_FIELD = _AnyField()
APPLY_CONFIGURATION = object_of("Object", _ANY_FIELD)


def for_mutation(full: Environment, patch_type: str) -> tuple[Environment, tuple[Type, ...]]:
    """Where a mutation's expression is compiled, and what it has to answer."""
    environment = full.with_structs(AnyObject())
    if patch_type == "ApplyConfiguration":
        return environment, (APPLY_CONFIGURATION,)
    return environment, (list_of(JSON_PATCH),)
