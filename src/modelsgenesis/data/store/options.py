"""What one may choose of a store: the options of `genesis prepare`."""

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, NamedTuple

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.image_format import MAX_VOXELS
from modelsgenesis.data.store.slicing import Direction, OrthogonalSlicing, Slicing

SPELLED = re.compile(r"([0-9]{1,9})/([0-9]{1,9})")
OF_SLICES = ("slices", "every", "side", "neighbours", "workers", "quiet")
OF_JOINING = ("join", "where", "workers", "quiet")


class Part(NamedTuple):
    """Which scans of a list are a part's: number, number + of, number + 2 of ..., the first being 1."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @classmethod
    def parse(cls, spelled: str) -> "Part":
        """Understand "3/8".

        Raises:
            DataError: it is none.
        """
        found = SPELLED.fullmatch(spelled)
        part = cls(int(found[1]), int(found[2])) if found else None
        if part is None or not 1 <= part.number <= part.of:
            raise DataError(f"--part must be K/N with K from 1 to N, such as 3/8, got {spelled!r}")
        return part


@dataclass(frozen=True, kw_only=True)
class PrepareOptions:
    """The options of genesis prepare.

    Args:
        spacing: The spacing to resample to, in mm along X, Y and Z; each scan's own by default.
        modality: The modality of every scan; by default the CSV, the header or the values decide.
        workers: How many processes read; one a core by default, 0 works in this process.
        folds: How many groups patients are dealt to.
        salt: A secret text that ids are made with; a random one, kept in the store, by default.
        leave_out: Tables with the column `image` or `patient`, such as a fine-tuned RUN/test.csv, whose scans and
            patients must not be in the store; they are read anew each time, and what was in it before is deleted.
        longest_side: A picture whose longer side has more pixels is shrunk to that many, once, by averaging.
        voi: Of DICOM radiographs, the window or look-up table that the header gives is applied.
        crop_borders: A picture's borders that are all black or all white, as collimators leave them, are cut off.
        slices: SCANS is a store of volumes, of which a store of slices is made: axial, coronal or sagittal; or
            orthogonal, squares of all three planes through one point as channels.
        every: With slices, one slice of so many is taken; by default all. Of orthogonal ones the points lie so many
            voxels apart, by default a side.
        side: With orthogonal slices, the side of the squares in voxels.
        neighbours: With slices, so many neighbours on either side become channels of a slice (2.5D).
        max_voxels: A scan of more voxels is refused.
        part: K/N, such as 3/8: the K-th of N shares of the scans is prepared, in any order, on any machine that has
            both folders; afterwards prepare without it does what is missing and finishes the store.
        list: The scans are looked for, and listed for the parts; nothing is prepared. Otherwise the first part does it.
        join: SCANS are stores, whose scans the store holds together, without copies of their files; of one store,
            those that a condition holds for.
        where: With join, the condition on scans that are taken, such as "modality == 'CT' and spacing_z < 3".
        cluster: Where the work is done instead of here: the address of a scheduler of Dask, such as
            tcp://HOST:8786, its file, or local:4.
        slurm: The work is done by jobs of Slurm with these settings, such as "partition=cpu,time=60", in minutes.
        cache: The folder on a local disk where files of an object store are kept, where a URL is given (s3://, gs://).
        cache_gib: How many GiB the cache may fill; what was not used for longest goes.
        quiet: No progress is shown.
    """

    spacing: tuple[float, float, float] | None = None
    modality: Literal["CT", "MR", "XR", "unknown"] | None = None
    workers: int | None = None
    folds: int = 10
    salt: str | None = None
    leave_out: tuple[Path, ...] = ()
    longest_side: int | None = None
    voi: bool = False
    crop_borders: bool = False
    slices: Direction | None = None
    every: int | None = None
    side: int | None = None
    neighbours: int = 0
    max_voxels: int = MAX_VOXELS
    part: str | None = None
    list: bool = False
    join: bool = False
    where: str | None = None
    cluster: str | None = None
    slurm: str | None = None
    cache: Path | None = None
    cache_gib: float = 500.0
    quiet: bool = False

    def slicing(self, direction: Direction) -> Slicing | OrthogonalSlicing:
        """How slices of a direction are made.

        Raises:
            DataError: an option of the other kind of slices or of scans is given, or the side of the squares is not.
        """
        if of_scans := self._given_beside(OF_SLICES):
            raise DataError(
                f"{of_scans} cannot be given with --slices, of scans as they were prepared; prepare the "
                "store of volumes with it, then slice that again"
            )
        if direction != "orthogonal":
            if self.side is not None:
                raise DataError(
                    f"--side is of orthogonal slices; {direction} ones are as large as the scan, leave it out"
                )
            return Slicing(direction, 1 if self.every is None else self.every, self.neighbours)
        if self.neighbours or self.side is None:
            raise DataError("orthogonal slices need --side, such as 64, and take no --neighbours")
        return OrthogonalSlicing(self.side, self.side if self.every is None else self.every)

    def check_joining(self) -> None:
        """Refuse options that stores are not joined by.

        Raises:
            DataError: one is given.
        """
        if of_scans := self._given_beside(OF_JOINING):
            raise DataError(
                f"{of_scans} cannot be given with --join, of scans as they were prepared; prepare the stores with it, "
                "then join them again"
            )

    def _given_beside(self, names: tuple[str, ...]) -> str:
        """The options that are given and have other names than these, as they are typed."""
        given = [field.name for field in fields(self) if getattr(self, field.name) != field.default]
        return ", ".join(f"--{name.replace('_', '-')}" for name in given if name not in names)
