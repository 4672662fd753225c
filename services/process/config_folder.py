"""Where the data of config/ is: image catalogue, add-ons."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def config_folder(part: str) -> Path:
    """Beside the code in a checkout, else where an installation puts it; ORRERY_CONFIG overrides both.

    The folder need not exist: what is not there is not used.
    """
    named = os.environ.get("ORRERY_CONFIG")
    checkout = Path(__file__).resolve().parents[2] / "config"
    candidates = [*([Path(named)] if named else []), checkout, Path(sys.prefix) / "share" / "orrery"]
    return next((folder / part for folder in candidates if (folder / part).is_dir()), checkout / part)
