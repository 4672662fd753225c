"""Every manifest of the books with a real kubectl: applied, or refused with upstream's reason."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.e2e.cluster import MANIFESTS, running
from tests.support import kubectl as real
from tests.support.kubectl import Done, Kubectl

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(not real.FOUND, reason="no kubectl here"),
    pytest.mark.skipif(not MANIFESTS.exists(), reason=f"the books' manifests are not at {MANIFESTS}"),
]

FILES = sorted(str(path.relative_to(MANIFESTS)) for path in MANIFESTS.rglob("*.yaml"))
# Of group versions that are gone: apps/v1beta2 since 1.16, Ingress in extensions/v1beta1 since 1.22,
# batch/v1beta1 since 1.25.
GONE = {
    "kubernetes-in-action/Chapter04/cronjob.yaml": (
        "batch-job-every-fifteen-minutes", "CronJob", "batch/v1beta1",
    ),
    "kubernetes-in-action/Chapter04/kubia-replicaset.yaml": ("kubia", "ReplicaSet", "apps/v1beta2"),
    "kubernetes-in-action/Chapter04/kubia-replicaset-matchexpressions.yaml": (
        "kubia", "ReplicaSet", "apps/v1beta2",
    ),
    "kubernetes-in-action/Chapter04/ssd-monitor-daemonset.yaml": ("ssd-monitor", "DaemonSet", "apps/v1beta2"),
    "kubernetes-in-action/Chapter05/kubia-ingress.yaml": ("kubia", "Ingress", "extensions/v1beta1"),
    "kubernetes-in-action/Chapter05/kubia-ingress-tls.yaml": ("kubia", "Ingress", "extensions/v1beta1"),
}  # fmt: skip
# A field that no version of Kubernetes has had: the book means publishNotReadyAddresses.
MISNAMED = "kubernetes-in-action/Chapter05/kubia-svc-publish-not-ready.yaml"
UNKNOWN = (
    'Error from server (BadRequest): error when creating "{path}": Service in version "v1" cannot be handled '
    'as a Service: strict decoding error: unknown field "spec.publishNotReadyEndpoints"\n'
)
UNDECLARED = (
    "Error from server: failed to create typed patch object (default/kubia-all; /v1, Kind=Service): "
    ".spec.publishNotReadyEndpoints: field not declared in schema\n"
)
APPLIED = re.compile(r"^\S+/\S+ (created|configured|unchanged|serverside-applied)( \(server dry run\))?$")


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    with running("--nodes", "1") as cluster:
        folder = tmp_path_factory.mktemp("manifests")
        each = Kubectl(real.NEWEST, cluster.home / "kubeconfig", folder)
        # Some are for a namespace that the reader makes before.
        for name in ("custom-namespace", "odd"):
            each("create", "namespace", name)
        yield each


def wanted_of(file: str, server_side: bool) -> str:
    """What kubectl says of a file that is refused; empty for the others."""
    if file == MISNAMED:
        return UNDECLARED if server_side else UNKNOWN.format(path=MANIFESTS / file)
    if file not in GONE:
        return ""
    name, kind, version = GONE[file]
    return (
        f'error: resource mapping not found for name: "{name}" namespace: "" from "{MANIFESTS / file}": '
        f'no matches for kind "{kind}" in version "{version}"\nensure CRDs are installed first\n'
    )


def judge(file: str, done: Done, server_side: bool) -> str:
    """What is wrong with how a file was answered, or nothing."""
    wanted = wanted_of(file, server_side)
    errors = "".join(line for line in done.err.splitlines(keepends=True) if not line.startswith("Warning: "))
    lines = done.out.splitlines()
    if wanted:
        fine = done.code == 1 and errors == wanted and not lines
    else:
        fine = done.code == 0 and not errors and bool(lines) and all(map(APPLIED.match, lines))
    return "" if fine else f"{file}: {done}"


def place(file: str, flags: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Neighbours are variants of one object: only every other one stands in a namespace of its own."""
    if flags or "namespace:" in (MANIFESTS / file).read_text():
        return ()
    return ("-n", "odd") if FILES.index(file) % 2 else ()


@pytest.mark.parametrize("flags", [("--dry-run=server",), ("--server-side", "--dry-run=server"), ()], ids=str)
def test_all_are_applied_or_refused_as_upstream_does(kubectl: Kubectl, flags: tuple[str, ...]) -> None:
    assert set(FILES) >= GONE.keys()
    answers = kubectl.all(
        [("apply", *place(file, flags), *flags, "-f", str(MANIFESTS / file)) for file in FILES]
    )
    wrong = [judge(file, done, "--server-side" in flags) for file, done in zip(FILES, answers, strict=True)]
    wrong = [what for what in wrong if what]
    assert not wrong, "\n".join(wrong)
