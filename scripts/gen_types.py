"""Writes `services/api/*_v1.py`: Kubernetes' objects as frozen `msgspec` structs.

The facts (which kind has which field of which type) are read from `lightkube-models`, which
carries upstream's OpenAPI schema for the version that we model. The shape is ours: snake_case
attributes, empty collections instead of None, and `metadata`, `spec` and `status` of a
top-level kind always there, so that callers never test for a missing one.

    python scripts/gen_types.py           rewrite the modules
    python scripts/gen_types.py --check   exit 1 if they are not current
"""

from __future__ import annotations

import ast
import re
import sys
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from ruff.__main__ import find_ruff_bin  # type: ignore[import-untyped]

TARGET = Path(__file__).parent.parent / "services" / "api"
VERSION_MODELLED = "1.36"

# Kinds to emit, by module; whatever they refer to comes along.
ROOTS: dict[str, tuple[str, ...]] = {
    "meta_v1": ("DeleteOptions", "ObjectMeta", "ListMeta", "LabelSelector", "OwnerReference"),
    "core_v1": (
        "Binding", "ComponentStatus", "ConfigMap", "Endpoints", "Event", "LimitRange", "Namespace", "Node",
        "PersistentVolume", "PersistentVolumeClaim", "Pod", "PodTemplate", "ReplicationController",
        "ResourceQuota", "Secret", "Service", "ServiceAccount",
    ),
    "admissionregistration_v1": (
        "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding", "MutatingWebhookConfiguration",
        "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration",
    ),
    "apiextensions_v1": ("CustomResourceDefinition",),
    "apiregistration_v1": ("APIService",),
    "apps_v1": ("ControllerRevision", "DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"),
    "authentication_v1": ("SelfSubjectReview", "TokenRequest", "TokenReview"),
    "authorization_v1": (
        "LocalSubjectAccessReview", "SelfSubjectAccessReview", "SelfSubjectRulesReview",
        "SubjectAccessReview",
    ),
    "autoscaling_v1": ("HorizontalPodAutoscaler", "Scale"),
    "autoscaling_v2": ("HorizontalPodAutoscaler",),
    "batch_v1": ("CronJob", "Job"),
    "certificates_v1": ("CertificateSigningRequest",),
    "coordination_v1": ("Lease",),
    "discovery_v1": ("EndpointSlice",),
    "events_v1": ("Event",),
    "flowcontrol_v1": ("FlowSchema", "PriorityLevelConfiguration"),
    "networking_v1": ("IPAddress", "Ingress", "IngressClass", "NetworkPolicy", "ServiceCIDR"),
    "node_v1": ("RuntimeClass",),
    "policy_v1": ("Eviction", "PodDisruptionBudget"),
    "rbac_v1": ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"),
    "resource_v1": ("DeviceClass", "ResourceClaim", "ResourceClaimTemplate", "ResourceSlice"),
    "scheduling_v1": ("PriorityClass",),
    "storage_v1": ("CSIDriver", "CSINode", "CSIStorageCapacity", "StorageClass", "VolumeAttachment",
                   "VolumeAttributesClass"),
}  # fmt: skip
GROUPS = {
    "admissionregistration_v1": "admissionregistration.k8s.io/v1",
    "apiextensions_v1": "apiextensions.k8s.io/v1",
    "apiregistration_v1": "apiregistration.k8s.io/v1",
    "apps_v1": "apps/v1",
    "authentication_v1": "authentication.k8s.io/v1",
    "authorization_v1": "authorization.k8s.io/v1",
    "autoscaling_v1": "autoscaling/v1",
    "autoscaling_v2": "autoscaling/v2",
    "batch_v1": "batch/v1",
    "certificates_v1": "certificates.k8s.io/v1",
    "coordination_v1": "coordination.k8s.io/v1",
    "core_v1": "v1",
    "discovery_v1": "discovery.k8s.io/v1",
    "events_v1": "events.k8s.io/v1",
    "flowcontrol_v1": "flowcontrol.apiserver.k8s.io/v1",
    "meta_v1": "v1",
    "networking_v1": "networking.k8s.io/v1",
    "node_v1": "node.k8s.io/v1",
    "policy_v1": "policy/v1",
    "rbac_v1": "rbac.authorization.k8s.io/v1",
    "resource_v1": "resource.k8s.io/v1",
    "scheduling_v1": "scheduling.k8s.io/v1",
    "storage_v1": "storage.k8s.io/v1",
}
PRIMITIVE = {"str": "str", "int": "int", "bool": "bool", "float": "float", "dict": "dict[str, str]"}
ALIAS = {
    "meta_v1.Time": "str",
    "meta_v1.MicroTime": "str",
    "resource.Quantity": "str",
    "util_intstr.IntOrString": "int | str",
    "meta_v1.FieldsV1": "dict[str, Any]",
    "FieldsV1": "dict[str, Any]",
    "runtime.RawExtension": "dict[str, Any]",
    # A schema of schemas: who looks into one walks it as JSON.
    "JSONSchemaProps": "dict[str, Any]",
    "CustomResourceSubresourceStatus": "dict[str, Any]",
}
KEYWORDS = {"from", "continue", "except", "import", "global", "is"}


