"""An image format: how files of one kind are recognised, described without voxels, checked, and read."""

import gzip
import hashlib
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.core.files import check_regular, open_regular

MAX_VOXELS = 2**31  # 4 GiB as int16: five times a whole-body CT of 512 x 512 x 1600
PIECE_BYTES = 2**20
GZIP = b"\x1f\x8b"  # how gzipped files begin

Region = tuple[slice, ...]  # of voxels along the file's own axes, within the image
Mapper = Callable[[Callable[[Path], Any], Iterable[Path]], Iterable[Any]]


@dataclass(frozen=True)
class Geometry:
    """Where the voxels of a file lie, in the file's own axes, as SimpleITK reports it.

    Attributes:
        size: voxels along the file's axes.
        spacing_mm: along the file's axes.
        origin_mm: of the first voxel, in LPS.
        direction: of the file's axes in LPS, a 3 x 3 matrix row by row; of a 2D picture 2 x 2.
        oriented: whether the file says so; otherwise (X, Y, Z) in LPS are assumed.
        spaced: whether the file says the spacing; otherwise 1 mm is assumed.
    """

    size: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    origin_mm: tuple[float, ...]
    direction: tuple[float, ...]
    oriented: bool = field(default=True, compare=False)
    spaced: bool = field(default=True, compare=False)

    @property
    def frame(self) -> NDArray[np.float64]:
        """The direction as a matrix, with a column for each axis of the file."""
        return np.array(self.direction).reshape(len(self.size), len(self.size))

    @property
    def order(self) -> tuple[int, ...]:
        """Which of the file's axes runs along X, Y and Z (nearest, when the scan is oblique)."""
        cosines = np.abs(self.frame)
        order = [0] * len(cosines)
        for _ in order:
            space, axis = np.unravel_index(int(np.argmax(cosines)), cosines.shape)
            order[int(space)] = int(axis)
            cosines[space, :] = cosines[:, axis] = -1
        return tuple(order)

    @property
    def flips(self) -> tuple[bool, ...]:
        """Whether each axis of `order` runs against X, Y and Z."""
        return tuple(bool(self.frame[space, axis] < 0) for space, axis in enumerate(self.order))

    @property
    def oblique_degrees(self) -> float:
        """The greatest angle between one of the file's axes and the axis of LPS it is taken for."""
        cosines = np.abs(self.frame)
        least = min(float(cosines[space, axis]) for space, axis in enumerate(self.order))
        return float(np.degrees(np.arccos(min(1.0, least))))

    @property
    def shear_degrees(self) -> float:
        """By how much two of the file's axes miss a right angle, at most."""
        cosines = np.abs(self.frame.T @ self.frame)[np.triu_indices(len(self.size), 1)]
        return float(np.degrees(np.arcsin(min(1.0, float(cosines.max())))))

    def to_lps(self, values: NDArray[Any]) -> NDArray[Any]:
        """Turn (..., *file's axes) into (..., X, Y, Z) in LPS; a view, nothing is copied."""
        front = range(values.ndim - len(self.size))
        turned = values.transpose(*front, *(len(front) + axis for axis in self.order))
        unflipped: NDArray[Any] = turned[self._unflipped]
        return unflipped

    def from_lps(self, values: NDArray[Any]) -> NDArray[Any]:
        """Undo `to_lps`: put an array such as a mask back into the file's own axes; a view."""
        front, order = range(values.ndim - len(self.size)), self.order
        places = (len(front) + order.index(axis) for axis in range(len(order)))
        turned: NDArray[Any] = values[self._unflipped].transpose(*front, *places)
        return turned

    @property
    def _unflipped(self) -> tuple[Any, ...]:
        return (..., *(slice(None, None, -1 if flip else 1) for flip in self.flips))


class Place(Protocol):
    """The place of an image: all that a format needs to know to read it."""

    @property
    def path(self) -> Path:
        """The file, or the folder of a series."""

    @property
    def files(self) -> tuple[Path, ...]:
        """All files to read, in order."""

    @property
    def index(self) -> int | None:
        """The number of the volume in a file of several; None where the file holds one."""

    @property
    def array(self) -> str:
        """The name of the array in an archive, or ""."""

    @property
    def dicom(self) -> Any:
        """The DICOM series that the image is, or is drawn on; otherwise None."""


