"""compact: exact latents on any machine, every size, every rate, hostile bytes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from skimage import data as samples

from sedic.coding.range_coder import PrefixDecoder, RangeDecoder
from sedic.errors import SedicError
from sedic.models.tiled_run import in_tiles
from sedic.profile import Profile
from sedic.reference import compact
from sedic.reference.compact import Compact, LatentCoder
from sedic.reference.compact_network import (
    LEVELS,
    STRIDE,
    Analysis,
    CompactConfig,
    CompactNetwork,
    Synthesis,
)

# Prints a hash of the latent in the stream sys.argv[2] of the network in the file sys.argv[1].
LATENT = """
import hashlib, sys, torch
from sedic.coding.range_coder import RangeDecoder
from sedic.reference.compact import load_compact
from sedic.reference.compact_latent import LatentCoder
coder = LatentCoder(*load_compact(__import__("pathlib").Path(sys.argv[1])))
latent = torch.cat(coder.decode(RangeDecoder(bytes.fromhex(sys.argv[2])), 17, 9, 14))
print(hashlib.sha256(latent.numpy().astype("<f4").tobytes()).hexdigest())
"""


def small_network() -> CompactNetwork:
    """A narrow random network whose latents are lively enough to cost bytes."""
    torch.manual_seed(5)
    config = CompactConfig(
        latent=12,
        hyper=4,
        wide=16,
        middle=16,
        narrow=8,
        entropy=8,
        encoder_blocks=(1, 1),
        decoder_blocks=(1, 1, 1),
    )
    network = CompactNetwork(config)
    with torch.no_grad():
        network.analysis.layers[-1].weight.mul_(30)
        network.entropy.hyper_analysis[-1].weight.mul_(10)
        network.level_bias.normal_()
        network.entropy.level_bias.normal_()
    return network


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("compact") / "small.safetensors"
    compact.save_compact(small_network(), path)
    return path


@pytest.fixture(scope="module")
def shipped() -> Compact:
    return Compact(Profile.load("mini").store.path("compact"))


@pytest.fixture(scope="module")
def lively_latent() -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(1, 12, 9, 14) * torch.logspace(-1, 1.2, 12).view(1, -1, 1, 1)


@pytest.mark.parametrize("level", [0, 1, 101, LEVELS - 1])
def test_latents_survive_coding(weights: Path, lively_latent: torch.Tensor, level: int) -> None:
    coder = LatentCoder(*compact.load_compact(weights))
    with torch.inference_mode():
        data, latent = coder.encode(lively_latent, level)
        decoded = coder.decode(RangeDecoder(data), level, 9, 14)
    assert len(data) > 100
    assert all(map(torch.equal, decoded, latent))


def test_latents_larger_than_a_tile_survive_coding(weights: Path) -> None:
    torch.manual_seed(2)
    latent = torch.randn(1, 12, 131, 141) * 3
    coder = LatentCoder(*compact.load_compact(weights))
    with torch.inference_mode():
        data, encoded = coder.encode(latent, 5)
        assert all(map(torch.equal, coder.decode(RangeDecoder(data), 5, 131, 141), encoded))


@pytest.mark.parametrize(
    ("threads", "torch_isa", "onednn_isa"),
    [("1", "default", "SSE41"), ("2", "avx2", "AVX2"), ("2", None, "DEFAULT")],
)
def test_latents_are_the_same_on_other_machines(
    weights: Path,
    lively_latent: torch.Tensor,
    threads: str,
    torch_isa: str | None,
    onednn_isa: str,
) -> None:
    coder = LatentCoder(*compact.load_compact(weights))
    with torch.inference_mode():
        data, encoded = coder.encode(lively_latent, 17)
    latent = torch.cat(encoded).numpy()
    environment = os.environ | {"OMP_NUM_THREADS": threads, "ONEDNN_MAX_CPU_ISA": onednn_isa}
    if torch_isa:
        environment["ATEN_CPU_CAPABILITY"] = torch_isa
    command = [sys.executable, "-c", LATENT, str(weights), data.hex()]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == hashlib.sha256(latent.astype("<f4").tobytes()).hexdigest()


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (17, 5), (64, 64), (130, 97)])
def test_any_size_comes_back(weights: Path, size: tuple[int, int]) -> None:
    width, height = size
    picture = samples.astronaut()[:height, :width]
    codec = Compact(weights)
    encode = codec.prepare(picture)
    for level in (0, LEVELS - 1):
        decoded = codec.decode(encode(level), width, height)
        assert decoded.shape == picture.shape and decoded.dtype == np.uint8


def test_tiles_give_what_one_run_gives() -> None:
    network = small_network().eval()
    picture = torch.rand(1, 3, 1024, 512)
    bias = torch.zeros(1, 16, 1, 1)
    with torch.inference_mode():
        latent = network.analysis(picture)
        tiled = in_tiles(network.analysis, picture, 256, Analysis.HALO)
        torch.testing.assert_close(tiled, latent, atol=1e-4, rtol=1e-4)
        layered = network.analysis(picture, 256)
        torch.testing.assert_close(layered, latent, atol=1e-4, rtol=1e-4)
        whole = network.synthesis(latent, latent.abs(), bias)
        parts = in_tiles(
            lambda y: network.synthesis(y, y.abs(), bias), latent, 256 // STRIDE, Synthesis.HALO
        )
        layered = network.synthesis(latent, latent.abs(), bias, tile=256)
    torch.testing.assert_close(parts, whole, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(layered, whole, atol=1e-4, rtol=1e-4)


@pytest.fixture(scope="module")
def noisy_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A narrow random network that takes strong noise everywhere."""
    network = small_network().with_noise((4, 2, 16))
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("gain.bias"):
                parameter.fill_(0.3)
    path = tmp_path_factory.mktemp("compact") / "noisy.safetensors"
    compact.save_compact(network, path)
    return path


