"""The store: a folder of prepared scans, read cube by cube."""

import contextlib
import functools
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.core.errors import DataError, ShapeError, refusal
from modelsgenesis.core.files import read_text
from modelsgenesis.core.locations import location_of
from modelsgenesis.core.provenance import FILE as MADE
from modelsgenesis.core.provenance import read_provenance
from modelsgenesis.core.remote import bring
from modelsgenesis.data.intensity import LEAST_STD, Intensity, ZScore
from modelsgenesis.data.intensity_statistics import cells_from, outside_of
from modelsgenesis.data.store.arrays import MOST_OPEN, OpenFiles, StoredArray
from modelsgenesis.data.store.columns import Scans
from modelsgenesis.data.store.manifest import read_manifest
from modelsgenesis.data.store.scan import Scan

if TYPE_CHECKING:  # what reads the files of scans takes long to import, and a store needs none of it
    from modelsgenesis.data.sources import Source

__all__ = ["SCANS", "Scan", "Store"]

SCANS = "scans"
SALT = "salt"  # secret: whoever has it can tell from which source a scan comes


class Store:
    """A finished folder of `genesis prepare`; make one with `Store.open`.

    It may be pickled, and used in forked or spawned loader workers: files are opened when first read, in each process
    anew, and at most MOST_OPEN are kept open.
    """

    def __init__(self, path: Path, scans: Sequence[Scan]) -> None:
        self.path, self.scans = path, Scans.of(scans)
        self._open = OpenFiles(functools.partial(_open, path))
        self._mirrored = location_of(path) is not None
        self._masked: dict[str, tuple[Scan, NDArray[np.intp]]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """All but what was read, which another process reads anew."""
        kept = {name: value for name, value in vars(self).items() if name != "sources"}
        return {**kept, "_masked": {}}

    @classmethod
    def open(cls, path: Path | str) -> "Store":
        """Open a store; the manifest is read, but no voxels.

        Raises:
            DataError: the folder is missing, unfinished, not a store, or its manifest is broken.
        """
        path = Path(path)
        if not path.is_dir():
            raise DataError(f"{path}: no such folder; make a store with: genesis prepare SCANS {path}")
        read_provenance(path, "prepare")
        scans = read_manifest(path)
        if not scans:
            raise DataError(f"{path} holds no scan; see {path / 'problems.csv'} for why, then prepare again")
        return cls(path, scans)

    @property
    def axes(self) -> int:
        """How many axes of space its scans have: 3, or 2 of pictures."""
        return self.scans.axes

    @property
    def folds(self) -> list[int]:
        """The folds that occur, in rising order."""
        return [int(fold) for fold in np.unique(self.scans.column("fold"))]

    def read(self, scan: Scan, lower: tuple[int, ...], size: tuple[int, ...], *, index: int = 0) -> NDArray[np.float32]:
        """Cut a region, in physical units (HU for CT).

        Args:
            scan: one of `scans`.
            lower: first voxel along X, Y, Z, or X, Y of a picture.
            size: voxels along the same axes.
            index: which array of an official cube file; 0 for an ordinary scan.
        Returns:
            (C, *size), float32, its own memory.
        Raises:
            ShapeError: the region leaves the scan.
            DataError: the file is missing or damaged.
        """
        space = tuple(slice(low, low + side) for low, side in zip(lower, size, strict=True))
        with self._naming(scan):
            if any(low < 0 or low + side > whole for low, side, whole in zip(lower, size, scan.size, strict=True)):
                raise ShapeError(f"a region of {size} voxels from {lower} leaves scan {scan.id}, which has {scan.size}")
            stored = self._handle(scan)[0].read((slice(index, index + 1), slice(0, scan.shape[0]), *space))[0]
        values: NDArray[np.float32] = stored.astype(np.float32)
        if scan.slope != 1.0:
            values *= np.float32(scan.slope)
        if scan.intercept != 0.0:
            values += np.float32(scan.intercept)
        return values

    def read_scaled(
        self, scan: Scan, lower: tuple[int, ...], size: tuple[int, ...], intensity: Intensity, *, index: int = 0
    ) -> NDArray[np.float32]:
        """Cut a region as `read` does, and scale it to [0, 1]; of a masked z-score, by the mask of the whole scan."""
        values = self.read(scan, lower, size, index=index)
        if not (isinstance(intensity, ZScore) and intensity.masked) or scan.num_cubes > 1:
            return intensity.scale(values, scan)
        within_mask, holes = self._mask_of(scan)
        holes = holes - lower
        outside: NDArray[np.bool_] = np.logical_not(values.any(axis=0))
        outside[tuple(holes[((holes >= 0) & (holes < size)).all(axis=1)].T)] = False
        return intensity.scale(values, within_mask, outside)

    def _mask_of(self, scan: Scan) -> tuple[Scan, NDArray[np.intp]]:
        """A scan with the moments of its mask, and where it is 0 and enclosed; kept of the last MOST_OPEN."""
        if scan.id not in self._masked:
            values = self.read(scan, (0,) * len(scan.size), scan.size)
            outside = outside_of(values)
            within = values[:, ~outside].astype(np.float64)
            std = max(float(within.std()), LEAST_STD)
            measured = replace(scan, mean=float(within.mean()), std=std, zeros=0.0)
            if len(self._masked) == MOST_OPEN:
                self._masked.pop(next(iter(self._masked)))
            self._masked[scan.id] = measured, np.argwhere(~values.any(axis=0) & ~outside)
        return self._masked[scan.id]

    def foreground_map(self, scan: Scan, name: str) -> NDArray[np.uint8]:
        """One of the scan's coarse maps, "tissue" or "foreground", 0..255 for 0..1; kept while its file is open."""
        with self._naming(scan):
            array, maps = self._handle(scan)
            if name not in maps:
                maps[name] = cells_from(array.extra(name))
            return maps[name]

    def source_of(self, id_: str) -> str:
        """The words " (of FILE)" for a message that names a scan by its id; "" where the file is not known."""
        source = self.sources.get(id_)
        return f" (of {source.path})" if source else ""

    @functools.cached_property
    def sources(self) -> "dict[str, Source]":
        """The sources of the scans by id, found again by the salt; none once it is gone, or the files have moved."""
        from modelsgenesis.data.store.preparing import Settings, name_scan, sources_in  # here: it imports this file

        try:
            places = [Path(place) for place in read_provenance(self.path, "prepare").inputs]
            if self.is_joined:  # of an id that two stores have, the first store's scan keeps it
                return {id_: source for place in reversed(places) for id_, source in _sources_of(place).items()}
            settings = Settings(read_text(self.path / SALT))
            sources = [source for place in places for source in sources_in(place, self.path)[0]]
        except (DataError, OSError):
            return {}
        return {name_scan(source, settings).id: source for source in sources}

    @property
    def is_joined(self) -> bool:
        """Whether its scans are those of other stores, which its provenance names."""
        return bool(read_provenance(self.path, "prepare").arguments.get("join"))

    @contextlib.contextmanager
    def _naming(self, scan: Scan) -> Iterator[None]:
        """Let an error about a scan name its file too."""
        try:
            yield
        except (DataError, ShapeError) as error:
            raise type(error)(f"{error}{self.source_of(scan.id)}") from error

    def _handle(self, scan: Scan) -> tuple[StoredArray, dict[str, NDArray[np.uint8]]]:
        if self._mirrored:  # Blosc2 opens a file anew for each read, and it may have had to make room
            bring(scan_file(self.path, scan.id), scan.stored_sha256)
        opened = self._open[scan.id]
        opened[0].check((scan.num_cubes, *scan.shape), scan.dtype)
        return opened


def _sources_of(place: Path) -> "dict[str, Source]":
    """The sources of a store that may be gone."""
    try:
        return Store.open(place).sources
    except (DataError, OSError):
        return {}


def find_salts(store: Path) -> tuple[list[str], str]:
    """Read the salts by which the patients of a store are named: several, where it was joined of stores with their own.

    Returns:
        Those that are there, and why one is not, if any is not.
    """
    salt, why = find_salt(store)
    if salt is not None or not (store / MADE).is_file() or not Store.open(store).is_joined:
        return ([] if salt is None else [salt]), why
    found = [find_salts(Path(place)) for place in read_provenance(store, "prepare").inputs]
    return [salt for salts, _ in found for salt in salts], "; ".join(filter(None, (why for _, why in found)))


def find_salt(store: Path) -> tuple[str | None, str]:
    """Read the salt of a store; without it None, and the true reason."""
    path = store / SALT
    try:
        return read_text(path), ""
    except FileNotFoundError:
        return None, f"{path} is gone"
    except (OSError, UnicodeDecodeError) as error:
        return None, f"{path} cannot be read ({refusal(error) or error})"


def _open(store: Path, id_: str) -> tuple[StoredArray, dict[str, NDArray[np.uint8]]]:
    """Open a scan's array, and make room for its coarse maps."""
    path = scan_file(store, id_)
    if why := lost_behind(path):
        raise DataError(f"{path}: {why}")
    return StoredArray(path), {}


def lost_behind(file: Path) -> str:
    """What is wrong with a link of a joined store that leads nowhere; "" of any other file."""
    if not file.is_symlink() or file.exists():
        return ""
    return (
        f"leads to {os.readlink(file)}, which is gone; put the store that it was joined from back there, or join what "
        "is left into a new folder"
    )


def scan_file(store: Path, id_: str) -> Path:
    """The file of a scan."""
    return store / SCANS / f"{id_}.b2nd"
