"""A store of slices out of a store of volumes: `genesis prepare STORE SLICES --slices axial`."""

import dataclasses
import functools
import itertools
import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.core.console import make_console
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import sha256
from modelsgenesis.core.lease import held
from modelsgenesis.core.provenance import read_provenance, write_provenance
from modelsgenesis.data.intensity_statistics import ForegroundMap, make_foreground_map, mean_of_maps, stack_maps
from modelsgenesis.data.occupancy import occupancy_of
from modelsgenesis.data.problems import Problem
from modelsgenesis.data.store.arrays import is_current, write_array
from modelsgenesis.data.store.scan import Encoding, Scan
from modelsgenesis.data.store.store import SALT, SCANS, Store, find_salt, scan_file
from modelsgenesis.data.store.writer import (
    begin_store,
    find_done,
    has_provenance,
    stored_ids,
    write_problems,
    write_summed_manifest,
)

Direction = Literal["axial", "coronal", "sagittal", "orthogonal"]
ACROSS = {"axial": 2, "coronal": 1, "sagittal": 0}  # the axis that a direction's slices lie across
UNSALTED = "unknown"  # until the store is finished: ids of a store that was shared cannot be made again
PREFIX = "slices_"  # of these settings among a store's


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
            raise DataError(f"slices are {', '.join(ACROSS)} or orthogonal, not {self.direction!r}")
        if self.every < 1 or self.neighbours < 0:
            raise DataError(f"every must be 1 or more and neighbours 0 or more, got {self.every}, {self.neighbours}")

    def places(self, scan: Scan) -> list[int]:
        """The numbers of a scan's slices that are taken."""
        deep = scan.size[ACROSS[self.direction]]
        return list(range(min(self.every // 2, deep - 1), deep, self.every))

    def shape(self, scan: Scan) -> tuple[int, ...]:
        """The shape of a scan's slices, (channels, *plane)."""
        plane = (side for axis, side in enumerate(scan.size) if axis != ACROSS[self.direction])
        return scan.shape[0] * (2 * self.neighbours + 1), *plane

    def spacing_mm(self, scan: Scan) -> tuple[float, ...]:
        """The spacing along a slice's axes."""
        return tuple(step for axis, step in enumerate(scan.spacing_mm) if axis != ACROSS[self.direction])

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
        return _upright(slices.reshape(-1, *slices.shape[2:]), across)

    def looked_at(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """The planes of what `read` gives that decide whether it may be cut: the slice itself, of the first channel."""
        return values[self.neighbours : self.neighbours + 1]


@dataclasses.dataclass(frozen=True)
class OrthogonalSlicing:
    """How squares of three planes are made of volumes: axial, coronal and sagittal through one point, as channels.

    Of a cube of that side around the point, they are the planes through voxel side // 2. Their axes are (X, Y), (X, Z)
    and (Y, Z), Z reversed, so that the head is on top.

    Args:
        side: of the squares, in voxels.
        every: the points lie so many voxels apart along each axis; the first as near to the corner as squares fit.
    Raises:
        DataError: a number that makes no sense.
    """

    side: int
    every: int

    def __post_init__(self) -> None:
        if self.side < 2 or self.every < 1:
            raise DataError(f"side must be 2 or more and every 1 or more, got {self.side} and {self.every}")

    @property
    def direction(self) -> Direction:
        """All three of them."""
        return "orthogonal"

    def places(self, scan: Scan) -> list[tuple[int, ...]]:
        """The first voxels of the cubes around a scan's points; none where it is smaller than a cube."""
        return list(itertools.product(*(range(0, whole - self.side + 1, self.every) for whole in scan.size)))

    def shape(self, scan: Scan) -> tuple[int, ...]:
        """The shape of a scan's squares, (channels, side, side)."""
        return scan.shape[0] * len(ACROSS), self.side, self.side

    def spacing_mm(self, scan: Scan) -> tuple[float, ...]:
        """The spacing of the axial squares."""
        return scan.spacing_mm[:2]

    def read(self, store: Store, scan: Scan, place: tuple[int, ...]) -> NDArray[np.float32]:
        """Read the planes of one cube, (channels x 3, side, side)."""
        planes = []
        for across in ACROSS.values():
            lower, size = list(place), [self.side] * 3
            lower[across], size[across] = place[across] + self.side // 2, 1
            plane = store.read(scan, tuple(lower), tuple(size)).squeeze(across + 1)
            planes.append(_upright(plane, across))
        return np.stack(planes, axis=1).reshape(-1, self.side, self.side)

    def looked_at(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """The planes of what `read` gives that decide whether it may be cut: all three, of the first channel."""
        return values[: len(ACROSS)]


def slicing_of(store: Store) -> Slicing | OrthogonalSlicing | None:
    """How a store's slices were made of volumes; None for a store of anything else."""
    made = read_provenance(store.path, "prepare").arguments
    settings = {name.removeprefix(PREFIX): value for name, value in made.items() if name.startswith(PREFIX)}
    if settings.get("direction") == "orthogonal":
        return OrthogonalSlicing(settings["side"], settings["every"])
    return Slicing(**settings) if settings else None


def slice_store(source: Path, into: Path, slicing: Slicing | OrthogonalSlicing, *, quiet: bool = False) -> Path:
    """Make a store of slices; the scans themselves are not read again.

    A scan's slices are one array, whose every slice is as likely as another. Ids, patients, folds and the statistics by
    which values are scaled stay those of the volumes, so that training and validation are divided as there.

    Raises:
        DataError: the source is no finished store of volumes, or the folder is another's.
    """
    volumes = Store.open(source)
    if volumes.axes != 3 or any(scan.num_cubes > 1 for scan in volumes.scans):
        raise DataError(f"{source} holds no whole volumes to slice; give a store that was prepared from scans")
    settings = {f"{PREFIX}direction": slicing.direction} | {
        f"{PREFIX}{key}": value for key, value in vars(slicing).items()
    }
    salt, why = find_salt(source)  # of the patients' ids, which stay: only by it are test patients found among them
    if salt is None and (source / SALT).exists():
        raise DataError(why)
    begin_store(into, settings, salt or UNSALTED)
    with held(into, "prepare"):
        (into / SCANS).mkdir(exist_ok=True)
        fit = [scan for scan in volumes.scans if slicing.places(scan)]
        without = {scan.id for scan in volumes.scans} - {scan.id for scan in fit}
        write_problems(into, [_too_small(volumes, scan) for scan in volumes.scans if scan.id in without])
        if not fit:
            raise DataError(f"no scan of {source} has room for a square in all three planes; give a smaller --side")
        for gone in set(stored_ids(into)) - {scan.id for scan in fit}:  # left out of the volumes since
            scan_file(into, gone).unlink()
        scans = [_slice_scan(volumes, scan, into, slicing) for scan in fit]
        manifest = write_summed_manifest(into, scans)
        arguments = {**settings, "scans": len(scans), "manifest_sha256": sha256(manifest)}
        if not has_provenance(into, arguments):
            write_provenance(into, "prepare", arguments, inputs=[source])
    if salt is None:
        (into / SALT).unlink(missing_ok=True)
    num = sum(scan.num_cubes for scan in scans)
    make_console(quiet=quiet).print(f"prepare: {num} {slicing.direction} slices of {len(scans)} scans")
    return into


def _too_small(volumes: Store, scan: Scan) -> Problem:
    what = f"its {' x '.join(map(str, scan.size))} voxels have no room for a square in all three planes"
    return Problem(scan_file(volumes.path, scan.id), what, "give a smaller --side")


def _upright(planes: NDArray[np.float32], across: int) -> NDArray[np.float32]:
    """Turn planes so that the head is on top: those with Z have it reversed."""
    return planes if across == ACROSS["axial"] else planes[..., ::-1]


def _slice_scan(volumes: Store, scan: Scan, into: Path, slicing: Slicing | OrthogonalSlicing) -> Scan:
    """Write the slices of one scan, unless they are there."""
    places: list[Any] = list(slicing.places(scan))  # of its own kind
    sliced = dataclasses.replace(
        scan,
        shape=slicing.shape(scan),
        spacing_mm=slicing.spacing_mm(scan),
        num_cubes=len(places),
        cubes_per_scan=len(places),
        stored_sha256="",  # the volume's is of another file
        occupancy=(),  # that is of the volume
    )
    done = find_done(into, scan.id)
    if done is not None and is_current(done, {"sha256": scan.sha256, "shape": sliced.shape}):
        return done
    encoding = Encoding(scan.dtype, scan.slope, scan.intercept)
    described: list[Scan] = []  # once all slices are written
    coarse: list[ForegroundMap] = []  # of each slice: the array is written in their order

    @functools.lru_cache(maxsize=1)  # a slice is asked for channel by channel
    def stored(number: int) -> NDArray[Any]:
        values = slicing.read(volumes, scan, places[number])
        coarse.append(mean_of_maps([make_foreground_map(each, scan.foreground) for each in slicing.looked_at(values)]))
        return encoding.encode(values)

    def values_at(at: tuple[slice, ...]) -> NDArray[Any]:
        return stored(at[0].start)[at[1:]][np.newaxis]

    def extra() -> dict[str, bytes]:
        maps = stack_maps(coarse)
        described.append(dataclasses.replace(sliced, occupancy=occupancy_of(maps, sliced.size)))
        return {"scan": json.dumps(described[0].to_json()).encode(), **maps.to_extras()}

    path = scan_file(into, scan.id)
    write_array(path, (len(places), *sliced.shape), scan.dtype, values_at, extra)
    return described[0]
