"""Writes `services/machinery/schema/definitions.json`: the facts of the schema that the server needs.

Two public sources, facts only: the OpenAPI facts recorded from a real server (`../shared/golden/discovery`:
patch strategies, list kinds, defaults) and the wire types of `k8s.io/api` (which fields are pointers,
which are left out when empty, what Go calls a type in its errors).

    python scripts/gen_schema.py --api PATH --apimachinery PATH --apiextensions PATH \
        --aggregator PATH [--golden PATH]

PATH is a git directory of kubernetes/api, apimachinery, apiextensions-apiserver and kube-aggregator that has
the tag `v0.36.2`.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "services" / "machinery" / "schema" / "definitions.json"
TAG = "v0.36.2"

# Kinds to keep, by their short definition names; whatever they refer to comes along.
ROOTS = {
    "core.v1": (
        "Binding ComponentStatus ConfigMap Endpoints Event LimitRange Namespace Node PersistentVolume"
        " PersistentVolumeClaim Pod PodTemplate ReplicationController ResourceQuota Secret Service"
        " ServiceAccount"
    ),
    "admissionregistration.v1": (
        "MutatingAdmissionPolicy MutatingAdmissionPolicyBinding MutatingWebhookConfiguration"
        " ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding ValidatingWebhookConfiguration"
    ),
    "apiextensions.v1": "CustomResourceDefinition",
    "apiregistration.v1": "APIService",
    "apps.v1": "ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet",
    "authentication.v1": "SelfSubjectReview TokenRequest TokenReview",
    "authorization.v1": (
        "LocalSubjectAccessReview SelfSubjectAccessReview SelfSubjectRulesReview SubjectAccessReview"
    ),
    "autoscaling.v1": "HorizontalPodAutoscaler Scale",
    "autoscaling.v2": "HorizontalPodAutoscaler",
    "batch.v1": "CronJob Job",
    "certificates.v1": "CertificateSigningRequest",
    "coordination.v1": "Lease",
    "discovery.v1": "EndpointSlice",
    "events.v1": "Event",
    "flowcontrol.v1": "FlowSchema PriorityLevelConfiguration",
    "networking.v1": "IPAddress Ingress IngressClass NetworkPolicy ServiceCIDR",
    "node.v1": "RuntimeClass",
    "policy.v1": "Eviction PodDisruptionBudget",
    "rbac.v1": "ClusterRole ClusterRoleBinding Role RoleBinding",
    "resource.v1": "DeviceClass ResourceClaim ResourceClaimTemplate ResourceSlice",
    "scheduling.v1": "PriorityClass",
    "storage.v1": "CSIDriver CSINode CSIStorageCapacity StorageClass VolumeAttachment VolumeAttributesClass",
    "meta.v1": "DeleteOptions",
}
# Where the structs stand: which repository, which files of it.
FILES = {
    name: ("api", (f"{name.replace('.', '/')}/types.go",))
    for name in ROOTS
    if name not in ("apiextensions.v1", "apiregistration.v1", "meta.v1")
} | {
    "apiextensions.v1": (
        "apiextensions",
        ("pkg/apis/apiextensions/v1/types.go", "pkg/apis/apiextensions/v1/types_jsonschema.go"),
    ),
    "apiregistration.v1": ("aggregator", ("pkg/apis/apiregistration/v1/types.go",)),
    "meta.v1": ("apimachinery", ("pkg/apis/meta/v1/types.go",)),
}
# JSON of any shape, or of one of two: what upstream decodes by hand.
ANY = {
    "JSON": "json",
    "JSONSchemaPropsOrArray": "schemaorarray",
    "JSONSchemaPropsOrBool": "schemaorbool",
    "JSONSchemaPropsOrStringArray": "schemaorstrings",
}
LEAVES = {
    "metav1.Time": "time", "metav1.MicroTime": "microtime", "metav1.Duration": "duration",
    "resource.Quantity": "quantity", "intstr.IntOrString": "intorstring", "runtime.RawExtension": "raw",
    "metav1.FieldsV1": "raw", "types.UID": "string", "int": "int64", "float64": "float64",
}  # fmt: skip
SCALARS = {"string", "bool", "int32", "int64", "float64", "byte", "uint32"}
STRUCT = re.compile(r"^type (\w+) struct ?\{$(.*?)^\}$", re.M | re.S)
EMPTY_STRUCT = re.compile(r"^type (\w+) struct ?\{\}$", re.M)
NAMED = re.compile(r"^type (\w+) ([\w.\[\]*]+)$", re.M)
FIELD = re.compile(r'^\t(?:(\w+)\s+)?(\S+)\s+`json:"([^"]*)"', re.M)


class Package:
    """The structs and named types of one Go package."""

    def __init__(self, name: str, source: str) -> None:
        self.name = name  # "core.v1"
        source = re.sub(r"//[^\n]*", "", re.sub(r"/\*.*?\*/", "", source, flags=re.S))
        self.structs = {m[1]: FIELD.findall(m[2]) for m in STRUCT.finditer(source)}
        self.structs |= {name: [] for name in EMPTY_STRUCT.findall(source)}
        self.named = {m[1]: m[2] for m in NAMED.finditer(source)}


def read(git_dir: Path, path: str) -> str:
    command = ["git", "-C", str(git_dir), "show", f"{TAG}:{path}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


class Generator:
    def __init__(self, packages: dict[str, Package], golden: Path) -> None:
        self.packages = packages
        self.extensions = self._short(json.loads((golden / "openapi_v2_extensions.json").read_text()))
        self.defaults = self._short(json.loads((golden / "openapi_v3_defaults_enums.json").read_text()))
        self.definitions: dict[str, Any] = {}

    @staticmethod
    def _short(facts: dict[str, Any]) -> dict[str, Any]:
        prefixes = r"^io\.k8s\.(api|(apimachinery|apiextensions-apiserver|kube-aggregator)\.pkg\.apis)\."
        return {re.sub(prefixes, "", key): value for key, value in facts.items()}

    def define(self, name: str) -> None:
        if name in self.definitions:
            return
        package_name, _, struct = name.rpartition(".")
        package = self.packages[package_name]
        entry: dict[str, Any] = {"fields": {}}
        self.definitions[name] = entry
        if "map-type" in self.extensions.get(name, {}):
            entry["map"] = self.extensions[name]["map-type"]
        if any(go_type.endswith("TypeMeta") for _, go_type, _ in package.structs[struct]):
            entry["typed"] = True
        self._fields(name, package, struct, entry["fields"])

    def _fields(self, name: str, package: Package, struct: str, into: dict[str, Any]) -> None:
        for go_name, go_type, tag in package.structs[struct]:
            wire, _, options = tag.partition(",")
            if "inline" in options or (not go_name and not wire):
                if not go_type.endswith("TypeMeta"):
                    owner, inner = self._resolve(package, go_type)
                    self._fields(name, owner, inner, into)
                continue
            if wire and wire != "-":
                into[wire] = self._field(name, package, wire, go_type, options)

    def _field(self, name: str, package: Package, wire: str, go_type: str, options: str) -> dict[str, Any]:
        bare = go_type.removeprefix("*")
        entry: dict[str, Any] = {"type": self._type(package, bare)}
        if (go := self._go(package, bare)) != self._derived(entry["type"]):
            entry["go"] = go
        if bare != go_type:
            entry["pointer"] = True
        if "omitempty" not in options and "omitzero" not in options:
            entry["always"] = True
        if "omitzero" in options:
            entry["omitzero"] = True
        facts = self.extensions.get(f"{name}.{wire}", {})
        for fact, short in (("patch-strategy", "patch"), ("patch-merge-key", "key"), ("list-type", "list"),
                            ("list-map-keys", "keys"), ("map-type", "map")):  # fmt: skip
            if fact in facts:
                entry[short] = facts[fact]
        default = self.defaults.get(name, {}).get(wire, {}).get("default")
        if default not in (None, "", 0, False, {}):
            entry["default"] = default
        return entry

    def _resolve(self, package: Package, go_type: str) -> tuple[Package, str]:
        prefix, _, struct = go_type.rpartition(".")
        alias = {
            "metav1": "meta.v1",
            "v1": "core.v1",
            "corev1": "core.v1",
            "apiv1": "core.v1",
            "": package.name,
        }
        return self.packages[alias[prefix]], struct

    def _type(self, package: Package, go_type: str) -> str:
        """`[]core.v1.Container`, `map:quantity`, `int32`, `bytes`…"""
        go_type = go_type.removeprefix("*")
        if go_type == "[]byte":
            return "bytes"
        if go_type.startswith("[]"):
            return "[]" + self._type(package, go_type[2:])
        if match := re.match(r"map\[[\w.]+\](.*)", go_type):
            return "map:" + self._type(package, match[1])
        if package.name == "meta.v1" and f"metav1.{go_type}" in LEAVES:
            return LEAVES[f"metav1.{go_type}"]
        if go_type in LEAVES or go_type in SCALARS:
            return LEAVES.get(go_type, go_type)
        owner, inner = self._resolve(package, go_type)
        if owner.name == "apiextensions.v1" and inner in ANY:
            return ANY[inner]
        if inner in owner.named:
            return self._type(owner, owner.named[inner])
        self.define(f"{owner.name}.{inner}")
        return f"{owner.name}.{inner}"

    def _go(self, package: Package, go_type: str) -> str:
        """The type as Go's errors print it: package by its last element."""
        for prefix in ("[]", "*"):
            if go_type.startswith(prefix):
                return prefix + self._go(package, go_type.removeprefix(prefix))
        if match := re.match(r"map\[([\w.]+)\](.*)", go_type):
            return f"map[{self._go(package, match[1])}]{self._go(package, match[2])}"
        if go_type == "byte":
            return "uint8"
        if go_type in SCALARS or go_type == "int":
            return go_type
        prefix, _, inner = go_type.rpartition(".")
        version = package.name.rpartition(".")[2] if not prefix else "v1"
        return f"{version if prefix in ('', 'metav1', 'corev1') else prefix}.{inner}"

    def _derived(self, kind: str) -> str:
        """What the reader of the file will take for the Go type without being told."""
        if kind.startswith("[]"):
            return "[]" + self._derived(kind[2:])
        if kind.startswith("map:"):
            return "map[string]" + self._derived(kind[4:])
        if kind in SCALARS:
            return kind
        names = {
            "bytes": "[]uint8",
            "time": "v1.Time",
            "microtime": "v1.MicroTime",
            "quantity": "resource.Quantity",
            "intorstring": "intstr.IntOrString",
        }
        return names.get(kind, ".".join(["v1", *kind.split(".")][-2:]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for repository in ("api", "apimachinery", "apiextensions", "aggregator"):
        parser.add_argument(f"--{repository}", type=Path, required=True)
    parser.add_argument("--golden", type=Path, default=ROOT.parent / "shared" / "golden" / "discovery")
    arguments = parser.parse_args()
    packages = {
        name: Package(name, "\n".join(read(getattr(arguments, repository), path) for path in paths))
        for name, (repository, paths) in FILES.items()
    }
    generator = Generator(packages, arguments.golden)
    for package, kinds in ROOTS.items():
        for kind in kinds.split():
            generator.define(f"{package}.{kind}")
    lines = [f'"{name}":{json.dumps(entry, separators=(",", ":"))}'
             for name, entry in sorted(generator.definitions.items())]  # fmt: skip
    TARGET.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{len(lines)} definitions")


if __name__ == "__main__":
    main()
