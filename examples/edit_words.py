"""Other words for a file: its overall description becomes what you say.

python examples/edit_words.py photo.sedic other.sedic "A grey evening by the sea."
"""

import sys
from pathlib import Path

import sedic

source, target, overall = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]

before = source.read_bytes()
print("was:", sedic.read(before).overall)
after = sedic.edit(before, overall=overall)
print("is: ", sedic.read(after).overall, f"({len(after) - len(before):+} bytes)")
with target.open("xb") as file:  # never over a file that is there
    file.write(after)
