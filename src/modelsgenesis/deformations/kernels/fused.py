"""Shuffle, map and paint in one walk over the image: the loop under the four laws and the paper's recipe."""

from typing import Any

import numpy as np

from modelsgenesis.deformations.kernels.compiling import compiled, inlined
from modelsgenesis.deformations.kernels.hashing import bits, unit
from modelsgenesis.deformations.kernels.shuffling import shuffle

TAIL = np.float32(1 / 128)  # of the unit range, for the grey levels beyond either end of the given range
ONE, ZERO = np.float32(1), np.float32(0)


@compiled
def deform(
    image: Any,
    out: Any,
    size: Any,
    most: Any,
    num_windows: Any,
    shuffle_key: Any,
    grid: Any,
    shuffle_boxes: Any,
    table: Any,
    span: Any,
    boxes: Any,
    keep: Any,
    noise_key: Any,
    shared: Any,
) -> None:
    """Shuffle, map and paint `image` into `out`.

    Args:
        image, out: float32 (C, voxels).
        size: sides (X, Y, Z).
        most: greatest sides of a shuffling window.
        num_windows: of the shuffling; 0 for none.
        shuffle_key, noise_key: (low, high) halves of the drawn keys.
        table: of the non-linear map, (2, levels); (2, 0) for none.
        span: given low and high, least and greatest of the image.
        grid: where the grid of tiles begins; negative for windows placed at random.
        shuffle_boxes: int64 (N, 6), where to shuffle; everywhere when N is 0.
        boxes: int64 (N, 6), low corner and end corner.
        keep: paint outside the boxes (out-painting) or inside them (in-painting, or no painting when N is 0).
        shared: the same noise in every channel.
    """
    if num_windows > 0:
        out[:] = image
        shuffle(image, out, size, most, num_windows, shuffle_key, grid, shuffle_boxes)
        image = out
        if table.shape[1] == 0 and boxes.shape[0] == 0:
            return
    show_and_paint(image, out, size, table, span, boxes, keep, noise_key, shared)


@compiled
def show_and_paint(
    image: Any, out: Any, size: Any, table: Any, span: Any, boxes: Any, keep: Any, noise_key: Any, shared: Any
) -> None:
    """Cut the image by the boxes' faces into blocks, and show or paint each; the arguments are those of `deform`."""
    for channel in range(image.shape[0]):
        first = 0 if shared else channel * image.shape[1]
        x = 0
        while x < size[0]:
            x_end = next_edge(boxes, 0, x, size[0])
            y = 0
            while y < size[1]:
                y_end = next_edge(boxes, 1, y, size[1])
                z = 0
                while z < size[2]:
                    inside, z_end = run_end(boxes, x, y, z, size[2])
                    block = (x, x_end, y, y_end, z, z_end)
                    if inside == keep:
                        write_block(image[channel], out[channel], size, block, table, span)
                    else:
                        paint(out[channel], size, block, first, noise_key, span)
                    z = z_end
                y = y_end
            x = x_end


@inlined
def next_edge(boxes: Any, axis: Any, at: Any, side: Any) -> Any:
    """The next place along an axis, after `at`, where a box begins or ends."""
    end = side
    for box in range(boxes.shape[0]):
        if at < boxes[box, axis] < end:
            end = boxes[box, axis]
        if at < boxes[box, axis + 3] < end:
            end = boxes[box, axis + 3]
    return end


@inlined
def run_end(boxes: Any, x: Any, y: Any, z: Any, num_z: Any) -> Any:
    """Whether voxel (x, y, z) is inside a box, and where along z that may next change."""
    inside, end = False, num_z
    for box in range(boxes.shape[0]):
        if boxes[box, 0] <= x < boxes[box, 3] and boxes[box, 1] <= y < boxes[box, 4]:
            if boxes[box, 2] <= z < boxes[box, 5]:
                end = max(end, boxes[box, 5]) if inside else boxes[box, 5]
                inside = True
            elif z < boxes[box, 2] and not inside:
                end = min(end, boxes[box, 2])
    return inside, end


@compiled
def paint(out: Any, size: Any, block: Any, first: Any, key: Any, span: Any) -> None:
    """Fill a block of voxels with noise, uniform in the range; voxel k of the image gets number first + k."""
    low, width = span[0], np.float32(span[1] - span[0])
    for x in range(block[0], block[1]):
        for y in range(block[2], block[3]):
            row = (x * size[1] + y) * size[2]
            run = out[row + block[4] : row + block[5]]
            begin = first + row + block[4]
            for i in range(run.size):
                run[i] = low + width * unit(bits(np.uint32(begin + i), key[0], key[1]))


@compiled
def write_block(image: Any, out: Any, size: Any, block: Any, table: Any, span: Any) -> None:
    """Write a block of voxels of the image, mapped by the table if there is one; `out` may be `image`."""
    low, scale = span[0], np.float32(table.shape[1] - 1) / np.float32(span[1] - span[0])
    beyond = span[2] < span[0] or span[3] > span[1]
    for x in range(block[0], block[1]):
        for y in range(block[2], block[3]):
            row = (x * size[1] + y) * size[2]
            source, run = image[row + block[4] : row + block[5]], out[row + block[4] : row + block[5]]
            if table.shape[1] == 0:
                for i in range(run.size):
                    run[i] = source[i]
            elif beyond:
                for i in range(run.size):
                    run[i] = looked_up(table, to_unit(source[i], span) * np.float32(table.shape[1] - 1))
            else:
                for i in range(run.size):
                    run[i] = looked_up(table, (source[i] - low) * scale)


@inlined
def to_unit(value: Any, span: Any) -> Any:
    """Place a grey level in [0, 1]: the given range linearly, what lies beyond it in a thin tail at its end."""
    low, high, least, greatest = span
    start = TAIL if least < low else ZERO
    stop = ONE - TAIL if greatest > high else ONE
    if value < low:
        return start * ((value - least) / (low - least))
    if value > high:
        return stop + (ONE - stop) * ((value - high) / (greatest - high))
    return start + (stop - start) * ((value - low) / (high - low))


@inlined
def looked_up(table: Any, at: Any) -> Any:
    """Interpolate the table between its entries."""
    whole = np.int32(at)
    level = np.uint32(whole)  # unsigned, so that no negative index need be thought of
    return table[0, level] + (at - np.float32(whole)) * table[1, level]
