"""Statistics of a volume's values: range, background, percentiles, modality, labels or not, and the foreground."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.core.words import nouns
from modelsgenesis.data.problems import UnreadableError

PERCENTILES = (0.0, 0.5, 1.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0, 99.5, 100.0)
MOST_SAMPLED = 1_000_000  # voxels that percentiles are taken from
MOST_FILLED = 64_000  # voxels that holes are looked for in
BACKGROUND = 0.05  # of the way from the minimum to the 99th percentile
AIR_HU = -1000.0
LEAST_SPAN_HU = 50  # a CT's noise alone spans more; z-scores seldom span 20
CT_REACHES_HU = -200  # no MRI goes below, and next to no CT stays above
RAW_AIR, RAW_BODY, RAW_WATER = 150, (500, 3000), (850, 1150)  # of a CT stored 1000 or 1024 above its HU
RAW_SHARE = 0.6  # of the body that is water: whole CTs had 0.64 to 0.92, MRI up to 0.54
LEAST_AIR = 0.02
CELL_SIDE = 8  # voxels, of the foreground map
TISSUE_HU = -150.0
FEW_LABELS = 32
MANY_LABELS = 1024
LABEL_NAMES = re.compile(
    r"(?:^|[^a-z])(labels?|labelmaps?|masks?|segs?|segmentations?|gt|groundtruth|rois?|annotations?)(?:[^a-z]|$)"
)


@dataclass(frozen=True)
class IntensityStatistics:
    """The statistics of a volume in the manifest, in the volume's units; `levels` are those of its header, if any."""

    minimum: float
    maximum: float
    foreground: float
    percentiles: dict[float, float]
    mean: float
    std: float
    zeros: float
    levels: tuple[float, float] | None = None


def sample_of(values: NDArray[Any]) -> NDArray[Any]:
    """Sample at most a million voxels, evenly spread, and sort them."""
    # "stable" is a radix sort for 16 bits, ten times the speed of the other.
    return np.sort(thinned(values), axis=None, kind="stable" if values.itemsize <= 2 else None)


def thinned(values: NDArray[Any], most: int = MOST_SAMPLED) -> NDArray[Any]:
    """Sample at most so many voxels, evenly spread over the axes of space."""
    space = values.shape[-3:]
    step = max(1, int(np.ceil((values.size / most) ** (1 / 3))))
    while values.size // np.prod([min(step, side) for side in space]) > most:
        step += 1
    every: tuple[Any, ...] = (..., *[slice(None, None, step)] * len(space))
    few: NDArray[Any] = values[every]
    return few


def moments_of(values: NDArray[Any]) -> tuple[float, float, float]:
    """Mean, standard deviation and share outside, from at most a million voxels of the box around all that is not 0.

    Args:
        values: finite, not all equal; all but the last three axes are channels.
    """
    grid = thinned(values)
    if not grid.any() or grid.min() == grid.max():  # the thinning missed it
        grid = values
    occupied = grid.reshape(-1, *grid.shape[-3:]).any(axis=0)
    from scipy import ndimage  # here, since a tenth of a second is much where no foreground is looked for

    box: tuple[Any, ...] = ndimage.find_objects(occupied.astype(np.int8))[0]
    grid = grid[(..., *box)]
    occupied = np.asarray(grid.reshape(-1, *grid.shape[-3:]).any(axis=0))
    few = thinned(occupied, MOST_FILLED)
    zeros = 1 - occupied.mean() - (1 - few.mean() - outside_of(few[np.newaxis]).mean())
    return float(grid.mean(dtype=np.float64)), float(grid.std(dtype=np.float64)), float(zeros)