@dataclass
class Model:
    module: str
    name: str
    doc: str
    fields: list[tuple[str, str]] = field(default_factory=list)  # (JSON name, annotation)

    @property
    def is_top_level(self) -> bool:
        """Has its kind from its type. References (an ownerReference, an involvedObject) carry it as data."""
        names = {name for name, _ in self.fields}
        return {"apiVersion", "kind"} <= names and ("metadata" in names or self.name == "DeleteOptions")


def snake(name: str) -> str:
    """`clusterIPs` → `cluster_ips`, `hostIPC` → `host_ipc`, `from` → `from_`."""
    plural = re.sub(r"(IP|CIDR|PID|URL|ID|WWN)s(?=[A-Z]|$)", lambda m: m[1].capitalize() + "s", name)
    words = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", plural)
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", words).lower()
    return words + "_" if words in KEYWORDS else words


def read_models(module: str) -> dict[str, Model]:
    spec = find_spec("lightkube.models")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("gen_types: lightkube-models is not installed")
    source = (Path(spec.submodule_search_locations[0]) / f"{module}.py").read_text()
    models = {}
    for node in ast.parse(source).body:
        if not isinstance(node, ast.ClassDef):
            continue
        doc = (ast.get_docstring(node) or "").split("**parameters**")[0]
        first = re.split(r"(?<=[.])\s", " ".join(doc.split()), maxsplit=1)[0]
        model = Model(module, node.name, first)
        for item in node.body:
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                text = item.annotation.value if isinstance(item.annotation, ast.Constant) else ""
                # A word of Python's own has an underscore there, which the wire has not.
                model.fields.append((item.target.id.removesuffix("_"), str(text)))
        models[node.name] = model
    return models


def references(annotation: str, module: str) -> list[tuple[str, str]]:
    name = re.sub(r"\b(Optional|List)\[|\]", "", annotation)
    if name in PRIMITIVE or name in ALIAS or f"{module}.{name}" in ALIAS:
        return []
    if "." in name:
        other, cls = name.split(".")
        return [] if f"{other}.{cls}" in ALIAS else [(other, cls)]
    return [(module, name)]


def closure(models: dict[str, dict[str, Model]]) -> set[tuple[str, str]]:
    seen: set[tuple[str, str]] = set()
    todo = [(module, name) for module, names in ROOTS.items() for name in names]
    while todo:
        key = todo.pop()
        if key in seen:
            continue
        seen.add(key)
        module, name = key
        for _, annotation in models[module][name].fields:
            todo += references(annotation, module)
    return seen


def python_type(annotation: str, module: str) -> tuple[str, str]:
    """The type and the default of one field, as source."""
    inner = (
        annotation.removeprefix("Optional[").removesuffix("]")
        if annotation.startswith("Optional[")
        else annotation
    )
    if inner.startswith("List["):
        item, _ = python_type(inner[5:-1], module)
        return f"list[{item.removesuffix(' | None')}]", "[]"
    if inner in ALIAS or f"{module}.{inner}" in ALIAS:
        base = ALIAS.get(inner) or ALIAS[f"{module}.{inner}"]
    else:
        base = PRIMITIVE.get(inner, inner)
    if base.startswith("dict["):
        return base, "{}"
    if inner == annotation:  # required upstream
        return base, {"str": '""', "int": "0", "bool": "False"}.get(base, "None")
    return f"{base} | None", "None"


