"""Where the shared data is, for the tests that need it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # a spinning wait is 2 to 8 times slower


@pytest.fixture(scope="session")
def shared() -> Path:
    """The shared data folder; skips where it is absent."""
    root = Path(__file__).resolve().parent.parent
    folder = Path(os.environ.get("SEDIC_SHARED", root.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"needs the shared data folder (SEDIC_SHARED), not found at {folder}")
    return folder
