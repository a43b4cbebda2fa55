"""Shuffle, map and paint in one walk over the image: the loop under the four laws and the paper's recipe."""

import numpy as np

from modelsgenesis.deformations.kernels.compiling import compiled, inlined
from modelsgenesis.deformations.kernels.hashing import bits, unit
from modelsgenesis.deformations.kernels.shuffling import shuffle

TAIL = np.float32(1 / 128)  # of the unit range, for the grey levels beyond either end of the told range
ONE, ZERO = np.float32(1), np.float32(0)


@inlined
def run_end(boxes, x, y, z, num_z):  # type: ignore[no-untyped-def]
    """Whether voxel (x, y, z) is inside a box, and where along z the answer may next change."""
    inside, end = False, num_z
    for box in range(boxes.shape[0]):
        if boxes[box, 0] <= x < boxes[box, 3] and boxes[box, 1] <= y < boxes[box, 4]:
            if boxes[box, 2] <= z < boxes[box, 5]:
                end = max(end, boxes[box, 5]) if inside else boxes[box, 5]
                inside = True
            elif z < boxes[box, 2] and not inside:
                end = min(end, boxes[box, 2])
    return inside, end


@inlined
def to_unit(value, low, high, least, greatest):  # type: ignore[no-untyped-def]
    """Place a grey level in [0, 1]: the told range linearly, what lies beyond it in a thin tail at its end."""
    start = TAIL if least < low else ZERO
    stop = ONE - TAIL if greatest > high else ONE
    if value < low:
        return start * (value - least) / (low - least)
    if value > high:
        return stop + (ONE - stop) * (value - high) / (greatest - high)
    return start + (stop - start) * ((value - low) / (high - low))


@inlined
def looked_up(table, place):  # type: ignore[no-untyped-def]
    """Read the table between its entries, at a place in [0, 1]."""
    at = place * np.float32(table.size - 1)
    level = min(int(at), table.size - 2)
    part = at - np.float32(level)
    return table[level] + part * (table[level + 1] - table[level])


@compiled
def deform(image, out, size, most, num_windows, shuffle_key, table, span, boxes, keep, noise_key, shared):  # type: ignore[no-untyped-def]
    """Shuffle, map and paint `image` into `out`.

    Args:
        image, out: float32 (C, voxels).
        size: sides (X, Y, Z).
        most: greatest sides of a shuffling window.
        num_windows: of the shuffling; 0 for none.
        shuffle_key, noise_key: (low, high) halves of the drawn keys.
        table: of the non-linear map; empty for none.
        span: told low and high, least and greatest of the image.
        boxes: int64 (N, 6), low corner and end corner.
        keep: paint outside the boxes (out-painting) or inside them (in-painting, or no painting when N is 0).
        shared: the same noise in every channel.
    """
    low, high, least, greatest = span
    if num_windows > 0:
        out[:] = np.float32(np.nan)
        shuffle(image, out, size, most, num_windows, shuffle_key[0], shuffle_key[1])
    num_voxels = size[0] * size[1] * size[2]
    for channel in range(image.shape[0]):
        first = 0 if shared else channel * num_voxels
        for x in range(size[0]):
            for y in range(size[1]):
                row = (x * size[1] + y) * size[2]
                z = 0
                while z < size[2]:
                    inside, end = run_end(boxes, x, y, z, size[2])
                    if inside == keep:
                        for at in range(row + z, row + end):
                            value = image[channel, at]
                            if num_windows > 0 and not np.isnan(out[channel, at]):
                                value = out[channel, at]
                            if table.size > 0:
                                value = low + (high - low) * looked_up(
                                    table, to_unit(value, low, high, least, greatest)
                                )
                            out[channel, at] = value
                    else:
                        for at in range(row + z, row + end):
                            noise = unit(bits(np.uint32(first + at), noise_key[0], noise_key[1]))
                            out[channel, at] = low + (high - low) * noise
                    z = end