@dataclass(frozen=True)
class Header:
    """The contents of a file as its header declares them, in its own axes, before a voxel is read.

    Attributes:
        size: voxels along the file's axes; a fourth axis counts volumes.
        spacing_mm: along the file's axes.
        origin_mm: of the first voxel, in LPS.
        direction: of the file's axes in LPS, a matrix row by row.
        dtype: of the stored numbers after any rescaling, as NumPy calls it, or in words.
        channels: values a voxel.
        upright: whether the voxels lie just there; otherwise reading straightens sheared axes, such as a tilted
            stack of slices.
        doubts: what the header leaves open or had to be mended, in words that name nobody.
        oriented: whether it says where the axes point; otherwise (X, Y, Z) in LPS are assumed.
        sheared: where the voxels lie by the file's own axes, if these are not at right angles; otherwise None.
        spaced: whether it says the spacing; otherwise 1 mm is assumed.
        levels: the values of black and white by the bits that a grey level has; None where it does not say.
        labels: whether it says that its numbers are labels.
    """

    size: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    origin_mm: tuple[float, ...]
    direction: tuple[float, ...]
    dtype: str
    channels: int = 1
    upright: bool = True
    doubts: tuple[str, ...] = ()
    oriented: bool = True
    sheared: Geometry | None = None
    spaced: bool = True
    levels: tuple[float, float] | None = None
    labels: bool = False

    @property
    def num_volumes(self) -> int:
        """The number of volumes in the file."""
        return self.size[3] if len(self.size) == 4 else 1

    @property
    def geometry(self) -> Geometry:
        """Where the voxels of one volume lie: the first three axes of more."""
        num = len(self.size)
        kept = min(num, 3)
        direction = tuple(self.direction[row * num + column] for row in range(kept) for column in range(kept))
        place = (self.size[:kept], self.spacing_mm[:kept], self.origin_mm[:kept], direction)
        return Geometry(*place, self.oriented, self.spaced)

    def placed(self, geometry: Geometry, *doubts: str) -> "Header":
        """The same contents with the first three axes elsewhere, and what is said of that."""
        kept, direction = len(geometry.size), np.array(self.direction).reshape(len(self.size), len(self.size))
        direction[:kept, :kept] = geometry.frame
        return replace(
            self,
            spacing_mm=(*geometry.spacing_mm, *self.spacing_mm[kept:]),
            origin_mm=(*geometry.origin_mm, *self.origin_mm[kept:]),
            direction=tuple(direction.ravel().tolist()),
            doubts=(*self.doubts, *doubts),
        )


def header_of_array(size: Sequence[int], dtype: str, doubts: tuple[str, ...] = ()) -> Header:
    """The header of numbers that know neither spacing nor orientation: 1 mm and the axes of LPS are assumed.

    Args:
        size: (X, Y, Z), or (X, Y) of a picture.
        dtype: of the numbers.
        doubts: notes on what is uncertain.
    """
    axes = len(size)
    direction = tuple(float(row == column) for row in range(axes) for column in range(axes))
    place = (tuple(size), (1.0,) * axes, (0.0,) * axes, direction)
    return Header(*place, dtype, doubts=doubts, oriented=False, spaced=False)


def header_of_affine(size: tuple[int, ...], affine: NDArray[np.float64], dtype: str, channels: int = 1) -> Header:
    """The header of a file that says by a matrix where its voxels lie.

    Args:
        size: along the file's axes; a fourth axis counts volumes.
        affine: 3 x 4, from the first three axes to mm in LPS.
        dtype: of the numbers.
        channels: values a voxel.
    """
    axes, kept = len(size), min(len(size), 3)
    steps = affine[:kept, :kept]
    spacing_mm = np.linalg.norm(steps, axis=0)
    more = [1.0] * (axes - kept)
    direction = np.eye(axes)
    direction[:kept, :kept] = steps / np.where(spacing_mm > 0, spacing_mm, 1)
    place = (*spacing_mm.tolist(), *more), (*affine[:kept, 3].tolist(), *more), tuple(direction.ravel().tolist())
    return Header(size, *place, dtype, channels)


def head_inside(path: Path, count: int) -> bytes:
    """The first bytes of what a gzipped file holds; b"" when it is cut off or broken."""
    try:
        with gzip.open(check_regular(path)) as file:
            return file.read(count)
    except (EOFError, OSError, zlib.error):
        return b""


@dataclass(frozen=True)
class Contents:
    """All that a file holds.

    Attributes:
        images: SimpleITK images of 2 or 3 axes, all on one grid, in the file's own axes.
        repaired: what was repaired or left out, beyond the header's doubts.
        coloured: whether the images are the red, green and blue of one, rather than volumes.
    """

    images: Sequence[Any]
    repaired: tuple[str, ...] = ()
    coloured: bool = False


