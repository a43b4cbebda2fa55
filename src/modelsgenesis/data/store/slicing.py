"""A store of slices out of a store of volumes: `genesis prepare STORE SLICES --slices axial`."""

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import held, sha256
from modelsgenesis.core.provenance import write_provenance
from modelsgenesis.data.store.arrays import is_current, write_array
from modelsgenesis.data.store.scan import Encoding, Scan
from modelsgenesis.data.store.store import MANIFEST, SCANS, Store
from modelsgenesis.data.store.writer import (
    SETTINGS,
    begin_store,
    find_done,
    has_provenance,
    remove_leftovers,
    write_manifest,
    write_problems,
)

Direction = Literal["axial", "coronal", "sagittal"]
ACROSS = {"axial": 2, "coronal": 1, "sagittal": 0}  # the axis that a direction's slices lie across


@dataclasses.dataclass(frozen=True)
class Slicing:
    """How slices are made of volumes.

    Args:
        direction: of the slices.
        every: take one slice of so many, from the middle of the first so many.
        neighbours: on either side of a slice, as further channels; at the borders the outermost is repeated.
    Raises:
        DataError: a number that makes no sense.
    """

    direction: Direction
    every: int = 1
    neighbours: int = 0

    def __post_init__(self) -> None:
        if self.direction not in ACROSS:
            raise DataError(f"slices are {', '.join(ACROSS)}, not {self.direction!r}")
        if self.every < 1 or self.neighbours < 0:
            raise DataError(f"every must be 1 or more and neighbours 0 or more, got {self.every}, {self.neighbours}")

    def places(self, scan: Scan) -> list[int]:
        """The numbers of a scan's slices that are taken."""
        deep = scan.size[ACROSS[self.direction]]
        return list(range(min(self.every // 2, deep - 1), deep, self.every))

    def read(self, store: Store, scan: Scan, place: int) -> NDArray[np.float32]:
        """Read one slice with its neighbours, (channels x (2 x neighbours + 1), *plane), the head on top."""
        across = ACROSS[self.direction]
        deep = scan.size[across]
        low, high = max(0, place - self.neighbours), min(deep, place + self.neighbours + 1)
        lower, size = [0, 0, 0], list(scan.size)
        lower[across], size[across] = low, high - low
        slab = store.read(scan, tuple(lower), tuple(size))
        wanted = np.clip(np.arange(place - self.neighbours, place + self.neighbours + 1), low, high - 1) - low
        slices = np.moveaxis(np.take(slab, wanted, axis=across + 1), across + 1, 1)
        planes = slices.reshape(-1, *slices.shape[2:])
        return planes if self.direction == "axial" else planes[..., ::-1]


def slice_store(source: Path, into: Path, slicing: Slicing, *, quiet: bool = False) -> Path:
    """Make a store of slices; the scans themselves are not read again.

    A scan's slices are one array, whose every slice is as likely as another. Ids, patients, folds and the statistics by
    which values are scaled stay those of the volumes, so that training and validation are divided as there.

    Raises:
        DataError: the source is no finished store of volumes, or the folder is another's.
    """
    volumes = Store.open(source)
    if volumes.axes != 3 or any(scan.num_cubes > 1 for scan in volumes.scans):
        raise DataError(f"{source} holds no whole volumes to slice; give a store that was prepared from scans")
    settings = {f"slices_{name}": value for name, value in vars(slicing).items()}
    begin_store(into, settings, None)
    with held(into / SETTINGS, "prepare"):
        (into / SCANS).mkdir(exist_ok=True)
        remove_leftovers(into)
        scans = [_slice_scan(volumes, scan, into, slicing) for scan in volumes.scans]
        write_problems(into, [])
        write_manifest(into, scans)
        arguments = {**settings, "scans": len(scans), "manifest_sha256": sha256(into / MANIFEST)}
        if not has_provenance(into, arguments):
            write_provenance(into, "prepare", arguments, inputs=[source])
    num = sum(scan.num_cubes for scan in scans)
    Console(stderr=True, quiet=quiet).print(f"prepare: {num} {slicing.direction} slices of {len(scans)} scans")
    return into


def _slice_scan(volumes: Store, scan: Scan, into: Path, slicing: Slicing) -> Scan:
    """Write the slices of one scan, unless they are there."""
    places = slicing.places(scan)
    kept = [axis for axis in range(3) if axis != ACROSS[slicing.direction]]
    sliced = dataclasses.replace(
        scan,
        shape=(scan.shape[0] * (2 * slicing.neighbours + 1), *(scan.size[axis] for axis in kept)),
        spacing_mm=tuple(scan.spacing_mm[axis] for axis in kept),
        num_cubes=len(places),
        cubes_per_scan=len(places),
    )
    done = find_done(into, scan.id)
    if done is not None and is_current(done, {"sha256": scan.sha256, "shape": sliced.shape}):
        return done
    encoding = Encoding(scan.dtype, scan.slope, scan.intercept)

    @functools.lru_cache(maxsize=1)  # a slice is asked for channel by channel
    def stored(number: int) -> NDArray[Any]:
        return encoding.encode(slicing.read(volumes, scan, places[number]))

    def values_at(at: tuple[slice, ...]) -> NDArray[Any]:
        return stored(at[0].start)[at[1:]][np.newaxis]

    record = json.dumps(sliced.to_json()).encode()
    path = into / SCANS / f"{scan.id}.b2nd"
    write_array(path, (len(places), *sliced.shape), scan.dtype, values_at, {"scan": record})
    return sliced
