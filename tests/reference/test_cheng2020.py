"""cheng2020: the research code's numbers, lossless latents, the same symbols on any machine."""

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
from safetensors.torch import load_file, save_file

from sedic.errors import SedicError
from sedic.models.tiled_run import in_tiles
from sedic.reference.cheng2020 import Cheng2020, load_cheng2020
from sedic.reference.cheng2020_network import Cheng2020Attention
from sedic.reference.fixed_point import ONE
from sedic.reference.wavefront import Wavefront

SIZES = ["64x64", "128x192"]
# Run by itself, with settings in the environment: prints a hash of the symbols of a stored stream.
SYMBOLS = """
import sys
sys.path.insert(0, sys.argv[1])
from test_cheng2020 import GOLDEN, seeded_network, symbols_hash
from sedic.reference.wavefront import Wavefront
print(symbols_hash(Wavefront(seeded_network()).decode(GOLDEN.read_bytes(), 2, 3)))
"""
GOLDEN = Path(__file__).with_name("cheng2020.golden")
GOLDEN_SYMBOLS = "7d2f0294884d3a4180db02dd909ec123f1013fb56007804d9f9f1ba225cbad6e"


def symbols_hash(latents: torch.Tensor) -> str:
    return hashlib.sha256(latents.numpy().astype("<i4").tobytes()).hexdigest()


