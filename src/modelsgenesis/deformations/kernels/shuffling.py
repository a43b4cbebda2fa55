"""Local shuffling: ten thousand small windows, of which each voxel keeps only the last that covers it.

Windows are walked from the last to the first. A voxel that a later window has claimed is left alone: "last writer
wins", and every voxel is written once. A window whose permutation is uniform sends to its k voxels that are still free
k different sources in uniform order: those are the first k steps of a Fisher-Yates shuffle, so only these are made.
The law is exactly that of permuting every window whole.

Windows are taken in batches, and each step below is one flat loop over a batch: processors guess flat loops well.
"""

from typing import Any

import numpy as np

from modelsgenesis.deformations.kernels.compiling import compiled, inlined
from modelsgenesis.deformations.kernels.hashing import WEYL, below, bits, mixed

SALT = np.uint32(0x85EBCA6B)  # so that a key's windows and its permutations are different numbers
FIFTEEN, SIXTEENS = np.uint32(15), np.uint32(0xFFFFFFF0)  # loops that may run over are rounded up to 16, one register
BATCH_WINDOWS, BATCH_VOXELS = 128, 16384
DRAWS = 6  # of a window: three sides, three places


@compiled
def shuffle(image: Any, out: Any, size: Any, most: Any, num_windows: Any, key: Any, grid: Any, boxes: Any) -> None:
    """Write into `out`, a copy of `image`, the voxels that some window covers.

    Args:
        image, out: float32 (C, voxels).
        size, most: sides of the image and greatest sides of a window, (X, Y, Z).
        num_windows: how many.
        key: the drawn key, (low, high).
        grid: where the grid of tiles begins on each axis; negative for windows placed at random.
        boxes: int64 (N, 6), the parts of `out` to shuffle; all of it when N is 0. Out-painting hides the rest anyway.
    """
    most_voxels = most[0] * most[1] * most[2]
    batch = max(1, min(BATCH_WINDOWS, BATCH_VOXELS // most_voxels))
    offset, start = sections(most[1], most[2], size[2])
    free = free_voxels(image.shape[1], size, boxes)
    number, covered, claimed = np.empty(batch, np.uint32), np.empty(batch, np.uint32), np.empty(batch, np.uint32)
    side, low = np.empty((3, batch), np.uint32), np.empty((3, batch), np.uint32)
    source, target = np.empty(batch * most_voxels + 16, np.uint32), np.empty(batch * most_voxels + 16, np.uint32)
    partner, own = np.empty(batch * most_voxels + 16, np.uint32), np.empty(batch * most_voxels + 16, np.uint32)
    for last in range(num_windows - 1, -1, -batch):
        num = min(batch, last + 1)
        if grid[0] < 0:
            place(number, side, low, size, most, last, num, key)
        else:
            place_tiles(number, side, low, size, most, last, num, grid)
        if boxes.shape[0] > 0:
            num = drop_unseen(number, side, low, num, boxes)
        cover(source, covered, side, low, offset, start, size, most[2], num)
        total = claim(free, source, covered, target, claimed, num)
        pair(partner, own, number, covered, claimed, num, key)
        permute(image, out, source, target, partner, own, total)


@compiled
def sections(most_y: Any, most_z: Any, num_z: Any) -> Any:
    """Offsets of the voxels of every (y, z) section of a window, one list after another, and where each begins."""
    offset = np.empty((most_y * (most_y + 1) // 2) * (most_z * (most_z + 1) // 2) + 16, np.uint32)
    start = np.empty((most_y + 1) * (most_z + 1), np.uint32)
    at = 0
    for side_y in range(1, most_y + 1):
        for side_z in range(1, most_z + 1):
            start[side_y * (most_z + 1) + side_z] = at
            for y in range(side_y):
                for z in range(side_z):
                    offset[at] = y * num_z + z
                    at += 1
    return offset, start


@compiled
def place(number: Any, side: Any, low: Any, size: Any, most: Any, last: Any, num: Any, key: Any) -> None:
    """Expand the sides and places of the windows last, last - 1, ... from the key."""
    salted = np.uint32(key[1] ^ SALT)
    for j in range(num):
        number[j] = last - j
    for axis in range(3):
        for j in range(num):
            counter = np.uint32((last - j) * DRAWS + axis)
            chosen = 1 + below(most[axis], bits(counter, key[0], salted))
            side[axis, j] = chosen
            low[axis, j] = below(size[axis] - chosen + 1, bits(np.uint32(counter + np.uint32(3)), key[0], salted))


@compiled
def place_tiles(number: Any, side: Any, low: Any, size: Any, tile: Any, last: Any, num: Any, grid: Any) -> None:
    """Write the sides and places of the tiles last, last - 1, ... of a grid, in the order of their voxels."""
    for j in range(num):
        number[j] = last - j
        rest = last - j
        for axis in range(2, -1, -1):
            leading = 1 if grid[axis] > 0 else 0  # a tile cut short by the border
            tiles = leading + (size[axis] - grid[axis] + tile[axis] - 1) // tile[axis]
            begin = grid[axis] + (rest % tiles - leading) * tile[axis]
            rest //= tiles
            low[axis, j] = max(begin, 0)
            side[axis, j] = min(begin + tile[axis], size[axis]) - max(begin, 0)


@compiled
def cover(
    source: Any, covered: Any, side: Any, low: Any, offset: Any, start: Any, size: Any, most_z: Any, num: Any
) -> None:
    """List the voxels of every window of the batch, one window after another."""
    at = 0
    for j in range(num):
        section = int(side[1, j] * side[2, j])
        first = int(start[side[1, j] * (most_z + 1) + side[2, j]])
        rounded = int((np.uint32(section) + FIFTEEN) & SIXTEENS)
        offsets = offset[first : first + rounded]
        corner = np.uint32((low[0, j] * size[1] + low[1, j]) * size[2] + low[2, j])
        for _ in range(side[0, j]):
            run = source[at : at + rounded]
            for i in range(run.size):
                run[i] = np.uint32(corner + offsets[i])
            at += section
            corner = np.uint32(corner + size[1] * size[2])
        covered[j] = section * side[0, j]


@compiled
def claim(free: Any, source: Any, covered: Any, target: Any, claimed: Any, num: Any) -> Any:
    """List the voxels that each window of the batch is the last to cover, in order, and mark them; count them all."""
    at, end = np.uint32(0), np.uint32(0)
    for j in range(num):
        begin = end
        for i in range(covered[j]):
            voxel = source[np.uint32(at + np.uint32(i))]
            target[end] = voxel
            end = np.uint32(end + np.uint32(free[voxel]))
            free[voxel] = 0
        at = np.uint32(at + covered[j])
        claimed[j] = end - begin
    return end


@compiled
def pair(partner: Any, own: Any, number: Any, covered: Any, claimed: Any, num: Any, key: Any) -> None:
    """For every claimed voxel of the batch, list the two entries of `source` that its step exchanges."""
    for j in range(num):
        number[j] = bits(number[j], key[0], key[1])  # a stream of its own for each window
    begin, end = 0, 0
    for j in range(num):
        stream, voxels, base = number[j], covered[j], np.uint32(begin)
        rounded = int((claimed[j] + FIFTEEN) & SIXTEENS)
        own_run, partner_run = own[end : end + rounded], partner[end : end + rounded]
        for i in range(partner_run.size):
            step = np.uint32(i)
            random = mixed(np.uint32(stream + np.uint32(step * WEYL)))
            own_run[i] = np.uint32(base + step)
            partner_run[i] = np.uint32(base + step + np.uint32(below(np.uint32(voxels - step), random)))
        begin += int(voxels)
        end += int(claimed[j])


@compiled
def permute(image: Any, out: Any, source: Any, target: Any, partner: Any, own: Any, total: Any) -> None:
    """Give every claimed voxel of the batch the value of a voxel of its window, none twice."""
    first_image, first_out = image[0], out[0]  # most images have one channel
    for i in range(total):
        chosen, voxel = source[partner[i]], target[i]
        source[partner[i]] = source[own[i]]
        first_out[voxel] = first_image[chosen]
        for channel in range(1, image.shape[0]):
            out[channel, voxel] = image[channel, chosen]


@compiled
def drop_unseen(number: Any, side: Any, low: Any, num: Any, boxes: Any) -> Any:
    """Close the ranks over the windows that meet no box; return how many are left."""
    left = 0
    for j in range(num):
        number[left] = number[j]
        for axis in range(3):
            side[axis, left], low[axis, left] = side[axis, j], low[axis, j]
        left += meets(boxes, side, low, left)
    return left


@inlined
def meets(boxes: Any, side: Any, low: Any, j: Any) -> Any:
    """1 if window j and some box have a voxel in common, else 0."""
    any_box = 0
    for box in range(boxes.shape[0]):
        common = 1
        for axis in range(3):
            common &= low[axis, j] < boxes[box, 3 + axis]
            common &= low[axis, j] + side[axis, j] > boxes[box, axis]
        any_box |= common
    return any_box


@compiled
def free_voxels(num_voxels: Any, size: Any, boxes: Any) -> Any:
    """Mark by 1 the voxels that windows may claim: those in a box, or all when there is none."""
    if boxes.shape[0] == 0:
        return np.ones(num_voxels, np.uint8)
    free = np.zeros(num_voxels, np.uint8)
    for box in range(boxes.shape[0]):
        for x in range(boxes[box, 0], boxes[box, 3]):
            for y in range(boxes[box, 1], boxes[box, 4]):
                row = (x * size[1] + y) * size[2]
                free[row + boxes[box, 2] : row + boxes[box, 5]] = 1
    return free
