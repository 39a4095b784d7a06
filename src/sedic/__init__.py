"""sedic: a picture as one to three kilobytes of meaning, and back.

>>> import sedic
>>> picture = sedic.load_picture("photo.jpg")               # doctest: +SKIP
>>> data = sedic.compress(picture, bpp=0.03)                # doctest: +SKIP
>>> decoded = sedic.decompress(data)                        # doctest: +SKIP

Everything here is imported when first used: ``import sedic`` costs nothing.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sedic.codec import Codec as Codec
    from sedic.codec import compress as compress
    from sedic.codec import decompress as decompress
    from sedic.codec import inspect as inspect
    from sedic.codec import preview as preview
    from sedic.codec import stages as stages
    from sedic.errors import SedicError as SedicError
    from sedic.picture import load_picture as load_picture
    from sedic.picture import save_picture as save_picture
    from sedic.semantics import ObjectLayer as ObjectLayer
    from sedic.semantics import Rate as Rate
    from sedic.semantics import SemanticImage as SemanticImage

__version__ = "0.1.0"

# Threads that wait must sleep: spinning costs small networks a factor of two to eight. It has to
# be said before torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

_HOME = {
    "Codec": "sedic.codec",
    "compress": "sedic.codec",
    "decompress": "sedic.codec",
    "inspect": "sedic.codec",
    "preview": "sedic.codec",
    "stages": "sedic.codec",
    "load_picture": "sedic.picture",
    "save_picture": "sedic.picture",
    "ObjectLayer": "sedic.semantics",
    "Rate": "sedic.semantics",
    "SedicError": "sedic.errors",
    "SemanticImage": "sedic.semantics",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'sedic' has no attribute {name!r}")