def seeded_network(channels: int = 12) -> Cheng2020Attention:
    """A small network of random integer-made weights, the same on every machine, with tables."""
    network = Cheng2020Attention(channels)
    random = np.random.RandomState(20)
    state = {}
    for name, value in network.state_dict().items():
        if name.split(".")[0] in ("g_a", "g_s", "h_a", "h_s", "entropy_parameters"):
            weights = random.randint(-128, 129, tuple(value.shape)) / 128
            gain = 1 / np.sqrt(max(1, value[0].numel())) if value.ndim > 1 else 0.2
            if "gdn" not in name:
                value = torch.from_numpy(weights * 2.0 ** np.round(np.log2(gain))).float()
        elif name.startswith("context_prediction") and not name.endswith("mask"):
            value = torch.from_numpy(random.randint(-64, 65, tuple(value.shape)) / 1024).float()
        elif "biases" in name:
            value = torch.zeros_like(value)
        state[name] = value
    state["g_a.7.weight"] *= 8
    state["entropy_parameters.4.bias"][:channels] = torch.arange(channels) / 2
    entropy = "gaussian_conditional."
    state[entropy + "scale_table"] = torch.tensor([0.125, 0.25, 0.5, 1, 2, 4, 8, 16])
    widths = np.array([3, 3, 5, 7, 13, 25, 49, 97])
    cdf = np.zeros((8, 99), np.int32)
    for row, width in zip(cdf, widths, strict=True):
        hill = (width // 2 + 1 - np.abs(np.arange(width) - width // 2)) ** 2
        row[1 : width + 2] = np.cumsum([*hill, 1])
    state[entropy + "_quantized_cdf"] = torch.from_numpy(cdf)
    state[entropy + "_cdf_length"] = torch.from_numpy(widths.astype(np.int32) + 2)
    state[entropy + "_offset"] = torch.from_numpy(-(widths // 2).astype(np.int32))
    bottleneck = "entropy_bottleneck."
    state[bottleneck + "_quantized_cdf"] = torch.from_numpy(np.tile(cdf[5], (channels, 1)))
    state[bottleneck + "_cdf_length"] = torch.full((channels,), 27, dtype=torch.int32)
    state[bottleneck + "_offset"] = torch.full((channels,), -12, dtype=torch.int32)
    return Cheng2020Attention.of_state(state)


@pytest.fixture(scope="module")
def parity(shared: Path) -> Path:
    return shared / "parity" / "cheng2020"


@pytest.fixture(scope="module")
def original(parity: Path) -> Cheng2020Attention:
    return load_cheng2020(parity / "weights.safetensors")


@pytest.fixture(scope="module")
def seeded() -> Cheng2020Attention:
    return seeded_network()


@pytest.fixture(scope="module")
def codec(seeded: Cheng2020Attention) -> Cheng2020:
    return Cheng2020([seeded, seeded], torch.float32)


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    from skimage.data import chelsea

    return chelsea()[60:160, 100:250]


@torch.no_grad()
@pytest.mark.parametrize("size", SIZES)
def test_forward_is_the_research_codes(
    parity: Path, original: Cheng2020Attention, size: str
) -> None:
    golden = load_file(parity / "io.safetensors")
    x = golden[f"{size}.in.image_u8"].permute(2, 0, 1)[None] / 255
    coded = original(x)
    for ours, name in [
        (coded.y, "y"),
        (coded.z, "z"),
        (coded.means, "means"),
        (coded.scales, "scales"),
        (coded.y_likelihoods, "likelihoods.y"),
        (coded.z_likelihoods, "likelihoods.z"),
        (coded.x_hat, "x_hat_forward"),
    ]:
        torch.testing.assert_close(ours, golden[f"{size}.out.{name}"], rtol=1e-4, atol=1e-4)
    bits = json.loads((parity / "meta.json").read_text())["images"][size]["likelihood_bits"]
    for ours, name in [(coded.y_likelihoods, "y"), (coded.z_likelihoods, "z")]:
        assert -ours.double().log2().sum().item() == pytest.approx(bits[name], rel=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("size", SIZES)
def test_what_is_decoded_is_the_research_codes(
    parity: Path, original: Cheng2020Attention, size: str
) -> None:
    """Fixed point moves means by under 1e-3; the bytes are about those of the original coder."""
    golden = load_file(parity / "io.safetensors")
    y, z = golden[f"{size}.out.y"], golden[f"{size}.out.z"]
    wavefront = Wavefront(original)
    stream = wavefront.encode(y, z)
    latents = (wavefront.decode(stream, *z.shape[-2:]) / ONE).float()
    expected = golden[f"{size}.out.y_hat_decompressed"]
    torch.testing.assert_close(latents, expected, rtol=0, atol=2e-3)
    x_hat = original.g_s(latents).clamp(0, 1)
    torch.testing.assert_close(x_hat, golden[f"{size}.out.x_hat_decompressed"], rtol=0, atol=2e-3)
    theirs = json.loads((parity / "meta.json").read_text())["images"][size]["string_bits"]
    assert 8 * len(stream) < 1.02 * sum(theirs.values())


def test_tables_are_rebuilt_where_a_checkpoint_has_none(
    parity: Path, original: Cheng2020Attention
) -> None:
    state = load_file(parity / "weights.safetensors")
    bare = {k: v for k, v in state.items() if "_cdf" not in k and "_offset" not in k}
    rebuilt = Cheng2020Attention.of_state(bare)
    golden = load_file(parity / "io.safetensors")
    y, z = golden["128x192.out.y"], golden["128x192.out.z"]
    ours, theirs = Wavefront(rebuilt), Wavefront(original)
    stream = ours.encode(y, z)
    assert torch.equal(ours.decode(stream, 2, 3), theirs.decode(theirs.encode(y, z), 2, 3))
    assert len(stream) < 1.1 * len(theirs.encode(y, z))


@pytest.mark.parametrize("reach", [1, 30, 9000])
def test_any_latents_survive(seeded: Cheng2020Attention, reach: int) -> None:
    """Latents far outside every table too (escapes), up to the limit of 4096."""
    random = torch.Generator().manual_seed(reach)
    y = torch.randn(1, 12, 12, 8, generator=random) * reach
    z = torch.randn(1, 12, 3, 2, generator=random) * reach
    wavefront = Wavefront(seeded)
    latents = wavefront.decode(wavefront.encode(y, z), 3, 2) / ONE
    assert (latents - y.clamp(-4096, 4096)).abs().max() <= 0.5 + 1 / ONE


def test_picture_round_trip(codec: Cheng2020, photograph: np.ndarray) -> None:
    """Decoding gives what the encoder's own latents give."""
    network = codec._levels[0]._network
    height, width = photograph.shape[:2]
    padded = np.pad(photograph, ((0, 28), (0, 42), (0, 0)), mode="symmetric")
    y = network.g_a(torch.from_numpy(padded).permute(2, 0, 1)[None] / 255)
    wavefront = Wavefront(network)
    latents = wavefront.decode(wavefront.encode(y, network.h_a(y)), 2, 3) / ONE
    assert (latents - y).abs().max() <= 0.5 + 1 / ONE
    expected = network.g_s(latents.float())[0, :, :height, :width].permute(1, 2, 0).numpy()
    decoded = codec.decode(codec.prepare(photograph)(1), width, height)
    assert decoded.shape == photograph.shape
    assert decoded.dtype == np.uint8
    assert np.abs(decoded - (255 * expected).clip(0, 255)).max() <= 0.51


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (64, 64), (65, 63)])
def test_any_size(codec: Cheng2020, photograph: np.ndarray, size: tuple[int, int]) -> None:
    height, width = size
    picture = np.ascontiguousarray(np.resize(photograph, (height, width, 3)))
    decoded = codec.decode(codec.prepare(picture)(0), width, height)
    assert decoded.shape == picture.shape


@torch.no_grad()
def test_tiles_are_the_whole(seeded: Cheng2020Attention) -> None:
    random = torch.Generator().manual_seed(1)
    pixels = torch.rand(1, 3, 320, 832, generator=random)
    y = seeded.g_a(pixels)
    torch.testing.assert_close(in_tiles(seeded.g_a, pixels, 256, 176), y, rtol=0, atol=1e-4)
    whole = seeded.g_s(y)
    torch.testing.assert_close(in_tiles(seeded.g_s, y, 16, 11), whole, rtol=0, atol=1e-4)


def test_golden_stream_on_this_machine(seeded: Cheng2020Attention) -> None:
    random = np.random.RandomState(5)
    y = torch.from_numpy(random.randint(-5, 6, (1, 12, 8, 12)).astype(np.float32))
    z = torch.from_numpy(random.randint(-9, 10, (1, 12, 2, 3)).astype(np.float32))
    wavefront = Wavefront(seeded)
    stream = wavefront.encode(y, z)
    assert stream == GOLDEN.read_bytes()
    assert symbols_hash(wavefront.decode(stream, 2, 3)) == GOLDEN_SYMBOLS


@pytest.mark.parametrize(
    ("threads", "torch_isa", "onednn_isa"),
    [("1", "default", "SSE41"), ("2", "avx2", "AVX2"), ("2", None, "DEFAULT")],
)
def test_golden_stream_on_other_machines(
    threads: str, torch_isa: str | None, onednn_isa: str
) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": threads, "ONEDNN_MAX_CPU_ISA": onednn_isa}
    if torch_isa:
        environment["ATEN_CPU_CAPABILITY"] = torch_isa
    command = [sys.executable, "-c", SYMBOLS, str(Path(__file__).parent)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == GOLDEN_SYMBOLS


def test_damaged_payloads_give_a_picture_or_a_clear_error(
    codec: Cheng2020, photograph: np.ndarray
) -> None:
    height, width = photograph.shape[:2]
    payload = codec.prepare(photograph)(0)
    random = np.random.RandomState(3)
    damaged = [payload[:n] for n in (0, 1, 2, len(payload) // 2)]
    damaged += [bytes([level]) + payload[1:] for level in (1, 2, 255)]
    damaged += [b"\0" + random.bytes(n) for n in (10, 500, 5000)]
    damaged += [b"\0" + b"\xff" * 5000]
    for _ in range(20):
        flipped = bytearray(payload)
        flipped[random.randint(len(payload))] ^= 1 << random.randint(8)
        damaged.append(bytes(flipped))
    refused = 0
    for data in damaged:
        try:
            decoded = codec.decode(data, width, height)
        except SedicError:
            refused += 1
        else:
            assert decoded.shape == photograph.shape
    assert refused >= 3  # no bytes at all, and two levels that do not exist


@pytest.mark.parametrize(("width", "height"), [(0, 5), (1 << 20, 1), (16_000, 16_000)])
def test_sizes_out_of_range_are_refused(codec: Cheng2020, width: int, height: int) -> None:
    with pytest.raises(SedicError, match="picture size"):
        codec.decode(b"\0", width, height)


def test_fingerprint_is_of_weights_and_tables(seeded: Cheng2020Attention) -> None:
    first = Cheng2020([seeded]).fingerprint
    assert len(first) == 32
    assert Cheng2020([seeded_network()]).fingerprint == first
    other = seeded_network()
    other.gaussian_conditional._quantized_cdf[0, 1] -= 1
    assert Cheng2020([other]).fingerprint != first


def _same(network: Cheng2020Attention, other: Cheng2020Attention) -> bool:
    return Cheng2020([network]).fingerprint == Cheng2020([other]).fingerprint


def test_checkpoint_files(seeded: Cheng2020Attention, tmp_path: Path) -> None:
    """Safetensors; CompressAI's pickles, with its nestings and the names of its old releases."""
    state = seeded.state_dict()
    save_file(state, tmp_path / "a.safetensors")
    torch.save({"epoch": 3, "state_dict": state}, tmp_path / "b.pth.tar")
    old = {
        "module." + name.replace(".skip.", ".downsample.").replace("matrices.", "_matrix"): value
        for name, value in state.items()
        if not name.endswith((".mask", ".bound", ".pedestal"))
    }
    torch.save(old, tmp_path / "c.pth")
    codec = Cheng2020([tmp_path / name for name in ("a.safetensors", "b.pth.tar", "c.pth")])
    assert codec.levels == 3
    for level in codec._levels:
        assert _same(level._network, seeded)


def test_bad_checkpoint_files(seeded: Cheng2020Attention, tmp_path: Path) -> None:
    state = seeded.state_dict()
    del state["g_s.1.conv2.bias"]
    save_file(state, tmp_path / "incomplete.safetensors")
    save_file({"h_a.0.weight": torch.ones(3)}, tmp_path / "other.safetensors")
    (tmp_path / "text.safetensors").write_text("no weights")
    (tmp_path / "text.pth").write_text("no weights")
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save({"state_dict": Path("code, not tensors")}, tmp_path / "pickle.pth")
    for path in [*tmp_path.iterdir(), tmp_path / "absent.pth"]:
        with pytest.raises(SedicError, match=path.name):
            load_cheng2020(path)
