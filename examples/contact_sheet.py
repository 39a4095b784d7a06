"""One picture with the thumbnails of all .sedic files of a folder. No network is loaded.

python examples/contact_sheet.py folder/ sheet.png
"""

import sys
from pathlib import Path

from PIL import Image, ImageDraw

import sedic.pillow  # noqa: F401  (teaches Pillow the format)

SIDE, COLUMNS, LINE = 160, 6, 14

files = sorted(Path(sys.argv[1]).glob("*.sedic"))
rows = -(-len(files) // COLUMNS)
sheet = Image.new("RGB", (COLUMNS * SIDE, max(1, rows) * (SIDE + LINE)), "white")
draw = ImageDraw.Draw(sheet)
for number, file in enumerate(files):
    left, top = number % COLUMNS * SIDE, number // COLUMNS * (SIDE + LINE)
    with Image.open(file) as picture:
        words = picture.info.get("overall", "")
        picture.thumbnail((SIDE, SIDE))
        sheet.paste(picture, (left, top))
    draw.text((left + 2, top + SIDE), f"{file.stem} {words}"[:26], "black")
sheet.save(sys.argv[2])
print(f"{len(files)} pictures on {sys.argv[2]}")
