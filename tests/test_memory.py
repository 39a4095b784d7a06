"""Memory of a process that codes pictures of many sizes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SIZES, SETTLED = 90, 30  # different sizes in all, and those after which memory may not grow much
BOUND = 64 << 20  # bytes of growth after that: libraries that keep something for each size take 190

# Codes a picture of every size, and prints the resident bytes after SETTLED of them and at the end.
CODE = """
import sys
import numpy as np
from pathlib import Path
from skimage import data
from sedic import Decoder, Description, Encoder, Profile, Rate

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

sizes, settled = map(int, sys.argv[1:])
profile = Profile.load("mini")
encoder, decoder = Encoder(profile), Decoder(profile)
for number in range(sizes):
    picture = np.ascontiguousarray(data.astronaut()[: 64 + 2 * number, : 240 - number])
    made = encoder.compress(picture, Rate(300), Description("a woman in front of a flag"))
    assert decoder.decompress(made.data).shape == picture.shape
    if number + 1 in (settled, sizes):
        print(resident())
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="needs Linux's /proc")
def test_memory_does_not_grow_with_the_number_of_different_sizes() -> None:
    command = [sys.executable, "-c", CODE, str(SIZES), str(SETTLED)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    settled, end = map(int, done.stdout.split())
    assert end - settled < BOUND, f"{settled >> 20} MiB after {SETTLED} sizes, {end >> 20} at last"
