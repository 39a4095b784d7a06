from __future__ import annotations

import numpy as np
import pytest
import torch

from sedic.models.noise import normal, philox, words

GOLDEN_WORDS = [0xFCE4C61D, 0x566E520F, 0x8E94B710, 0xD0F7442A, 0x467F71EA]
GOLDEN_NORMALS = [
    "0x1.205d820000000p+1",
    "-0x1.ad05280000000p-2",
    "0x1.25645a0000000p-3",
    "0x1.cd70fa0000000p-1",
    "-0x1.31778c0000000p-1",
]
GOLDEN_CHECKSUM = 0x0C98CEFE  # all bits of the first 100,000 normals of seed 1


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [  # the known answers that the authors of Philox publish
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        (
            (0xFFFFFFFF,) * 4,
            (0xFFFFFFFF,) * 2,
            (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
        ),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_the_generator_is_philox(
    counter: tuple[int, ...], key: tuple[int, int], expected: tuple[int, ...]
) -> None:
    blocks = tuple(torch.tensor([word]) for word in counter)
    assert tuple(int(word[0]) for word in philox(blocks, key)) == expected


def test_golden_words_and_normals() -> None:
    assert words(7, 2, 5, 5).tolist() == GOLDEN_WORDS
    drawn = normal(7, 2, 5, (5,))
    assert [float(x).hex() for x in drawn] == GOLDEN_NORMALS
    checksum = np.bitwise_xor.reduce(normal(1, 0, 0, (100_000,)).numpy().view(np.uint32))
    assert int(checksum) == GOLDEN_CHECKSUM


def test_a_shorter_draw_begins_a_longer_one_across_inner_blocks() -> None:
    long = words(3, 1, 1, 300_001)
    assert torch.equal(long[:262_145], words(3, 1, 1, 262_145))
    assert torch.equal(normal(3, 1, 1, (300_001,))[:7], normal(3, 1, 1, (7,)))
    assert normal(3, 1, 1, (1, 4, 5, 3)).shape == (1, 4, 5, 3)


def test_every_part_of_the_key_counts() -> None:
    keys = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (2**32 - 1, 7, 100)]
    assert len({tuple(words(*key, 4).tolist()) for key in keys}) == len(keys)


def test_normals_are_normal() -> None:
    from scipy.special import ndtri
    from scipy.stats import kstest

    drawn = normal(11, 3, 4, (1, 4, 300, 200)).numpy()
    assert drawn.dtype == np.float32
    assert kstest(drawn.ravel()[:50_000], "norm").pvalue > 1e-3
    assert abs(np.corrcoef(drawn.ravel()[:-1], drawn.ravel()[1:])[0, 1]) < 0.01
    exact = ndtri((words(11, 3, 4, drawn.size).numpy() + 0.5) * 2.0**-32)
    assert np.abs(drawn.ravel() - exact).max() < 5e-7


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_draws_the_same_numbers() -> None:
    assert torch.equal(normal(5, 1, 2, (100_000,), "cuda").cpu(), normal(5, 1, 2, (100_000,)))
