"""A picture through a link that carries a few packets, and what is seen as they arrive.

python examples/link.py photo.jpg 222 3
"""

import sys
from pathlib import Path

import sedic
from sedic import Decoder, Profile

photo, payload, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])

# The sender: as much as fits into all packets.
data = sedic.compress(photo, max_bytes=payload * count)
packets = [data[at : at + payload] for at in range(0, len(data), payload)]
print(f"{len(data)} bytes in {len(packets)} packets")

# The receiver: the reference image first, then the picture after every stage of the decoder.
received = b"".join(packets)
decoder = Decoder(Profile.load(sedic.inspect(received).profile))
for stage in decoder.stages(received):
    name = photo.with_name(f"{photo.stem}-{stage.number}.png")
    sedic.save_picture(stage.picture, name, force=True)
    print(f"stage {stage.number} of {stage.count}, {stage.title}: {name}")
