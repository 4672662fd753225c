"""The flags that are the kubelet's own, with upstream's names, and the configuration they make."""

from __future__ import annotations

import argparse
from pathlib import Path

from services.kubelet import eviction
from services.kubelet.configuration import KubeletConfiguration
from services.machinery import duration, quantity
from services.process.run import Fatal

PULLS_MAX = 16  # at once on one node, where they are not serialized


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--pod-manifest-path", default="", help="folder of static Pods; default: below the root directory"
    )
    parser.add_argument("--file-check-frequency", default="20s", help="how often to look there anyway")
    parser.add_argument(
        "--eviction-hard", default=eviction.DEFAULT_HARD_TEXT.replace("%", "%%"), help="signal<quantity,…"
    )
    parser.add_argument("--eviction-soft", default="", help="likewise, with a grace period each")
    parser.add_argument("--eviction-soft-grace-period", default="", help="signal=duration,…")
    parser.add_argument("--eviction-minimum-reclaim", default="", help="signal=quantity,…")
    parser.add_argument(
        "--eviction-pressure-transition-period",
        default="5m0s",
        help="how long conditions outlast",
    )
    parser.add_argument("--eviction-max-pod-grace-period", type=int, default=0, help="seconds, of soft ones")
    parser.add_argument("--system-reserved", default="", help="resource=quantity,… kept back from Pods")
    parser.add_argument("--kube-reserved", default="", help="likewise")
    parser.add_argument("--image-gc-high-threshold", type=int, default=85, help="percent of the disk")
    parser.add_argument("--image-gc-low-threshold", type=int, default=80, help="percent of the disk")
    parser.add_argument("--minimum-image-ttl-duration", default="2m0s", help="an image's least age")
    parser.add_argument("--container-log-max-size", default="10Mi", help="then a log is rotated")
    parser.add_argument(
        "--container-log-max-files", type=int, default=5, help="of each container, 2 at least"
    )
    parser.add_argument(
        "--serialize-image-pulls", choices=("true", "false"), default="true", help="one by one"
    )
    parser.add_argument("--shutdown-grace-period", default="0s", help="of a graceful node shutdown")
    parser.add_argument("--shutdown-grace-period-critical-pods", default="0s", help="critical Pods' part")


def configuration(flags: argparse.Namespace, root: Path) -> KubeletConfiguration:
    """Fatal, in one sentence, for what makes no sense."""
    try:
        reclaim = _pairs(flags.eviction_minimum_reclaim)
        grace = {key: _seconds(text) for key, text in _pairs(flags.eviction_soft_grace_period).items()}
        hollow = bool(flags.nodes)
        default = None if hollow else root / "etc" / "kubernetes" / "manifests"
        return KubeletConfiguration(
            eviction_hard=eviction.parse(flags.eviction_hard.replace("%%", "%"), reclaim=reclaim),
            eviction_soft=eviction.parse(flags.eviction_soft, grace=grace, reclaim=reclaim),
            pressure_transition_seconds=_seconds(flags.eviction_pressure_transition_period),
            max_pod_grace_seconds=flags.eviction_max_pod_grace_period,
            system_reserved=_quantities(flags.system_reserved),
            kube_reserved=_quantities(flags.kube_reserved),
            image_gc_high_percent=flags.image_gc_high_threshold,
            image_gc_low_percent=flags.image_gc_low_threshold,
            image_minimum_age_seconds=_seconds(flags.minimum_image_ttl_duration),
            shutdown_grace_seconds=int(_seconds(flags.shutdown_grace_period)),
            shutdown_critical_seconds=int(_seconds(flags.shutdown_grace_period_critical_pods)),
            manifests=Path(flags.pod_manifest_path).absolute() if flags.pod_manifest_path else default,
            file_check_seconds=_seconds(flags.file_check_frequency),
            container_log_bytes_max=_log_size(flags.container_log_max_size),
            container_log_files_max=_log_files(flags.container_log_max_files),
            parallel_pulls=1 if flags.serialize_image_pulls == "true" else PULLS_MAX,
        )
    except ValueError as error:
        raise Fatal(f"a flag of the kubelet makes no sense: {error}") from error


def _pairs(text: str) -> dict[str, str]:
    found = {}
    for pair in filter(None, text.split(",")):
        key, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"{pair!r} is not KEY=VALUE")
        found[key] = value
    return found


def _quantities(text: str) -> dict[str, str]:
    found = _pairs(text)
    for value in found.values():
        quantity.parse(value)
    return found


def _seconds(text: str) -> float:
    return duration.parse(text)


def _log_size(text: str) -> int:
    size = quantity.value(text)
    if size <= 0:
        raise ValueError(f"--container-log-max-size must be positive, not {text}")
    return size


def _log_files(count: int) -> int:
    if count <= 1:
        raise ValueError("--container-log-max-files must be greater than 1")
    return count
