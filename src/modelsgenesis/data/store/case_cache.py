"""Cases as fine-tuning keeps them: image and masks on one grid, read once, cut patch by patch."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.labels import LabelMap
from modelsgenesis.core.naming import describe, described_at_first
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.core.target import Target
from modelsgenesis.data.case import Case
from modelsgenesis.data.channels import read_image
from modelsgenesis.data.images import Reading, scaled
from modelsgenesis.data.regions import embedded, overlap
from modelsgenesis.data.sources import Source
from modelsgenesis.data.store.arrays import OpenFiles, StoredArray, find_record, is_current, write_array

MOST_LOCATIONS = 1000  # kept of each class, for patches that hold some of it
AS_THEY_ARE = ("u1", "i1", "i2", "u2", "f4")  # dtypes kept as they are; any other becomes float32


@dataclass(frozen=True)
class CachedCase:
    """The record of a case in the cache.

    Attributes:
        id: of the case.
        size: (X, Y, Z), in voxels; (X, Y) of a picture.
        limits: the values that become 0 and 1, one pair a channel.
        values: as in `Case`.
        num_voxels: of each label that is learned voxel by voxel; none where the case has one prediction.
        made_of: a hash of the sources, the reading and the target; another one is another case.
    """

    id: str
    size: tuple[int, ...]
    limits: tuple[tuple[float, float], ...]
    values: tuple[float, ...]
    num_voxels: tuple[int, ...]
    made_of: str


class CaseCache:
    """A folder of prepared cases; it may be pickled, and used in forked or spawned loader workers.

    Args:
        path: of the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open = OpenFiles(StoredArray)

    def images_of(self, case: CachedCase) -> StoredArray:
        """Return the image as (1, C, X, Y, Z), in the sources' units."""
        return self._open[self.path / f"{case.id}.image.b2nd"]

    def masks_of(self, case: CachedCase) -> StoredArray:
        """Return the masks as (1, channels, X, Y, Z), as the target reads them."""
        return self._open[self.path / f"{case.id}.mask.b2nd"]

    def case(self, id_: str) -> CachedCase:
        """The record of a case.

        Raises:
            DataError: it is not here.
        """
        known = find_cached_case(self.path, id_)
        if known is None:
            raise DataError(f"{self.path} holds no case {id_}, or it is damaged; run the same command again")
        return known

    def image(self, case: CachedCase, lower: tuple[int, ...], size: tuple[int, ...]) -> NDArray[np.float32]:
        """Cut a region as the network sees it: (C, *size) in [0, 1]; what lies beyond the case is 0."""
        inside, place = overlap(case.size, lower, size)
        region = scaled(self.images_of(case).read((slice(0, 1), slice(0, len(case.limits)), *inside))[0], case.limits)
        return embedded(region, place, size)

    def mask(self, case: CachedCase, lower: tuple[int, ...], size: tuple[int, ...]) -> NDArray[np.uint8]:
        """Cut a region of the masks, (channels, *size); what lies beyond the case is background."""
        inside, place = overlap(case.size, lower, size)
        region = self.masks_of(case).read((slice(0, 1), slice(None), *inside))[0]
        return embedded(region, place, size)

    def locations(self, case: CachedCase, label: int) -> NDArray[np.int32]:
        """Choose some voxels of a label, (N, axes), evenly among all of them."""
        kept = [min(num, MOST_LOCATIONS) for num in case.num_voxels]
        found = np.frombuffer(self.masks_of(case).extra("places"), np.int32).reshape(-1, len(case.size))
        return found[sum(kept[:label]) : sum(kept[: label + 1])]


