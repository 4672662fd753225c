"""Records what real shells answer to the command lines of tests/contract/shell.

    BUSYBOX=/path/to/busybox python scripts/record_shell.py

dash, bash and busybox of Debian stable are the yardstick; without BUSYBOX the one of the PATH is asked.
Scripts run with the rights of whoever calls this, in a temporary folder.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.contract.shell import RECORDED, SHELLS, RealShells, cases, recorded


def main() -> None:
    shells = RealShells()
    missing = [name for name in SHELLS if not shells.paths[name]]
    if missing:
        raise SystemExit(f"not on this machine: {', '.join(missing)}")
    known = recorded() if "--new" in sys.argv and RECORDED.exists() else {}
    rows = []
    for shell in SHELLS:
        for case in cases(shell):
            answer = known.get(case.key) or shells.ask(case)
            row: dict[str, object] = {"shell": shell, "script": case.script}
            if case.stdin:
                row["stdin"] = case.stdin
            if case.files:
                row["files"] = case.files
            rows.append({**row, "status": answer.status, "out": answer.out, "err": answer.err})
    shells.close()
    RECORDED.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    print(f"{len(rows)} command lines recorded in {RECORDED}")


if __name__ == "__main__":
    main()
