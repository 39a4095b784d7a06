"""How good the reference image of a picture is at several sizes: bytes, bits per pixel, PSNR.

python examples/rate_curve.py photo.jpg
"""

import sys

import numpy as np
from skimage.metrics import peak_signal_noise_ratio

import sedic
from sedic import Encoder, Profile, rate_for

picture = sedic.load_picture(sys.argv[1])
height, width, _ = picture.shape
encoder = Encoder(Profile.load("mini"))
print("bytes    bpp  PSNR dB")
for limit in np.geomspace(250, 2000, 4).round().astype(int).tolist():
    made = encoder.compress(picture, rate_for(width, height, max_bytes=limit))
    size = len(made.data)
    psnr = peak_signal_noise_ratio(picture, made.preview)
    print(f"{size:5} {8 * size / (width * height):6.4f} {psnr:8.2f}")
