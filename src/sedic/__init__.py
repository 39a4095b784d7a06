"""sedic: a picture as 100 bytes to a few kilobytes of meaning, and back.

>>> import sedic
>>> data = sedic.compress("photo.jpg", bpp=0.03)            # doctest: +SKIP
>>> sedic.save_picture(sedic.decompress(data), "out.png")   # doctest: +SKIP

Names are imported when they are first used, so that ``import sedic`` costs nothing.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from sedic._version import __version__ as __version__

if TYPE_CHECKING:
    from sedic.coding.container import Container as Container
    from sedic.decoder import Decoder as Decoder
    from sedic.describe.description import Describer as Describer
    from sedic.describe.description import Description as Description
    from sedic.encoder import Compressed as Compressed
    from sedic.encoder import Encoder as Encoder
    from sedic.errors import DamagedFileError as DamagedFileError
    from sedic.errors import DescriberError as DescriberError
    from sedic.errors import LimitError as LimitError
    from sedic.errors import MissingWeightsError as MissingWeightsError
    from sedic.errors import OutOfMemoryError as OutOfMemoryError
    from sedic.errors import OutputError as OutputError
    from sedic.errors import SedicError as SedicError
    from sedic.errors import UnsuitableInputError as UnsuitableInputError
    from sedic.parts import Part as Part
    from sedic.picture import load_picture as load_picture
    from sedic.picture import save_picture as save_picture
    from sedic.profile import Profile as Profile
    from sedic.rate import rate_for as rate_for
    from sedic.reference import ReferenceCodec as ReferenceCodec
    from sedic.semantics import Carried as Carried
    from sedic.semantics import Mask as Mask
    from sedic.semantics import ObjectLayer as ObjectLayer
    from sedic.semantics import Rate as Rate
    from sedic.semantics import ReferenceImage as ReferenceImage
    from sedic.semantics import SemanticImage as SemanticImage
    from sedic.settings import Settings as Settings
    from sedic.shortcuts import carried as carried
    from sedic.shortcuts import compress as compress
    from sedic.shortcuts import decompress as decompress
    from sedic.shortcuts import describe_picture as describe_picture
    from sedic.shortcuts import edit as edit
    from sedic.shortcuts import fit_words as fit_words
    from sedic.shortcuts import inspect as inspect
    from sedic.shortcuts import preview as preview
    from sedic.shortcuts import read as read
    from sedic.shortcuts import segment as segment
    from sedic.shortcuts import stages as stages
    from sedic.synthesis.stages import Stage as Stage

# Both must be set before torch is loaded. Waiting threads must sleep: spinning makes small networks
# two to eight times slower. oneDNN caches a compiled kernel for each picture size; its default of
# 1024 kernels takes hundreds of megabytes in a run over many sizes.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "128")

_HOME = {
    "sedic.coding.container": "Container",
    "sedic.decoder": "Decoder",
    "sedic.describe.description": "Describer Description",
    "sedic.encoder": "Compressed Encoder",
    "sedic.errors": "DamagedFileError DescriberError LimitError MissingWeightsError "
    "OutOfMemoryError OutputError SedicError UnsuitableInputError",
    "sedic.parts": "Part",
    "sedic.picture": "load_picture save_picture",
    "sedic.profile": "Profile",
    "sedic.rate": "rate_for",
    "sedic.reference": "ReferenceCodec",
    "sedic.semantics": "Carried Mask ObjectLayer Rate ReferenceImage SemanticImage",
    "sedic.settings": "Settings",
    "sedic.shortcuts": "carried compress decompress describe_picture edit fit_words inspect "
    "preview read segment stages",
    "sedic.synthesis.stages": "Stage",
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names.split()}
__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(import_module(_MODULE_OF[name]), name)
    raise AttributeError(f"module 'sedic' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
