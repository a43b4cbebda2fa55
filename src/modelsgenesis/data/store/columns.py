"""Scans in columns: what a manifest holds, so that ten million of them take seconds and are shared by processes."""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.core.errors import DataError
from modelsgenesis.data.intensity_statistics import PERCENTILES
from modelsgenesis.data.occupancy import NUMBERS_OF
from modelsgenesis.data.store.scan import DTYPES, MODALITIES, NUMBERS, Scan, checked, notes_from, notes_to_text

IDS = ("id", "patient", "series")
SHAPED = ("shape", "spacing_mm", "percentiles", "levels", "occupancy")
TEXTS = ("sha256", "stored_sha256", "fingerprint", "notes")
MIXED = "there are volumes and pictures in one store; prepare them apart"
Rows = NDArray[np.uint32]


class Scans(Sequence[Scan]):
    """Scans, or some of a manifest's, in columns of numbers; each is made when it is asked for.

    Of a mapped manifest the columns lie in its file, which processes share; nothing of it travels with a pickle.

    Args:
        columns: those of the whole manifest.
        rows: which of its rows these are; by default all.
    """

    def __init__(self, columns: "Columns", rows: Rows | None = None) -> None:
        self.columns = columns
        self.rows = np.arange(len(columns), dtype=np.uint32) if rows is None else rows

    @classmethod
    def of(cls, scans: Iterable[Scan]) -> "Scans":
        """Take the columns of scans that are there already."""
        return scans if isinstance(scans, Scans) else cls(Columns.of(list(scans)))

    @classmethod
    def joined(cls, stores: Sequence["Scans"]) -> "Scans":
        """The scans of several manifests, one after the other, in columns of their own.

        Raises:
            DataError: some are of volumes and some of pictures.
        """
        if len({scans.axes for scans in stores}) > 1:
            raise DataError(MIXED)
        names = stores[0].columns.numbers
        numbers = {name: np.concatenate([scans.column(name) for scans in stores]) for name in names}
        texts = {name: [text for scans in stores for text in scans.texts(name)] for name in TEXTS}
        return cls(Columns(numbers, {name: column.__getitem__ for name, column in texts.items()}))

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Scan: ...
    @overload
    def __getitem__(self, index: slice) -> "Scans": ...
    def __getitem__(self, index: int | slice) -> "Scan | Scans":
        if isinstance(index, slice):
            return Scans(self.columns, self.rows[index])
        return self.columns.scan(int(self.rows[index]))

    def __iter__(self) -> Iterator[Scan]:
        return map(self.columns.scan, map(int, self.rows))

    def __add__(self, other: "Scans") -> "Scans":
        """These, and others of the same manifest."""
        return Scans(self.columns, np.concatenate([self.rows, other.rows]))

    def where(self, chosen: NDArray[np.bool_]) -> "Scans":
        """Those for which it is true, in their order."""
        return Scans(self.columns, self.rows[chosen])

    def column(self, name: str) -> NDArray[Any]:
        """One column of numbers: (N,), or (N, numbers) of those in SHAPED; ids are 64 bits, a modality its number."""
        whole: NDArray[Any] = self.columns.numbers[name]
        return whole if len(self) == len(whole) and self._is_whole else whole[self.rows]

    def texts(self, name: str) -> Iterator[str]:
        """The texts of one of the columns in TEXTS, in their order."""
        return map(self.columns.texts[name], map(int, self.rows))

    def by_id(self) -> "Scans":
        """The same scans in the order of their ids."""
        return Scans(self.columns, self.rows[np.argsort(self.column("id"), kind="stable")])

    @functools.cached_property
    def _is_whole(self) -> bool:
        return bool((self.rows == np.arange(len(self.rows), dtype=np.uint32)).all())

    @property
    def axes(self) -> int:
        """How many axes of space they have: 3, or 2 of pictures."""
        return int(self.columns.numbers["spacing_mm"].shape[1])

    @property
    def sizes(self) -> NDArray[np.int64]:
        """(N, axes), in voxels."""
        sizes: NDArray[np.int64] = self.column("shape")[:, 1:].astype(np.int64)
        return sizes

    @property
    def num_images(self) -> int:
        """How many images they count as: a volume, or a picture, is one; the slices of a volume are counted."""
        return int(self.column("num_cubes").sum()) if self.axes == 2 else len(self)

    def of_modality(self, modality: str) -> NDArray[np.bool_]:
        """Which of them are of a modality."""
        chosen: NDArray[np.bool_] = self.column("modality") == MODALITIES.index(modality)
        return chosen