def emit(model: Model, order: set[tuple[str, str]], models: dict[str, dict[str, Model]]) -> str:
    renames, lines = {}, []
    for name, annotation in model.fields:
        if model.is_top_level and name in ("apiVersion", "kind"):
            continue
        kind, default = python_type(annotation, model.module)
        if name == "extra":  # of a user: each has several values, which the models do not say
            kind = "dict[str, list[str]]"
        attribute = snake(name)
        if attribute != name:
            renames[attribute] = name
        if (
            (model.is_top_level and name == "metadata")
            or (model.is_top_level and name in ("spec", "status"))
            or (
                name in ("metadata", "spec")
                and kind.endswith(" | None")
                and model.name.endswith("TemplateSpec")
            )
        ):
            kind = kind.removesuffix(" | None")
            default = f"field(default_factory={kind})"
        elif default == "None" and not kind.endswith("| None"):
            if re.fullmatch(r"[A-Z]\w+|\w+_v\d\.[A-Z]\w+", kind):
                default = f"field(default_factory={kind})"
            else:
                kind += " | None"
        lines.append(f"    {attribute}: {kind} = {default}")
    options = ["frozen=True", "kw_only=True", "omit_defaults=True", "gc=False"]
    if renames:
        options.append("rename={" + ", ".join(f'"{a}": "{b}"' for a, b in renames.items()) + "}")
    head = f"class {model.name}({'Object' if model.is_top_level else 'Struct'}, {', '.join(options)}):\n"
    body = ""
    if model.is_top_level:
        body = f'    api_version: ClassVar[str] = "{GROUPS[model.module]}"\n'
        body += f'    kind: ClassVar[str] = "{model.name}"\n'
    return head + body + ("\n".join(lines) or "    pass") + "\n"


def ordered(names: list[str], models: dict[str, Model]) -> list[str]:
    """Definitions before uses, so that default factories resolve; cycles cannot occur in them."""
    out: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in out or name in path or name not in names:
            return
        for _, annotation in models[name].fields:
            for module, other in references(annotation, models[name].module):
                if module == models[name].module:
                    visit(other, (*path, name))
        out.append(name)

    for name in sorted(names):
        visit(name, ())
    return out


def render() -> dict[Path, str]:
    models = {module: read_models(module) for module in ROOTS}
    wanted = closure(models)
    files = {}
    for module in ROOTS:
        names = [name for other, name in wanted if other == module]
        classes = [emit(models[module][name], wanted, models) for name in ordered(names, models[module])]
        text = "\n\n".join(classes)
        others = sorted(set(re.findall(r"\b(\w+_v\d)\.", text)) - {module})
        what = f"Kubernetes {VERSION_MODELLED} `{GROUPS[module]}` objects."
        head = f'"""{what} Generated by scripts/gen_types.py: do not edit."""\n\n'
        head += "from __future__ import annotations\n\n"
        if "ClassVar[" in text or "Any]" in text:
            typing = [w for w in ("Any", "ClassVar") if re.search(rf"\b{w}\b", text)]
            head += f"from typing import {', '.join(typing)}\n\n"
        imports = [w for w in ("Struct", "field") if re.search(rf"\b{w}\(|\({w},", text)]
        if imports:
            head += f"from msgspec import {', '.join(imports)}\n\n"
        if others:
            head += f"from services.api import {', '.join(others)}\n"
        if "(Object," in text:
            head += "from services.api.object import Object\n"
        files[TARGET / f"{module}.py"] = formatted(head + "\n\n" + text)
    return files


def formatted(source: str) -> str:
    import subprocess

    command = [find_ruff_bin(), "format", "--line-length", "110", "-"]
    return subprocess.run(command, input=source, capture_output=True, text=True, check=True).stdout


def main() -> int:
    stale = 0
    for path, text in render().items():
        if "--check" in sys.argv:
            if not path.exists() or path.read_text() != text:
                print(f"gen_types: {path} is not current; run `make generate`", file=sys.stderr)
                stale = 1
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return stale


if __name__ == "__main__":
    sys.exit(main())
