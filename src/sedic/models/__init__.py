"""The networks: what synthesis runs, where it comes from, and how it is loaded."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from sedic.semantics import SedicError

if TYPE_CHECKING:
    from sedic.models.networks import Networks


@cache
def networks_of(profile: str) -> Networks:
    """The networks of a profile, loaded once, on this machine's fastest device.

    ``SedicError`` with the command that gets them where they are missing.
    """
    raise SedicError(f"profile {profile!r} has no networks for synthesis yet")