def outside_of(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Where all channels are 0 and nothing that is not 0 encloses it: what nnU-Net's mask of an image leaves out.

    Args:
        values: (C, *space), of the whole image.
    Returns:
        (*space).
    Source: nnU-Net's create_nonzero_mask: what is not 0 in some channel, with its holes filled.
    """
    occupied = np.asarray(values.any(axis=0))
    if occupied.all():
        return ~occupied
    from scipy import ndimage

    outside: NDArray[np.bool_] = ~ndimage.binary_fill_holes(occupied)
    return outside


def summarise(
    values: NDArray[Any], sample: NDArray[Any], modality: str, levels: tuple[float, float] | None = None
) -> IntensityStatistics:
    """Compute the statistics of a volume.

    Foreground is what lies above the background: above 5 % of the way from the minimum to the 99th percentile, so
    that air and empty borders do not count and a tight crop loses next to nothing. In CT the way begins at -1000 HU:
    what is less is padding. Minimum and maximum are exact; percentiles come from the sample.

    Args:
        values: (C, *space), finite.
        sample: of them, sorted.
        modality: of the scan.
        levels: as its volume has them.
    Raises:
        UnreadableError: all values are equal.
    """
    minimum, maximum = float(values.min()), float(values.max())
    if minimum == maximum:
        raise UnreadableError(
            f"every {nouns(values.ndim - 1).voxel} is {minimum:g}", "leave it out: there is nothing to learn from"
        )
    begin = max(minimum, AIR_HU) if modality == "CT" else minimum
    threshold = begin + BACKGROUND * (float(sample[int(0.99 * (sample.size - 1))]) - begin)
    kept = sample[np.searchsorted(sample, threshold, side="right") :]
    if kept.size == 0:
        kept = sample[-1:]
    places = [round(p / 100 * (kept.size - 1)) for p in PERCENTILES]
    percentiles = {p: float(kept[place]) for p, place in zip(PERCENTILES, places, strict=True)}
    return IntensityStatistics(minimum, maximum, threshold, percentiles, *moments_of(values), levels)


def guess_modality(sample: NDArray[Any]) -> str:
    """Guess from values alone: CT reaches far below zero, MRI never does; anything between is unknown.

    Args:
        sample: of the values, sorted.
    """
    if sample[0] <= CT_REACHES_HU and sample[-1] < 32768:
        return "CT"
    return "MR" if sample[0] >= 0 else "unknown"


def spans_no_hu(sample: NDArray[Any]) -> bool:
    """Whether values lie too close together to be Hounsfield units: z-scores, or uptake, that would be one grey there.

    Args:
        sample: of the values of a whole image, sorted.
    """
    return bool(sample[-1] - sample[0] < LEAST_SPAN_HU)


def raw_ct_notes(sample: NDArray[Any], modality: str) -> list[str]:
    """Note a CT whose values are not in HU: none below 0, air near 0, and most of the body near 1,000, as water is.

    Args:
        sample: of the values, sorted.
        modality: as it is declared; "" where it is unknown.
    """
    if modality not in ("", "CT", "unknown") or sample[0] < 0:
        return []
    air, first, last, low, high = np.searchsorted(sample, (RAW_AIR, *RAW_BODY, *RAW_WATER))
    if air < LEAST_AIR * sample.size or high - low < RAW_SHARE * max(last - first, 1):
        return []
    return [
        "it looks like a CT in raw units, not in HU: no value is below 0, air is near 0 and water near 1,000; "
        "subtract 1024 (or what its header says) and use that copy"
    ]


def refuse_labels(sample: NDArray[Any], path: Path) -> None:
    """Refuse a label map: a few small whole numbers, or up to a thousand under a name that says so.

    Args:
        sample: of the values, sorted.
        path: of the source below the folder given; each of its parts may name a modality.
    Raises:
        UnreadableError: it looks like a label map.
    """
    if sample[0] < 0 or not (sample.dtype.kind in "iu" or np.array_equal(sample, np.rint(sample))):
        return
    count = 1 + int(np.count_nonzero(sample[1:] != sample[:-1]))
    named = LABEL_NAMES.search(path.as_posix().lower())
    if count <= FEW_LABELS or (named and count <= MANY_LABELS and count < sample.size / 100):
        why = f", and it is called {named[1]!r}" if named else ""
        raise UnreadableError(
            f"a label map, not a scan: only {count} different whole numbers{why}",
            "leave it out; if it is a scan after all, name it in a CSV",
        )


def fill_missing(values: NDArray[Any]) -> tuple[NDArray[Any], list[str]]:
    """Replace NaN and infinities by the least finite value, with a note.

    Raises:
        UnreadableError: no value is finite.
    """
    if values.dtype.kind != "f":
        return values, []
    # The sum of a plane is finite if and only if its values are (float64 cannot overflow), and no mask is made.
    if all(np.isfinite(plane.sum(dtype=np.float64)) for plane in values.reshape(-1, *values.shape[-2:])):
        return values, []
    finite = np.isfinite(values)
    count = values.size - int(finite.sum())
    if count == values.size:
        raise UnreadableError("every voxel is NaN or infinite", "export it again")
    least = values.min(where=finite, initial=np.inf)
    filled = np.where(finite, values, least)
    return filled, [f"{count} voxels are NaN or infinite; the scan's least value, {least:g}, takes their place"]


@dataclass(frozen=True)
class ForegroundMap:
    """Two coarse maps of one scan, a number for each cell of CELL_SIDE voxels a side, 0..255 for 0..1.

    Those of a stack of slices have one more axis in front.

    Attributes:
        tissue: the paper's score: of a voxel, 1 if above -150 HU, 0.5 if only the next one in z is, else 0; its mean.
        foreground: the fraction of voxels above the scan's background.
    """

    tissue: NDArray[np.uint8]
    foreground: NDArray[np.uint8]

    def to_extras(self) -> dict[str, bytes]:
        """Write each map as bytes, with its shape in front; a rule reads only one of them."""
        maps = {"tissue": self.tissue, "foreground": self.foreground}
        return {name: json.dumps(cells.shape).encode() + b"\n" + cells.tobytes() for name, cells in maps.items()}


def mean_of_maps(maps: Sequence[ForegroundMap]) -> ForegroundMap:
    """The mean of the maps of planes that are cut as one."""
    if len(maps) == 1:
        return maps[0]
    whole = stack_maps(maps)
    return ForegroundMap(*(np.rint(each.mean(axis=0)).astype(np.uint8) for each in (whole.tissue, whole.foreground)))


def stack_maps(maps: Sequence[ForegroundMap]) -> ForegroundMap:
    """The maps of slices as those of their stack."""
    return ForegroundMap(np.stack([each.tissue for each in maps]), np.stack([each.foreground for each in maps]))


def cells_from(data: bytes) -> NDArray[np.uint8]:
    """Read one map from the bytes that `ForegroundMap.to_extras` gives."""
    head, _, body = data.partition(b"\n")
    return np.frombuffer(body, np.uint8).reshape(json.loads(head))


def make_foreground_map(values: NDArray[np.generic], foreground: float) -> ForegroundMap:
    """Compute the map of one channel.

    Every second voxel along X and Y is looked at: a cell keeps 128 of its 512, enough for a mean.

    Args:
        values: (X, Y, Z), in physical units, or (X, Y) of a picture.
        foreground: what is above is foreground.
    """
    if values.ndim == 2:
        few = np.ascontiguousarray(values[::2, ::2])  # a plane has no next one: tissue is what is above
        return ForegroundMap(_share_of_cells(_above(few, TISSUE_HU)), _share_of_cells(_above(few, foreground)))
    cells = tuple(-(-side // CELL_SIDE) for side in values.shape)
    tissue, filled = np.zeros(cells, np.uint8), np.zeros(cells, np.uint8)
    for low in range(0, values.shape[2], CELL_SIDE):
        # Every second voxel along X is left out at the end: whole rows are compared faster than half of them.
        slab = values[:, ::2, low : low + CELL_SIDE + 1]  # one voxel more: the next one in z
        here, hard = slab[..., :CELL_SIDE], _above(slab, TISSUE_HU)
        depth = here.shape[-1]
        followed = hard[..., 1:] > hard[..., : slab.shape[-1] - 1]  # no tissue, but the next one in z is
        halves = 2 * _count(hard[..., :depth])[::2] + _count(followed)[::2]
        above = _count(_above(here, foreground))[::2]
        tissue[..., low // CELL_SIDE] = _mean_of_cells(halves / np.float32(2 * depth), cells[:2])
        filled[..., low // CELL_SIDE] = _mean_of_cells(above / np.float32(depth), cells[:2])
    return ForegroundMap(tissue, filled)


def _above(values: NDArray[Any], threshold: float) -> NDArray[np.bool_]:
    """Where values exceed a threshold; whole numbers are compared as such, three times as fast as with a fraction."""
    if values.dtype.kind not in "iu":
        return np.asarray(values > threshold)
    whole = int(np.floor(threshold))  # what exceeds a number exceeds the whole number below it, and the other way round
    limits = np.iinfo(values.dtype)
    if limits.min <= whole <= limits.max:
        return np.asarray(values > values.dtype.type(whole))
    return np.full(values.shape, whole < limits.min)


def _count(true: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """How often it is so along the last axis, of at most a cell."""
    counts: NDArray[np.uint8] = true.view(np.uint8).sum(axis=-1, dtype=np.uint8)
    return counts


def _share_of_cells(above: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """As `_mean_of_cells` of what is 0 or 1, five times as fast: every slice of a volume has such a map."""
    step = CELL_SIDE // 2
    counts = [-(-side // step) for side in above.shape]
    whole = np.zeros([count * step for count in counts], np.uint8)
    whole[: above.shape[0], : above.shape[1]] = above
    sums = whole.reshape(counts[0], step, -1).sum(axis=1, dtype=np.uint8).reshape(*counts, step).sum(axis=2)
    widths = [np.minimum(step, side - np.arange(0, side, step)) for side in above.shape]
    shares: NDArray[np.uint8] = np.rint(sums / np.outer(*widths) * 255).astype(np.uint8)
    return shares


def _mean_of_cells(plane: NDArray[np.floating[Any]], cells: tuple[int, ...]) -> NDArray[np.uint8]:
    """(X / 2, Y / 2) -> (cells along X, cells along Y), 0..255; the last cells may be narrower."""
    step = CELL_SIDE // 2
    starts = [np.arange(count) * step for count in cells]
    sums = np.add.reduceat(np.add.reduceat(plane, starts[0], axis=0), starts[1], axis=1)
    widths = [np.minimum(step, side - start) for side, start in zip(plane.shape, starts, strict=True)]
    means: NDArray[np.uint8] = np.rint(sums / np.outer(*widths) * 255).astype(np.uint8)
    return means
