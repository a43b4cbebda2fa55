#!/usr/bin/env bash
# pydicom 3.0.2: places in a VOI look-up table are counted in the type of its entries; of 8 bits, they wrap at 256.
#
# Valid input: a radiograph of 12 bits that holds 0 to 4095, with a VOI LUT of 4096 entries (US) of 8 bits each, entry n being
# n // 16. PS3.3, C.11.2.1.1, allows entries of 8 to 16 bits in an image, and as many as 65536 of them.
# Seen on 2026-11-27: apply_voi answers value n with entry n modulo 256, so that 4096 grey levels become 16, in a saw; with the
# same entries of 16 bits (descriptor 4096, 0, 16) every value gets its own.
# It fails when the behaviour has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pydicom==3.0.2 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels import apply_voi

values, entries = np.arange(4096, dtype=np.uint16), np.arange(4096) // 16
found = {}
for bits in (8, 16):
    table = Dataset()
    table.LUTDescriptor = [4096, 0, bits]
    table.add_new("LUTData", "US", entries.tolist())
    image = Dataset()
    image.VOILUTSequence = [table]
    image.PixelRepresentation, image.BitsStored, image.BitsAllocated = 0, 12, 16
    image.set_original_encoding(False, True)
    found[bits] = np.asarray(apply_voi(values, image, index=0))
    print(f"entries of {bits} bits: values 0, 255, 256 and 4095 become", found[bits][[0, 255, 256, 4095]].tolist())
wraps = np.array_equal(found[8], entries[values % 256]) and not np.array_equal(found[8], entries)
sys.exit(0 if wraps and np.array_equal(found[16], entries) else "the behaviour has changed")
PYTHON
