"""A hub with its data in a folder of the test."""

from __future__ import annotations

from pathlib import Path
from random import Random

from services.registry.accounts import Accounts, Policy, load_policy
from services.registry.blob_store import BlobStore
from services.registry.catalogue import default_folder, load
from services.registry.hub import Hub
from services.registry.repositories import Repositories
from tests.support.clock import ManualClock


def make_hub(
    data: Path, images: Path | None = None, *, bytes_max: int = 10**9, policy: Policy | None = None
) -> Hub:
    data.mkdir(parents=True, exist_ok=True)
    folder = images or default_folder()
    return Hub(
        load(folder),
        Accounts(policy or load_policy(folder.parent / "registry.yaml"), data, b"key"),
        BlobStore(data, ManualClock(), Random(1), bytes_max),
        Repositories(data),
    )
