"""Writes `services/machinery/schema/wire_numbers.json`: how upstream's protobuf bodies number their fields.

Facts only, of two public sources: the `generated.proto` of each served group (field names, numbers, types)
and, from `types.go`, which fields JSON writes inline.

    python scripts/gen_wire_numbers.py --api PATH --apimachinery PATH

PATH is a git directory of kubernetes/api and kubernetes/apimachinery that has the tag `v0.36.2`.
Each is `"core.v1.Volume":{"1":["name","string"],"2":["","core.v1.VolumeSource"]}`: the field's JSON
name (empty where it is written inline) and its type, `[]` before what is repeated, `map:` before the values
of a map.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "services" / "machinery" / "schema" / "wire_numbers.json"
TAG = "v0.36.2"
GROUPS = ("admissionregistration", "apps", "authentication", "authorization", "autoscaling", "batch",
          "certificates", "coordination", "core", "discovery", "events", "flowcontrol", "networking", "node",
          "policy", "rbac", "resource", "scheduling", "storage")  # fmt: skip
PACKAGES = (*(f"{group}/v1" for group in GROUPS), "autoscaling/v2")

MESSAGE = re.compile(r"^message (\w+) \{$(.*?)^\}$", re.M | re.S)
FIELD = re.compile(
    r"^  (?:(optional|repeated|required) )?(map<string, ([.\w]+)>|[.\w]+) (\w+) = (\d+);", re.M
)
STRUCT = re.compile(r"^type (\w+) struct \{$(.*?)^\}$", re.M | re.S)
INLINE = re.compile(r'`json:",inline" protobuf:"bytes,(\d+),')
# What JSON writes as one value; the decoder knows them by these names.
LEAVES = {
    "meta.v1.Time": "time", "meta.v1.MicroTime": "microtime", "meta.v1.Duration": "duration",
    "meta.v1.FieldsV1": "raw", "runtime.RawExtension": "raw", "resource.Quantity": "quantity",
    "intstr.IntOrString": "intorstring", "meta.v1.Verbs": "strings",
    "authentication.v1.ExtraValue": "strings",
    "authorization.v1.ExtraValue": "strings", "certificates.v1.ExtraValue": "strings",
}  # fmt: skip
SCALARS = {"string", "bool", "bytes", "int32", "int64", "uint32", "double"}


def read(git_dir: Path, path: str) -> str:
    command = ["git", "-C", str(git_dir), "show", f"{TAG}:{path}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def messages(package: str, proto: str, types: str) -> dict[str, dict[str, list[str]]]:
    inline = {m[1]: set(INLINE.findall(m[2])) for m in STRUCT.finditer(types)}
    found = {}
    for message in MESSAGE.finditer(re.sub(r"^ *//.*$", "", proto, flags=re.M)):
        fields = {}
        for label, whole, value, name, number in FIELD.findall(message[2]):
            kind = "map:" + resolve(package, value) if value else resolve(package, whole)
            wire = "" if number in inline.get(message[1], ()) else name
            fields[number] = [wire, "[]" + kind if label == "repeated" else kind]
        if f"{package}.{message[1]}" not in LEAVES:
            found[f"{package}.{message[1]}"] = fields
    return found


def resolve(package: str, name: str) -> str:
    if name in SCALARS:
        return name
    match = re.fullmatch(
        r"\.k8s\.io\.(?:api|apimachinery\.pkg\.(?:apis|api|util)|apimachinery\.pkg)\.(.+)", name
    )
    full = match[1] if match else f"{package}.{name}"
    return LEAVES.get(full, full)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--api", type=Path, required=True)
    parser.add_argument("--apimachinery", type=Path, required=True)
    arguments = parser.parse_args()
    sources = [(path.replace("/", "."), arguments.api, path) for path in PACKAGES]
    sources.append(("meta.v1", arguments.apimachinery, "pkg/apis/meta/v1"))
    made: dict[str, dict[str, list[str]]] = {}
    for package, git_dir, path in sources:
        proto, types = read(git_dir, f"{path}/generated.proto"), read(git_dir, f"{path}/types.go")
        made |= messages(package, proto, types)
    lines = [f'"{name}":{json.dumps(made[name], separators=(",", ":"))}' for name in sorted(made)]
    TARGET.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{len(lines)} messages")


if __name__ == "__main__":
    main()