@dataclass(frozen=True)
class Columns:
    """The columns of a manifest.

    Attributes:
        numbers: {name: (N,) or (N, numbers)}.
        texts: {name: N texts}, in memory or mapped.
        again: maps them anew in another process; None in memory.
    """

    numbers: dict[str, NDArray[Any]]
    texts: Mapping[str, Callable[[int], str]]
    again: Callable[[], "Columns"] | None = None

    def __len__(self) -> int:
        return len(self.numbers["id"])

    def __reduce__(self) -> tuple[Any, ...]:
        """What is mapped does not travel: another process maps it for itself."""
        return (Columns, (self.numbers, self.texts)) if self.again is None else (call, (self.again,))

    @classmethod
    def of(cls, scans: Sequence[Scan]) -> "Columns":
        """Take the columns of scans.

        Raises:
            DataError: there are volumes and pictures among them, which no store holds together.
        """
        if isinstance(scans, Scans):
            return Scans.joined([scans]).columns
        if len({len(scan.shape) for scan in scans}) > 1:
            raise DataError(MIXED)
        numbers: dict[str, NDArray[Any]] = {
            name: np.array([int(getattr(scan, name), 16) for scan in scans], np.uint64) for name in IDS
        }
        numbers["site"] = np.array([int(scan.site or "0", 16) for scan in scans], np.uint64)
        numbers["modality"] = np.array([MODALITIES.index(scan.modality) for scan in scans], np.int8)
        numbers["dtype"] = np.array([DTYPES.index(scan.dtype) for scan in scans], np.int8)
        for name, kind in NUMBERS.items():
            numbers[name] = np.array([getattr(scan, name) for scan in scans], np.int64 if kind is int else np.float64)
        axes = len(scans[0].shape) - 1 if scans else 3
        numbers["shape"] = np.array([scan.shape for scan in scans], np.int64).reshape(-1, axes + 1)
        numbers["spacing_mm"] = np.array([scan.spacing_mm for scan in scans], np.float64).reshape(-1, axes)
        known = [[scan.percentiles[p] for p in PERCENTILES] for scan in scans]
        numbers["percentiles"] = np.array(known, np.float64).reshape(-1, len(PERCENTILES))
        levels = [scan.levels or (np.nan, np.nan) for scan in scans]
        numbers["levels"] = np.array(levels, np.float64).reshape(-1, 2)
        boxes = [scan.occupancy or (-1,) * NUMBERS_OF[axes] for scan in scans]
        numbers["occupancy"] = np.array(boxes, np.int16).reshape(-1, NUMBERS_OF[axes])
        texts = {name: [_text_of(scan, name) for scan in scans] for name in TEXTS}
        return cls(numbers, {name: column.__getitem__ for name, column in texts.items()})

    def scan(self, row: int) -> Scan:
        """The scan of a row.

        Raises:
            DataError: the row holds what no scan can have.
        """
        numbers = self.numbers
        plain: dict[str, Any] = {name: f"{numbers[name][row].item():016x}" for name in IDS}
        plain |= {name: numbers[name][row].item() for name in NUMBERS}
        shape, spacing, known, levels, boxes = (tuple(numbers[name][row].tolist()) for name in SHAPED)
        made = Scan(
            **plain,
            modality=MODALITIES[numbers["modality"][row]],
            dtype=DTYPES[numbers["dtype"][row]],
            shape=shape,
            spacing_mm=spacing,
            percentiles=dict(zip(PERCENTILES, known, strict=True)),
            levels=None if levels[0] != levels[0] else levels,
            occupancy=boxes if boxes[0] >= 0 else (),
            sha256=self.texts["sha256"](row),
            stored_sha256=self.texts["stored_sha256"](row),
            fingerprint=self.texts["fingerprint"](row),
            site=f"{site:016x}" if (site := numbers["site"][row].item()) else "",
            notes=notes_from(self.texts["notes"](row)),
        )
        try:
            return made if self.again is None else checked(made)
        except ValueError as error:
            raise DataError(f"the manifest's row of {made.id} is broken ({error}); prepare again") from error


def _text_of(scan: Scan, name: str) -> str:
    return notes_to_text(scan.notes) if name == "notes" else str(getattr(scan, name))


def call(make: Callable[[], Columns]) -> Columns:
    """Call what makes columns, when a pickle is opened."""
    return make()
