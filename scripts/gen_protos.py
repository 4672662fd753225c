"""Writes `services/pb/`: message and service stubs, with types, from `protos/`.

python scripts/gen_protos.py           rewrite the stubs
python scripts/gen_protos.py --check   exit 1 if they are not current
"""

from __future__ import annotations

import filecmp
import shutil
import sys
import tempfile
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

ROOT = Path(__file__).parent.parent
PROTOS = ROOT / "protos"
TARGET = ROOT / "services" / "pb"


def generate(target: Path) -> None:
    sources = sorted(PROTOS.rglob("*.proto"))
    # The virtual path makes generated modules import each other as services.pb.…
    binaries = Path(sys.executable).parent
    arguments = [
        "protoc",
        f"--plugin=protoc-gen-mypy={binaries / 'protoc-gen-mypy'}",
        f"--plugin=protoc-gen-mypy_grpc={binaries / 'protoc-gen-mypy_grpc'}",
        f"-Iservices/pb={PROTOS}",
        f"-I{Path(grpc_tools.__file__).parent / '_proto'}",
        f"--python_out={target}",
        f"--mypy_out=quiet:{target}",
        f"--grpc_python_out={target}",
        f"--mypy_grpc_out=quiet:{target}",
        *(f"services/pb/{source.relative_to(PROTOS)}" for source in sources),
    ]
    if protoc.main(arguments):
        raise SystemExit("gen_protos: protoc failed")
    for folder in {path.parent for path in target.rglob("*_pb2.py")}:
        while folder != target:
            (folder / "__init__.py").touch()
            folder = folder.parent


def stale(fresh: Path) -> list[Path]:
    def files(root: Path) -> set[Path]:
        return {path.relative_to(root) for path in root.rglob("*.py*") if "__pycache__" not in path.parts}

    new, old = files(fresh), files(TARGET)
    return sorted(new ^ old) + [
        path for path in sorted(new & old) if not filecmp.cmp(fresh / path, TARGET / path, shallow=False)
    ]


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        fresh = Path(folder) / "services" / "pb"
        for package in (fresh, Path(folder) / "services"):
            (package / "__init__.py").touch()
        if "--check" in sys.argv:
            for path in (changed := stale(fresh)):
                print(f"gen_protos: services/pb/{path} is not current; run `make generate`", file=sys.stderr)
            return 1 if changed else 0
        shutil.rmtree(TARGET, ignore_errors=True)
        shutil.copytree(fresh, TARGET)
    return 0


if __name__ == "__main__":
    sys.exit(main())
