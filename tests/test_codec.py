"""The codec as a library: rate control, equality, what ``import sedic`` costs."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from skimage import data as samples

import sedic
from sedic.analysis import Description
from sedic.codec import Codec, rate_for
from sedic.rate import SEMANTIC_SHARE, Layers, choose, ladder
from sedic.reference.external import External
from sedic.reference.pixel import Pixel
from sedic.semantics import Rate, SedicError


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return samples.chelsea()


@pytest.mark.parametrize("bpp", [0.02, 0.03, 0.05])
def test_the_limit_is_kept_and_used(picture: np.ndarray, bpp: float) -> None:
    data = sedic.compress(picture, bpp=bpp)
    limit = int(bpp * picture.shape[0] * picture.shape[1] / 8)
    assert 0.8 * limit < len(data) <= limit
    assert sedic.decompress(data).shape == picture.shape
    assert sum(sedic.inspect(data).parts().values()) == len(data)


def test_compress_is_deterministic(picture: np.ndarray) -> None:
    assert sedic.compress(picture, bpp=0.03) == sedic.compress(picture, bpp=0.03)


def test_the_preview_is_what_the_decoder_shows(picture: np.ndarray) -> None:
    done = Codec().compress(picture, rate_for(451, 300, bpp=0.05))
    assert np.array_equal(done.preview, sedic.decompress(done.data))
    assert sedic.inspect(done.data).unpack() == done.image


@pytest.mark.parametrize("codec", [Pixel(), External()])
def test_other_reference_codecs(picture: np.ndarray, codec) -> None:
    done = Codec(reference=codec).compress(picture, rate_for(451, 300, max_bytes=1_500))
    assert len(done.data) <= 1_500
    assert sedic.inspect(done.data).reference_codec == codec.name
    assert np.array_equal(sedic.decompress(done.data), done.preview)


def test_a_caller_s_own_words(picture: np.ndarray) -> None:
    own = Description("Ein Kater schaut in die Kamera. 🐈")
    data = sedic.compress(picture, bpp=0.05, description=own)
    assert sedic.inspect(data).unpack().overall == own.overall


def test_pictures_without_anything_to_say() -> None:
    grey = np.full((40, 60, 3), 128, np.uint8)
    done = Codec().compress(grey, Rate(200))
    assert done.image.objects == ()
    assert np.abs(done.preview.astype(int) - 128).max() < 12


def test_import_is_light() -> None:
    code = "import sedic, sys; print({'torch', 'skimage', 'scipy', 'PIL'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.strip() == b"set()"


def test_coding_needs_no_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from sedic.coding import container, gaussian, mask, text"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def fake_reference(level: int) -> bytes:
    return bytes(100 + 50 * level)


def cost(layers: Layers) -> int:
    words = layers.objects * layers.detail_words + layers.overall_words
    return 16 + words + 40 * layers.objects


@pytest.mark.parametrize("limit", range(116, 2_000, 37))
def test_rate_control_never_exceeds_and_says_why(limit: int) -> None:
    choice = choose(Rate(limit), cost, fake_reference, 29)
    spoken = cost(choice.layers)
    assert spoken + len(choice.reference) <= limit
    next_level = choice.level + 1
    assert next_level == 29 or spoken + len(fake_reference(next_level)) > limit
    if choice.layers != Layers(0, 20, 0):
        assert spoken <= SEMANTIC_SHARE * limit
    assert len(choice.reasons) >= 3 and str(limit) in choice.reasons[0]


def test_more_room_never_says_less() -> None:
    said = [cost(choose(Rate(n), cost, fake_reference, 29).layers) for n in range(116, 3_000, 50)]
    assert said == sorted(said)
    rungs = [cost(layers) for layers in ladder(Rate(1_000))]
    assert rungs == sorted(rungs, reverse=True)


def test_the_smallest_possible_file_is_named() -> None:
    with pytest.raises(SedicError, match="smallest possible file of this picture has 116 bytes"):
        choose(Rate(115), cost, fake_reference, 29)
