"""The networks: what synthesis runs, where it comes from, and how it is loaded."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from sedic import profiles
from sedic.errors import SedicError

if TYPE_CHECKING:
    from sedic.models.interface import Networks


@cache
def networks_of(profile: str) -> Networks:
    """The networks of a profile, loaded once, on this machine's fastest device.

    ``SedicError`` with the command that gets them where they are missing.
    """
    from sedic.models import diffusion, mini, registry
    from sedic.models.precision import fastest

    known = profiles.load(profile)
    if not known.restores:
        raise SedicError(f"profile {profile!r} has no networks for synthesis")
    device, dtype = fastest()
    if "restorer" in known.weights:
        vae, restorer = known.weights["vae"].path(), known.weights["restorer"].path()
        return mini.load(vae, restorer, dtype).to(device, dtype)
    return diffusion.load(registry.require(profile), dtype).to(device, dtype)


def tokenizer_of(profile: str) -> Any | None:
    """The tokenizer with which a profile's decoder reads texts; None where that is not here."""
    from sedic.models import diffusion, mini, registry

    known = profiles.load(profile)
    if "restorer" in known.weights:
        return mini.load_tokenizer(known.weights["restorer"].path())
    if not (known.restores and all(model.here for model in registry.select(profile))):
        return None
    return diffusion.load_tokenizer(registry.require(profile))
