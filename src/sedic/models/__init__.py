"""The networks: what synthesis runs, where it comes from, and how it is loaded."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from sedic import profiles
from sedic.errors import SedicError

if TYPE_CHECKING:
    from sedic.models.networks import Networks


@cache
def networks_of(profile: str, device: str = "auto", dtype: str = "auto") -> Networks:
    """The networks of a profile, loaded once.

    ``device`` and ``dtype`` are those of ``precision.placement``: by default the fastest here.
    ``SedicError`` with the command that gets the networks where they are missing.
    """
    from sedic.models import lora, mini, networks, registry
    from sedic.models.precision import placement

    known = profiles.load(profile)
    if not known.restores:
        raise SedicError(f"profile {profile!r} has no networks for synthesis")
    place = placement(device, dtype)
    if "restorer" in known.weights:
        found = mini.load(known.weights["vae"].path(), known.weights["restorer"].path())
    else:
        found = networks.load(registry.require(profile), place.dtype)
        for model in registry.select(profile):
            if model.lora:
                lora.fold(found.unet, model.path / model.files[0].ready, model.lora)
    return found.to(place.device, place.dtype, place.vae_dtype)


def tokenizer_of(profile: str) -> Any | None:
    """The tokenizer with which a profile's decoder reads texts; None where that is not here."""
    from sedic.models import mini, networks, registry

    known = profiles.load(profile)
    if "restorer" in known.weights:
        return mini.load_tokenizer(known.weights["restorer"].path())
    if not (known.restores and all(model.here for model in registry.select(profile))):
        return None
    return networks.load_tokenizer(registry.require(profile))
