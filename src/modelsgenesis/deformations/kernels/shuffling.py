"""Local shuffling: ten thousand small windows, of which each voxel keeps only the last that covers it."""

import numpy as np

from modelsgenesis.deformations.kernels.compiling import compiled
from modelsgenesis.deformations.kernels.hashing import below, bits

WINDOW_SALT = np.uint32(0x9E3779B9)  # so that a key's windows and its permutations are different numbers
DRAWS = np.uint32(6)
N0, N1, N2, N3, N4, N5 = (np.uint32(i) for i in range(6))


@compiled
def shuffle(image, out, size, most, num_windows, key_low, key_high):  # type: ignore[no-untyped-def]
    """Write into `out` the voxels that some window covers; the rest of `out` must be NaN and stays so.

    Windows are walked from the last to the first, and a voxel that a later window has written is left alone: "last
    writer wins" without writing twice. A window whose permutation is uniform sends to its k voxels that are still
    free k different sources, in uniform order; those are the first k steps of a Fisher-Yates shuffle, so only these
    are made. The law is exactly that of permuting every window whole.

    Args:
        image: float32 (C, voxels), without NaN.
        out: float32 (C, voxels).
        size: sides (X, Y, Z).
        most: greatest sides of a window.
        num_windows: how many windows.
        key_low, key_high: the drawn key.
    """
    num_y, num_z = size[1], size[2]
    most_voxels = most[0] * most[1] * most[2]
    source = np.empty(most_voxels, np.int32)
    free = np.empty(most_voxels, np.int32)
    salted = np.uint32(key_high ^ WINDOW_SALT)
    for window in range(num_windows - 1, -1, -1):
        base = np.uint32(window) * DRAWS
        side_x = 1 + below(most[0], bits(np.uint32(base + N0), key_low, salted))
        side_y = 1 + below(most[1], bits(np.uint32(base + N1), key_low, salted))
        side_z = 1 + below(most[2], bits(np.uint32(base + N2), key_low, salted))
        low_x = below(size[0] - side_x + 1, bits(np.uint32(base + N3), key_low, salted))
        low_y = below(num_y - side_y + 1, bits(np.uint32(base + N4), key_low, salted))
        low_z = below(num_z - side_z + 1, bits(np.uint32(base + N5), key_low, salted))
        num_voxels, num_free = 0, 0
        for x in range(low_x, low_x + side_x):
            for y in range(low_y, low_y + side_y):
                row = (x * num_y + y) * num_z
                for z in range(row + low_z, row + low_z + side_z):
                    source[num_voxels] = z
                    num_voxels += 1
                    free[num_free] = z
                    if np.isnan(out[0, z]):
                        num_free += 1
        counter = np.uint32(window) * np.uint32(most_voxels)
        for step in range(num_free):
            left = num_voxels - step
            other = step + below(left, bits(np.uint32(counter + np.uint32(step)), key_low, key_high))
            chosen = source[other]
            source[other] = source[step]
            for channel in range(image.shape[0]):
                out[channel, free[step]] = image[channel, chosen]