def cache_case(case: Case, *, target: Target, reading: Reading, into: Path) -> CachedCase:
    """Read a case into the cache, unless it is there already.

    Args:
        case: of the task.
        target: of the task.
        reading: how images are read.
        into: the folder.
    Raises:
        UnreadableError: image or mask cannot be read, or do not fit each other.
        DataError: the folder cannot be written.
    """
    wanted = _wanted(case, target, reading)  # before reading: a source that changes meanwhile is read again
    if (known := find_cached_case(into, case.id)) is not None and is_current(known, wanted):
        return known
    image = read_image(case.images, reading)
    num_voxels: tuple[int, ...] = ()
    if (labels := target.voxel_labels) is not None:
        mask = target.read_voxels(case, image, reading)
        counts = count_planes(mask, labels)
        num_voxels = tuple(int(each.sum()) for each in counts)
        # One after another under one name: Blosc2 takes sixteen names at most, tasks may have a hundred labels.
        locations = b"".join(some_of(mask, labels, label, each).tobytes() for label, each in enumerate(counts))
        _write(into / f"{case.id}.mask.b2nd", mask, {"places": locations})
    prepared = CachedCase(case.id, image.size, image.limits, case.values, num_voxels, **wanted)
    kept = image.values if image.values.dtype.str[1:] in AS_THEY_ARE else image.values.astype(np.float32)
    _write(into / f"{case.id}.image.b2nd", kept, {"case": json.dumps(dataclasses.asdict(prepared)).encode()})
    return prepared


def find_current_case(case: Case, *, target: Target, reading: Reading, folder: Path) -> CachedCase | None:
    """The record of a case that is kept whole and would be made of the same sources again; None when it is not."""
    known = find_cached_case(folder, case.id)
    return known if known is not None and is_current(known, _wanted(case, target, reading)) else None


def find_cached_case(folder: Path, id_: str) -> CachedCase | None:
    """Find the record of a case that is complete in the cache; None otherwise."""
    return find_record(
        folder / f"{id_}.image.b2nd", "case", lambda data: CachedCase(**{k: _as_tuple(v) for k, v in data.items()})
    )


def count_planes(mask: NDArray[np.uint8], labels: LabelMap) -> NDArray[np.int64]:
    """Count the voxels of each label in each plane along X, (labels, X).

    Args:
        mask: (channels, *space), as the target reads it.
        labels: that it holds.
    """
    return np.stack([labels.count(mask[:, x]) for x in range(mask.shape[1])], axis=1)


def some_of(mask: NDArray[np.uint8], labels: LabelMap, label: int, counts: NDArray[np.int64]) -> NDArray[np.int32]:
    """Choose at most a thousand voxels of a label, (N, axes), plane by plane: a list of all may be larger than a scan.

    Args:
        mask: (channels, *space).
        labels: that it holds.
        label: its number from 0.
        counts: its voxels in each plane, (X,).
    """
    ends = counts.cumsum()
    num = int(ends[-1])
    if num > MOST_LOCATIONS:
        ranks = generator_for(num, label, "places").choice(num, MOST_LOCATIONS, replace=False)
    else:
        ranks = np.arange(num)
    planes = np.searchsorted(ends, ranks, side="right")
    found = np.empty((len(ranks), mask.ndim - 1), np.int32)
    for x in np.unique(planes):
        there = np.argwhere(labels.present(mask[:, x], label))
        chosen = planes == x
        found[chosen, 0] = x
        found[chosen, 1:] = there[ranks[chosen] - (ends[x] - counts[x])]
    return found


def _write(path: Path, values: NDArray[Any], extra: dict[str, bytes]) -> None:
    write_array(path, (1, *values.shape), values.dtype.str, lambda at: values[at[1:]][np.newaxis], lambda: extra)


def _wanted(case: Case, target: Target, reading: Reading) -> dict[str, str]:
    """The entries of a case's record that change with the case and with its sources."""
    sources = [[_named(source), source.num_bytes, _changed(source)] for source in (*case.images, *case.masks)]
    parts = [described_at_first(target), describe(reading), sources, list(case.values)]
    return {"made_of": hashlib.sha256(json.dumps(parts).encode()).hexdigest()}


def _named(source: Source) -> list[str | int | None]:
    """Which image of which file, and what was declared of it; its box, if it is one, is part of its series' name."""
    return [str(source.path), source.series, source.array, source.index, source.modality]


def _changed(source: Source) -> int:
    """The time at which a source was last written: a mask that was corrected seldom changes its size."""
    return max(file.stat().st_mtime_ns for file in source.files)


def _as_tuple(value: Any) -> Any:
    return tuple(_as_tuple(each) for each in value) if isinstance(value, list) else value
