"""The codec as a library: rate control, equality, what ``import sedic`` costs."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from skimage import data as samples

import sedic
from sedic import Decoder, Encoder, Profile, methods
from sedic.describe.description import Description
from sedic.errors import DamagedFileError, LimitError, MissingWeightsError, SedicError
from sedic.rate import (
    NOTHING,
    SEMANTIC_SHARE,
    Choice,
    Layers,
    choose,
    ladder,
    rate_for,
)
from sedic.reference.external import External
from sedic.reference.pixel import Pixel
from sedic.semantics import (
    GRID,
    Mask,
    ObjectLayer,
    Rate,
)
from sedic.store import Pin

if TYPE_CHECKING:
    from sedic.models.interface import Networks


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return samples.chelsea()


@pytest.mark.parametrize("bpp", [0.02, 0.03, 0.05])
def test_the_limit_is_kept_and_used(picture: np.ndarray, bpp: float) -> None:
    data = sedic.compress(picture, bpp=bpp)
    limit = int(bpp * picture.shape[0] * picture.shape[1] / 8)
    assert 0.8 * limit < len(data) <= limit
    assert sedic.preview(data).shape == picture.shape
    assert sum(sedic.inspect(data).parts().values()) == len(data)


def test_compress_is_deterministic(picture: np.ndarray) -> None:
    assert sedic.compress(picture, bpp=0.03) == sedic.compress(picture, bpp=0.03)


def test_the_preview_is_the_reference_image(picture: np.ndarray) -> None:
    done = Encoder(Profile.load()).compress(picture, rate_for(451, 300, bpp=0.05))
    assert np.array_equal(done.preview, sedic.preview(done.data))
    first = next(sedic.stages(done.data))
    assert (first.number, first.title) == (0, "reference")
    assert np.array_equal(first.picture, done.preview)
    assert sedic.read(done.data) == Description(done.image.overall, done.image.objects)


@pytest.mark.parametrize("codec", [Pixel(), External()])
def test_other_reference_codecs(picture: np.ndarray, codec) -> None:
    profile = Profile.load("mini", reference=codec)
    done = Encoder(profile).compress(picture, rate_for(451, 300, max_bytes=1_500))
    assert len(done.data) <= 1_500
    assert sedic.inspect(done.data).reference_codec == codec.name
    assert np.array_equal(sedic.preview(done.data), done.preview)


def test_a_caller_s_own_words(picture: np.ndarray) -> None:
    cells = np.zeros([-(-side // GRID) for side in picture.shape[:2]], np.bool_)
    cells[20:30, 25:40] = True
    nose = ObjectLayer("Nase", "Nase, rosa und feucht", Mask.of(cells))
    own = Description("Ein Kater schaut in die Kamera. 🐈", (nose,))
    image = sedic.read(sedic.compress(picture, bpp=0.05, description=own))
    # Unlike measured ones, they are sent whether or not they pay for their bytes.
    assert (image.overall, image.objects) == (own.overall, own.objects)


def test_pictures_without_anything_to_say() -> None:
    grey = np.full((40, 60, 3), 128, np.uint8)
    done = Encoder(Profile.load()).compress(grey, Rate(200))
    assert done.image.objects == ()
    assert np.abs(done.preview.astype(int) - 128).max() < 12


PIXEL = Profile.load("mini", reference=Pixel())
SMALL = (160, 128)
FAST = {"object_steps": 2, "last_steps": 2, "iterations": 1, "last_cfg": 1.0}


def box(left: int, right: int) -> Mask:
    cells = np.zeros((16, 20), np.bool_)
    cells[4:12, left:right] = True
    return Mask.of(cells)


WORDS_OF_CHELSEA = Description(
    "A cat.", (ObjectLayer("cat", "cat, brown", Mask.of(np.ones((38, 57), np.bool_))),)
)
WORDS = Description(
    "A street in the evening.",
    (
        ObjectLayer("red bus", "red bus, an old one", box(2, 9)),
        ObjectLayer("tree", "tree without leaves", box(11, 18)),
    ),
)


def small(picture: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(picture[: SMALL[1], : SMALL[0]])


def made(picture: np.ndarray, profile: Profile, **changes: Any) -> bytes:
    return Encoder(profile).compress(small(picture), Rate(700), WORDS, **changes).data


def test_the_decoder_goes_from_the_reference_object_by_object(
    picture: np.ndarray, tiny_networks: Callable[..., Networks]
) -> None:
    profile = Profile.load("mini", reference=Pixel(), networks=tiny_networks())
    codec = Decoder(profile)
    data = made(picture, profile, settings=FAST)
    stages = list(codec.stages(data))
    assert [stage.number for stage in stages] == [0, 1, 2, 3]
    assert {stage.count for stage in stages} == {3}
    assert [stage.title for stage in stages[:3]] == ["reference", "red bus", "tree"]
    assert np.array_equal(stages[0].picture, codec.preview(data))
    assert np.array_equal(stages[-1].picture, codec.decompress(data))
    assert not np.array_equal(stages[-1].picture, stages[0].picture)
    again = made(picture, profile, settings=FAST, seed=1)
    assert not np.array_equal(stages[-1].picture, codec.decompress(again))


def test_settings_travel_and_defaults_cost_nothing(picture: np.ndarray) -> None:
    codec = PIXEL
    plain, changed = made(picture, codec), made(picture, codec, settings={"last_steps": 13})
    assert sedic.inspect(plain).settings == b""
    assert Decoder(codec).settings(changed).last_steps == 13
    assert sedic.inspect(changed).parts()["settings"] == 2
    with pytest.raises(SedicError, match=r"unknown setting 'last_step'; one of .*last_steps"):
        made(picture, codec, settings={"last_step": 13})
    with pytest.raises(SedicError, match="last_steps: 1000 is not"):
        made(picture, codec, settings={"last_steps": 1000})


def test_limits_are_checked_before_any_model_is_wanted(
    picture: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEDIC_MODELS", str(tmp_path))  # where there are none
    profile = Profile.load("sd21", reference=Pixel())
    codec = Decoder(profile)
    fine = sedic.inspect(made(picture, profile))
    with pytest.raises(SedicError, match="sedic models fetch sd21"):
        codec.decompress(fine.to_bytes())
    for number, value in ((0, 101), (1, 0), (4, 21), (11, 9), (99, 1)):
        asks_too_much = replace(fine, settings=bytes([number, value])).to_bytes()
        with pytest.raises(SedicError, match="setting"):
            next(codec.stages(asks_too_much))
        assert codec.preview(asks_too_much).shape == small(picture).shape


def test_a_restorer_that_is_not_the_file_s_is_refused(picture: np.ndarray) -> None:
    profile = Profile.load("sd21", reference=Pixel())
    codec = Decoder(profile)
    fine = sedic.inspect(made(picture, profile))
    first, second = fine.mark
    other = replace(fine, mark=bytes([first, second ^ 1])).to_bytes()
    both = f"{bytes([first, second ^ 1]).hex()}, here {fine.mark.hex()}"
    with pytest.raises(SedicError, match=f"another restorer.*{both}.*--preview"):
        codec.decompress(other)
    assert np.array_equal(codec.preview(other), codec.preview(fine.to_bytes()))
    tables = replace(fine, mark=bytes([first ^ 1, second])).to_bytes()
    with pytest.raises(SedicError, match="other weights"):
        codec.preview(tables)


def test_files_made_before_there_was_a_restorer_are_restored_by_any(picture: np.ndarray) -> None:
    sd21 = Profile.load("sd21")
    old = sd21.coding_fingerprint(bytes(32))[:2]
    assert old != sd21.mark(bytes(32))
    sd21.check(old, bytes(32), restored=True)


def test_misc_sends_blocks_and_image_text_no_objects(picture: np.ndarray) -> None:
    codec = PIXEL
    misc = sedic.inspect(made(picture, codec, method="misc"))
    assert (misc.method, misc.mask_coder, misc.object_count) == ("misc", "blocks", 2)
    assert misc.parts()["masks"] <= 12  # of 16 uncoded
    caption = sedic.inspect(made(picture, codec, method="image-text"))
    assert (caption.method, caption.object_count) == ("image-text", 0)
    assert caption.unpack(codec).overall == WORDS.overall
    with pytest.raises(SedicError, match="unknown method 'mics'; one of sedic, misc"):
        made(picture, codec, method="mics")


def test_methods_have_their_own_budgets_of_words() -> None:
    low = Rate.of_bpp(0.02, 768, 512)
    assert methods.method_named("sedic").budget(low) == low
    assert methods.method_named("misc").budget(low) == Rate(low.max_bytes, 3, 10, 50)
    assert methods.method_named("image-text").budget(low).max_objects == 0


def test_import_is_light() -> None:
    code = "import sedic, sys; print({'torch', 'skimage', 'scipy', 'PIL'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.strip() == b"set()"


def test_coding_needs_no_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from sedic.coding import container, gaussian, huffman, masks, primed, text\n"
        "from sedic import settings"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def fake_reference(level: int) -> bytes:
    return bytes(100 + 50 * level)


def cost(layers: Layers) -> int:
    words = layers.objects * layers.detail_words + layers.overall_words
    return 16 + words + 40 * layers.objects


class Fake:
    """A picture at one scale: half of it, or a quarter, ... costs so much less."""

    def __init__(self, scale: int = 0, carried_bytes: int = 0) -> None:
        self.scale, self.carried_bytes = scale, carried_bytes
        self.pixels = 100_000 >> 2 * scale

    def semantic_bytes(self, layers: Layers) -> int:
        return cost(layers)

    def reference(self, level: int) -> bytes:
        return fake_reference(level)[:: 2**self.scale]

    estimates = None


def chosen(limit: int) -> Choice:
    return choose(Rate(limit), [Fake()], 29)


@pytest.mark.parametrize("limit", range(116, 2_000, 37))
def test_rate_control_never_exceeds_and_says_why(limit: int) -> None:
    choice = chosen(limit)
    spoken = cost(choice.layers)
    assert spoken + len(choice.reference) <= limit
    next_level = choice.level + 1
    assert next_level == 29 or spoken + len(fake_reference(next_level)) > limit
    if choice.layers != NOTHING:
        assert spoken <= SEMANTIC_SHARE * limit
    assert len(choice.reasons) >= 3 and str(limit) in choice.reasons[0]


def test_sentences_are_short_where_their_bytes_would_show() -> None:
    words = [rate_for(768, 512, max_bytes=limit).overall_words for limit in (64, 127, 128, 222)]
    assert words == [12, 12, 30, 30]


def test_more_room_never_says_less() -> None:
    said = [cost(chosen(limit).layers) for limit in range(116, 3_000, 50)]
    assert said == sorted(said)
    rungs = [cost(layers) for layers in ladder(Rate(1_000))]
    assert rungs == sorted(rungs, reverse=True)


def test_the_smallest_possible_file_is_named() -> None:
    with pytest.raises(SedicError, match="smallest possible file of this picture has 116 bytes"):
        chosen(115)


@pytest.mark.parametrize("limit", [300, 777])
def test_what_is_carried_comes_first_and_the_rest_is_spent_as_without_it(limit: int) -> None:
    plain = chosen(limit)
    laden = choose(Rate(limit + 150), [Fake(carried_bytes=150)], 29)
    assert (laden.layers, laden.reference) == (plain.layers, plain.reference)
    assert any("150 bytes" in reason for reason in laden.reasons)
    with pytest.raises(SedicError, match=r"266 bytes, 150 of them of what travels"):
        choose(Rate(265), [Fake(carried_bytes=150)], 29)


def test_what_does_not_fit_is_coded_smaller() -> None:
    attempts = [Fake(scale) for scale in range(4)]
    wordless = [Rate(limit, 0, 3, 0) for limit in range(30, 2_000, 10)]
    scales = [choose(rate, attempts, 29, (6, 12)).scale for rate in wordless]
    assert scales == sorted(scales, reverse=True)
    assert {0, 1, 2, 3} == set(scales)
    for limit in range(30, 2_000, 37):
        choice = choose(Rate(limit), attempts, 29, (6, 12))
        assert cost(choice.layers) + len(choice.reference) <= limit
        if choice.scale < 2:
            assert choice.level >= (6, 12)[choice.scale]
    with pytest.raises(LimitError, match="29 bytes"):
        choose(Rate(28), attempts, 29, (6, 12))


def test_every_limit_from_64_bytes_on_is_met_at_every_size() -> None:
    rng = np.random.default_rng(0)
    profile = Profile.load("mini")
    for width, height in ((1, 1), (7, 5), (3000, 1), (600, 400), (1500, 1100)):
        noise = rng.integers(0, 256, (height, width, 3), np.uint8)
        done = Encoder(profile).compress(noise, Rate(64), Description("noise"))
        assert len(done.data) <= 64
        assert Decoder(profile).preview(done.data).shape == noise.shape


def test_a_bare_file_needs_a_decoder_that_knows(picture: np.ndarray) -> None:
    profile = Profile.load("mini")
    words = Description("A cat.")
    bare = Encoder(profile).compress(picture, Rate(400), words, bare=True)
    assert np.array_equal(Decoder(profile, bare=True).preview(bare.data), bare.preview)
    with pytest.raises(SedicError):
        Decoder(profile).preview(bare.data)
    rng = np.random.default_rng(0)
    for _ in range(10):
        damaged = bytearray(bare.data)
        damaged[rng.integers(4, len(damaged))] ^= 1 << rng.integers(8)
        with contextlib.suppress(SedicError):
            Decoder(profile, bare=True).preview(bytes(damaged))


def test_a_beginning_gives_the_words_and_then_a_better_picture(picture: np.ndarray) -> None:
    profile = Profile.load("mini")
    decoder = Decoder(profile)
    done = Encoder(profile).compress(picture, Rate(500), Description("A cat."))
    errors = []
    for share in (0.2, 0.5, 0.9, 1):
        found = decoder.partial(done.data[: int(share * len(done.data))], restored=False)
        assert found.words == "A cat."
        assert found.picture is not None and found.picture.shape == picture.shape
        errors.append(((found.picture.astype(float) - picture) ** 2).mean())
    assert found.complete and np.array_equal(found.picture, done.preview)
    assert errors == sorted(errors, reverse=True)
    with pytest.raises(DamagedFileError, match="too little"):
        decoder.partial(done.data[:8])
    with pytest.raises(DamagedFileError):
        decoder.preview(done.data[:-1])


def test_a_decoder_reads_the_files_of_its_own_profile_only(picture: np.ndarray) -> None:
    data = made(picture, PIXEL)
    with pytest.raises(MissingWeightsError, match=r"made with profile 'mini'.*'sd21'"):
        Decoder(Profile.load("sd21", reference=Pixel())).preview(data)


def test_networks_of_the_caller_leave_their_mark(
    picture: np.ndarray, tiny_networks: Callable[..., Networks]
) -> None:
    own = Profile.load("mini", reference=Pixel(), networks=tiny_networks())
    data = made(picture, own, settings=FAST)
    with pytest.raises(MissingWeightsError, match="another restorer"):
        Decoder(PIXEL).decompress(data)
    assert np.array_equal(Decoder(PIXEL).preview(data), Decoder(own).preview(data))


def test_every_changed_weight_file_is_refused(picture: np.ndarray, tmp_path: Path) -> None:
    """One changed byte of any file is one clear error, whoever reads the file."""
    data = sedic.compress(picture, bpp=0.05)
    for part, pin in Profile.load().store.pins.items():
        changed = bytearray(pin.path.read_bytes())
        changed[len(changed) // 2] ^= 1
        path = tmp_path / pin.path.name
        path.write_bytes(changed)
        profile = Profile.load()
        profile.store.pins[part] = Pin(path, pin.sha256)
        with pytest.raises(MissingWeightsError, match=f"{pin.path.name} are not this version's"):
            Encoder(profile).compress(picture, Rate(900), WORDS_OF_CHELSEA)
            Decoder(profile).decompress(data)


def test_the_caller_s_torch_state_changes_no_byte_and_comes_back(picture: np.ndarray) -> None:
    torch = pytest.importorskip("torch")
    expected = sedic.compress(picture, bpp=0.05)
    decoded = sedic.decompress(expected)
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"), torch.autocast("cpu", torch.bfloat16), torch.enable_grad():
            assert sedic.compress(picture, bpp=0.05) == expected
            assert np.array_equal(sedic.decompress(expected), decoded)
            assert torch.zeros(1).device.type == "meta" and torch.is_grad_enabled()
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_after_use_computes(picture: np.ndarray) -> None:
    code = (
        "import os, sys, signal, sedic, numpy as np\n"
        "picture = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)\n"
        "data = sedic.compress(picture, max_bytes=900)\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    signal.alarm(60)\n"
        "    os._exit(sedic.compress(picture, max_bytes=900) != data)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], env=environment, check=False
    )
    assert done.returncode == 0


def test_words_that_the_decoder_reads_are_told_apart() -> None:
    assert sedic.fit_words("a red bus in front of a house") == "a red bus in front of a house"
    long = "a bus and " * 60
    assert 0 < len(sedic.fit_words(long.strip())) < len(long)


def test_segmenting_says_what_it_needs(
    picture: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEDIC_MODELS", str(tmp_path))
    with pytest.raises(SedicError, match="sedic models fetch"):
        sedic.segment(picture, {"cat": "cat, brown"})


def test_everything_public_is_there() -> None:
    import pkgutil

    modules = {module.name for module in pkgutil.iter_modules(sedic.__path__)}
    assert not modules & set(sedic.__all__)  # importing a module would hide the name
    for name in sedic.__all__:
        assert getattr(sedic, name).__doc__, name
    assert set(sedic.__all__) <= set(dir(sedic))


def test_a_grey_picture_stays_grey_and_pays_nothing_for_it(picture: np.ndarray) -> None:
    grey = np.repeat(picture.mean(2, keepdims=True).astype(np.uint8), 3, 2)
    data = sedic.compress(grey, max_bytes=400, description=Description(""))
    assert len(data) <= 400 and sedic.inspect(data).grey
    for shown in (sedic.preview(data), sedic.decompress(data)):
        assert (shown[..., :1] == shown).all()
    assert sedic.inspect(data).parts()["header"] == 10
    assert not sedic.inspect(sedic.compress(picture, max_bytes=400)).grey
