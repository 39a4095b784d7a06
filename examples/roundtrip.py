"""A picture as a file of at most 900 bytes, what the file says, and the picture again.

python examples/roundtrip.py photo.jpg
"""

import sys
from pathlib import Path

import sedic

photo = Path(sys.argv[1])
data = sedic.compress(photo, max_bytes=900)
photo.with_suffix(".sedic").write_bytes(data)

print(f"{len(data)} bytes, of which", sedic.inspect(data).parts())
words = sedic.read(data)
print("overall:", words.overall)
for found in words.objects:
    print("object:", found.detail)

decoded = photo.with_name(f"{photo.stem}-decoded.png")
sedic.save_picture(sedic.decompress(data), decoded)
print("wrote", decoded)
