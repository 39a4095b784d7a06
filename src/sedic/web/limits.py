"""Limits of the page's server and of its visitors' requests."""

from __future__ import annotations

from dataclasses import dataclass

MIN_BYTES = 100  # of the slider
MAX_BYTES = 4_000


@dataclass(frozen=True)
class Limits:
    """Limits of a server.

    ``pixels``: photographs with more are made smaller, ``.sedic`` files with more are refused.
    ``upload_bytes``: of one request. ``stored_bytes``: of all files of all visitors. ``waiting``:
    requests in the queue; one is worked on at a time. ``seconds``: after so many, no further stage
    begins. ``keep_seconds``: after so many, a visitor's files are deleted.
    """

    pixels: int = 1_500_000
    upload_bytes: int = 32 << 20
    stored_bytes: int = 1 << 30
    waiting: int = 8
    seconds: float = 300
    keep_seconds: int = 600