class ImageFormat(ABC):
    """One file of `data/formats/` each; no other code depends on the kind of file an image is in.

    Attributes:
        endings: of its files' names, lower case, {ending: what people call the format}; the usual one first.
        mask_endings: {ending: the ending of a mask written in the source's own format}; others get .nii.gz, or .png of
            pictures.
        axes: of space: 3, or 2 of pictures.
        knows_spacing: whether its files hold the spacing.
        stands_alone: whether a file of it is a scan by itself; otherwise a table names what in it is one.
        needs_ending: whether a file of it is taken under one of the endings only.
        is_directory: whether its files are slices of volumes, which `gather` puts together.
        is_dicom: whether a DICOM segmentation can refer to its files.
        is_stack: whether a file of it holds many small cubes rather than a scan.
        reads_parts: whether a region is read without the rest.
        reads_all: whether `read_all` gives every volume of a file of several.
        may_die: whether a damaged file may end the process that reads it: ITK and GDCM decode it, not Python, NumPy,
            zlib, isal and Pillow.
    """

    endings: ClassVar[Mapping[str, str]] = {}
    mask_endings: ClassVar[Mapping[str, str]] = {}
    axes: ClassVar[int] = 3
    knows_spacing: ClassVar[bool] = True
    stands_alone: ClassVar[bool] = True
    needs_ending: ClassVar[bool] = True
    is_directory: ClassVar[bool] = False
    is_dicom: ClassVar[bool] = False
    is_stack: ClassVar[bool] = False
    reads_parts: ClassVar[bool] = False
    reads_all: ClassVar[bool] = False
    may_die: ClassVar[bool] = True

    @abstractmethod
    def recognise(self, head: bytes, path: Path) -> str:
        """Say what people call a file's format by its first bytes and its name; "" when it is not this one.

        Args:
            head: the first 352 bytes, or fewer of a smaller file.
            path: of the file, whose compressed bytes may be looked at too.
        """

    @abstractmethod
    def read_header(self, place: Place) -> Header:
        """Read size, spacing, orientation and type, and what is doubtful about them; no voxel is read.

        Raises:
            DataError: the header cannot be read.
        """

    @abstractmethod
    def check(self, header: Header, place: Place, max_voxels: int = MAX_VOXELS) -> None:
        """Refuse what is no grey image, absurd, or cannot be whole, before memory is taken for it.

        Args:
            header: as `read_header` gives it.
            place: of the image.
            max_voxels: more are refused.
        Raises:
            DataError: what is wrong, and what to do.
        """

    @abstractmethod
    def read(self, place: Place, region: Region | None = None) -> tuple[Any, list[str]]:
        """Read the voxels of an image.

        Args:
            place: of an image whose header passed `check`.
            region: of the volume, along the file's axes; None is the whole.
        Returns:
            An image of 2 or 3 axes, in the file's own axes, of SimpleITK or a `PlainImage`; integers wider than 16
            bits become float32. And what was repaired, beyond the header's doubts.
        Raises:
            DataError: the file is cut off or damaged.
        """

    def read_all(self, place: Place) -> Contents:
        """Read all that a file holds, to be looked at: every volume of several, the colours of a coloured one.

        Args:
            place: of an image whose header passed `check`, but for the number of its volumes and its colours.
        Raises:
            DataError: the file is cut off or damaged.
        """
        image, repaired = self.read(place)
        return Contents([image], tuple(repaired))

    def files_of(self, path: Path) -> tuple[Path, ...]:
        """All files of an image: its own, and any that its header names.

        Raises:
            DataError: one of them is not there.
        """
        return (path,)

    def declared(self, path: Path) -> dict[str, Any]:
        """Return what the format or the file's name declares of its scans, as fields of a `Source`."""
        return {}

    def gather(self, files: Sequence[Path], mapper: Mapper = map) -> tuple[list[Any], list[Any]]:
        """Put volumes together from files that are slices; only where `is_directory`.

        Args:
            files: slices of any number of volumes.
            mapper: applies a function to many paths, as `map` does.
        Returns:
            The fields of a `Source` for each volume, as a mapping, and a problem for each file that is in none.
        """
        raise NotImplementedError(f"{type(self).__name__} has no slices")

    def as_picture(self, path: Path) -> "ImageFormat | None":
        """The format of a file that is a picture by itself, where others of its kind are slices; None if it is none."""
        return None

    def with_voi(self) -> "ImageFormat":
        """The format with the window or look-up table of each file's header applied; itself where files have none."""
        return self

    def as_labels(self) -> "ImageFormat":
        """The format for files whose numbers are labels; itself where they are read alike."""
        return self

    def axes_of(self, place: Place) -> int:
        """The number of axes of space of one image."""
        return self.axes

    def content_hash(self, place: Place) -> str:
        """SHA-256 of an image's files one after the other, wherever they lie."""
        digest = hashlib.sha256()
        for path in place.files:
            with open_regular(path) as file:
                while piece := file.read(PIECE_BYTES):
                    digest.update(piece)
        return digest.hexdigest()
