"""How large scans are and how fine, from their headers alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from modelsgenesis.data.boxes import geometry_of
from modelsgenesis.data.formats.dicom_series import geometry_of_series
from modelsgenesis.data.formats.headers import EXPORT_AGAIN, read_claims
from modelsgenesis.data.formats.npz_row import open_array
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.reading import open_npy
from modelsgenesis.data.sources import Source
from modelsgenesis.data.volume import Geometry

ALIKE = 0.05  # by which a spacing may differ from the middle one and count as the same


@dataclass(frozen=True)
class ImageSize:
    """Voxels along X, Y, Z, and the millimetres from one to the next."""

    size: tuple[int, ...]
    spacing_mm: tuple[float, ...]


def axes_of(source: Source) -> int:
    """How many axes of space an image has: 3, or 2 of a picture."""
    if source.kind == "row":
        return open_array(source.path, source.array).ndim - 1
    return 2 if source.kind == "picture" else 3


def knows_spacing(source: Source) -> bool:
    """Whether a source says how many millimetres lie between its voxels."""
    return source.kind not in ("row", "npy", "picture")


def image_size_of(source: Source) -> ImageSize:
    """Read how large a scan is, in LPS, or a picture; no voxel is read.

    Raises:
        UnreadableError: its header cannot be read.
    """
    if source.kind in ("row", "npy"):
        shape = open_array(source.path, source.array).shape[1:] if source.array else open_npy(source.path).shape
        # A row of two axes is a picture, (rows, columns).
        return ImageSize(tuple(shape if len(shape) == 3 else shape[::-1]), (1.0,) * len(shape))
    if source.kind == "picture":
        picture = read_claims(source.path).size
        return ImageSize(picture, (1.0,) * len(picture))
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(source.files[0]))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise UnreadableError("its header is damaged or makes no sense", EXPORT_AGAIN) from error
    size, spacing = list(reader.GetSize()[:3]), list(reader.GetSpacing()[:3])
    axes = reader.GetDimension()
    if axes < 3:
        raise UnreadableError(f"an image of {axes} axes", "3D volumes are wanted here")
    if source.dicom is not None:
        size[2], spacing[2] = len(source.files), float(np.linalg.norm(source.dicom.step_mm))
    frame = np.array(reader.GetDirection()).reshape(axes, axes)[:3, :3]
    order = Geometry(tuple(size), tuple(spacing), (0.0,) * 3, tuple(frame.ravel().tolist())).order
    whole = tuple(size[axis] for axis in order)
    return ImageSize(source.box.size if source.box else whole, tuple(spacing[axis] for axis in order))


def geometry_from_header(source: Source) -> Geometry | None:
    """Where the voxels of a whole 3D scan lie; None where the header alone does not tell: 4D images, a tilted gantry.

    Raises:
        UnreadableError: its header cannot be read.
    """
    if source.dicom is not None:
        return geometry_of_series(source.dicom)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(source.path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise UnreadableError("its header is damaged or makes no sense", EXPORT_AGAIN) from error
    return geometry_of(reader) if reader.GetDimension() == 3 else None


def middle_spacing(extents: Sequence[ImageSize]) -> tuple[float, ...] | None:
    """The median spacing, to which all are best resampled; None when all have it already, to a twentieth."""
    spacings = np.array([extent.spacing_mm for extent in extents])
    middle = np.median(spacings, axis=0)
    if np.all(np.abs(spacings / middle - 1) <= ALIKE):
        return None
    return tuple(round(float(step), 4) for step in middle)


def sizes_at(extents: Sequence[ImageSize], spacing_mm: tuple[float, ...] | None) -> NDArray[np.float64]:
    """The sizes, (N, axes), that scans have after resampling to a spacing."""
    sizes = np.array([extent.size for extent in extents], float)
    if spacing_mm is None:
        return sizes
    return np.asarray(np.round(sizes * np.array([extent.spacing_mm for extent in extents]) / np.array(spacing_mm)))