def test_noise_is_the_same_whenever_a_file_is_decoded(noisy_weights: Path, weights: Path) -> None:
    picture = samples.astronaut()[:70, :90]
    codec, plain = Compact(noisy_weights), Compact(weights)
    data, other = (codec.prepare(picture)(level) for level in (27, 28))
    assert data == plain.prepare(picture)(27)
    full = codec.decode(data, 90, 70, 1.0)
    assert np.array_equal(full, Compact(noisy_weights).decode(data, 90, 70, 1.0))
    off = codec.decode(data, 90, 70, realism=0)
    assert np.array_equal(off, plain.decode(data, 90, 70, realism=1))

    def added(realism: float) -> float:
        return float(np.abs(codec.decode(data, 90, 70, realism) - off.astype(float)).mean())

    assert 0 < added(0.3) < added(0.6) < added(1)
    change = full.astype(float) - off
    elsewhere = codec.decode(other, 90, 70, 1.0) - codec.decode(other, 90, 70, 0).astype(float)
    assert abs(np.corrcoef(change.ravel(), elsewhere.ravel())[0, 1]) < 0.2


def test_strengths_of_noise_hold_where_they_are_said(
    noisy_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Winograd's convolutions round what is beside a change otherwise; exactness needs the plain.
    monkeypatch.setattr("sedic.models.convolution._is_faster", lambda: False)
    picture = samples.astronaut()[:131, :260]
    codec = Compact(noisy_weights)
    data = codec.prepare(picture)(27)
    plain = codec.decode(data, 260, 131, 1.0).astype(float)
    assert np.array_equal(plain, codec.decode(data, 260, 131, np.ones((2, 17, 33), np.float32)))
    for kind in (0, 1):
        strength = np.ones((2, 17, 33), np.float32)
        strength[kind, :, 20:] = 0
        changed = np.abs(codec.decode(data, 260, 131, strength) - plain).mean((0, 2))
        assert changed[:128].max() == 0 < changed[170:].min()


def test_noise_is_exact_and_of_deviation_one() -> None:
    drawn = compact._noise(b"sedic", 64 * 64, 40)
    assert drawn.shape == (64 * 64, 40)
    assert abs(float(drawn.mean())) < 0.01 and float(drawn.std()) == pytest.approx(1, abs=0.01)
    digest = hashlib.sha256(drawn.numpy().astype("<f4").tobytes()).hexdigest()
    assert digest.startswith("0064e68d8911b821")
    assert torch.equal(compact._noise(b"sedic", 5, 40), drawn[:5])
    assert not torch.equal(compact._noise(b"sedid", 5, 40), drawn[:5])


def test_tiles_get_the_noise_of_the_whole(
    noisy_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = samples.astronaut()
    codec = Compact(noisy_weights)
    data = codec.prepare(picture)(20)
    whole = codec.decode(data, 512, 512)
    for tile in "_DECODED_TILE", "_LAYER_TILE":
        with monkeypatch.context() as patch:
            patch.setattr(compact, tile, 256)
            parts = codec.decode(data, 512, 512)
        assert np.abs(whole.astype(int) - parts).max() <= 1 + 3 * (codec._dtype == torch.bfloat16)


def test_bfloat16_changes_a_picture_by_rounding_only(noisy_weights: Path) -> None:
    picture = samples.astronaut()[:128, :192]
    exact, fast = (Compact(noisy_weights, dtype) for dtype in (torch.float32, torch.bfloat16))
    data = exact.prepare(picture)(20)
    difference = np.abs(exact.decode(data, 192, 128).astype(int) - fast.decode(data, 192, 128))
    assert difference.max() <= 4 and difference.mean() < 1
    assert fast.prepare(picture)(20)[0] == data[0]


def test_what_is_coded_is_as_run_12_left_it(shipped: Compact) -> None:
    """Training the decoder alone must not move a bit of a file: encoder and tables keep their
    bytes until another run trains them, too."""
    tensors = load_file(shipped._path)
    digest = hashlib.sha256()
    for name in sorted(tensors):
        if name.startswith(("analysis.", "entropy.", "log_gain", "tables.")):
            digest.update(name.encode() + tensors[name].numpy().tobytes())
    assert digest.hexdigest().startswith("6ea6b28f10e388c5")


def test_a_file_decodes_to_what_training_saw(
    shipped: Compact, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Training draws noise and places of its own.
    monkeypatch.setattr("sedic.reference.compact_network.scattered", lambda x, moves: x)
    monkeypatch.setattr("sedic.reference.compact.scattered_picture", lambda picture, moves: picture)
    picture = samples.coffee()[:256, :256]
    network = compact.load_compact(Profile.load("mini").store.path("compact"))[0]
    network.synthesis.noise_channels = 0
    x = torch.from_numpy(picture).permute(2, 0, 1)[None] / 255 - 0.5
    with torch.inference_mode():
        seen = network(x, torch.tensor([72])).decoded[0].permute(1, 2, 0).numpy() + 0.5
    decoded = shipped.decode(shipped.prepare(picture)(72), 256, 256, realism=0)
    errors = ((decoded / 255 - seen.clip(0, 1)) ** 2).reshape(16, STRIDE, 16, STRIDE, 3)
    # The median block: a symbol that float and fixed point round differently shows in a few.
    assert np.median(errors.mean((1, 3, 4))) < 1e-5


def test_the_latent_of_a_picture_does_not_depend_on_the_threads() -> None:
    network = compact.load_compact(Profile.load("mini").store.path("compact"))[0]
    pixels = samples.coffee()[:384, :576]
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255 - 0.5
    before, latents = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            with torch.inference_mode():
                latents.append(network.analysis(x))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*latents)


def test_photographs_cost_more_and_look_better_level_by_level(shipped: Compact) -> None:
    picture = samples.coffee()
    height, width = picture.shape[:2]
    encode = shipped.prepare(picture)
    sizes, errors = [], []
    for level in range(0, LEVELS, 42):
        data = encode(level)
        decoded = shipped.decode(data, width, height).astype(float)
        sizes.append(len(data))
        errors.append(((decoded - picture) ** 2).mean())
        shift = np.abs((decoded - picture).mean((0, 1))).max()
        assert shift < (7 if level else 12)  # the smallest files, 0.008 bpp, may be a little off
    assert sizes == sorted(sizes) and errors == sorted(errors, reverse=True)
    assert 8 * sizes[0] / (width * height) < 0.015
    assert 10 * np.log10(255**2 / errors[-1]) > 22


def test_damaged_bytes_give_a_picture_or_a_clear_error(weights: Path) -> None:
    codec = Compact(weights)
    data = codec.prepare(samples.chelsea()[:130, :97])(20)
    rng = np.random.default_rng(2)
    damaged = [b"", b"\x00", bytes([29 + LEVELS]), b"\xff" * 50, data[:1], data[: len(data) // 2]]
    damaged += [bytes([3]) + rng.bytes(n) for n in (1, 10, 1_000, 100_000)]
    for _ in range(20):
        flipped = bytearray(data)
        flipped[rng.integers(len(data))] ^= 1 << rng.integers(8)
        damaged.append(bytes(flipped))
    for candidate in damaged:
        try:
            assert codec.decode(candidate, 97, 130).shape == (130, 97, 3)
        except SedicError as error:
            assert "\n" not in str(error)


def test_weights_that_are_none_are_refused(tmp_path: Path, weights: Path) -> None:
    from safetensors.torch import load_file, save_file

    absent = tmp_path / "absent.safetensors"
    with pytest.raises(SedicError, match="no weights"):
        Compact(absent)
    garbage = tmp_path / "garbage.safetensors"
    garbage.write_bytes(b"\x80\x04garbage")
    with pytest.raises(SedicError, match="does not hold"):
        Compact(garbage)
    other = tmp_path / "other.safetensors"
    tensors = load_file(weights)
    tensors.pop("log_gain")
    save_file(tensors, other, {"compact": "{}"})
    with pytest.raises(SedicError, match="does not hold"):
        Compact(other)


def test_every_part_of_the_network_gets_a_gradient() -> None:
    network = small_network()
    x = torch.rand(2, 3, 64, 64) - 0.5
    coded = network(x, torch.tensor([3, 26]))
    ((coded.decoded - x).square().mean() + coded.noisy_bits.mean() / 4096).backward()
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not silent


def test_streams_of_format_version_1_stay_readable(shipped: Compact) -> None:
    golden = json.loads((Path(__file__).parent / "compact_version_1.json").read_text())
    for stream, symbols in golden.items():
        data = bytes.fromhex(stream)
        with torch.inference_mode():
            latent = shipped._coder.decode(
                RangeDecoder(data[1:]), data[0] * 6, 9, 7, widest_first=False
            )
        assert hashlib.sha256(torch.cat(latent).numpy().tobytes()).hexdigest() == symbols
        assert shipped.decode(data, 97, 130).shape == (130, 97, 3)


def test_a_prefix_decodes_to_the_symbols_of_the_whole(
    weights: Path, lively_latent: torch.Tensor
) -> None:
    coder = LatentCoder(*compact.load_compact(weights))
    with torch.inference_mode():
        data, whole = coder.encode(lively_latent, 100)
        known = []
        for size in range(0, len(data) + 1, max(1, len(data) // 40)):
            found = coder.decode(PrefixDecoder(data[:size]), 100, 9, 14)
            same = found.values == whole.values
            known.append(int(same.sum()))
    assert known == sorted(known)
    assert known[0] < whole.values.numel() / 2 and known[-1] > 0.9 * whole.values.numel()


def test_a_prefix_shows_more_with_every_byte(shipped: Compact) -> None:
    picture = samples.coffee()[:192, :256]
    data = shipped.prepare(picture)(150)
    errors = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        seen = shipped.decode_prefix(data[: 1 + int(share * len(data))], 256, 192)
        errors.append(((seen.astype(float) - picture) ** 2).mean())
    assert errors == sorted(errors, reverse=True)
    assert errors[1] < errors[0] / 3
