"""Reading a source into a volume: SimpleITK does it, what it mends silently is checked here."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from modelsgenesis.data.boxes import Box, cut_box, geometry_of, inside, span_of
from modelsgenesis.data.formats.completeness import check_whole
from modelsgenesis.data.formats.dicom_series import Series, geometry_of_series
from modelsgenesis.data.formats.file_type import ending_of
from modelsgenesis.data.formats.headers import (
    EXPORT_AGAIN,
    MAX_VOXELS,
    check_nrrd_spacing,
    check_plausible,
    check_size,
    check_spacing,
    read_claims,
    read_header,
    read_nifti_header,
)
from modelsgenesis.data.formats.lidc_xml import draw_contours
from modelsgenesis.data.formats.natural_image import check_ending, to_grey
from modelsgenesis.data.formats.npz_row import open_array
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.resampling import resample, straighten
from modelsgenesis.data.sources import Source
from modelsgenesis.data.volume import Geometry, Volume

OBLIQUE_DEGREES = 10.0
IN_PARTS = (".mhd", ".mha")  # of which SimpleITK reads a box without the rest
SMALL = (sitk.sitkInt8, sitk.sitkUInt8, sitk.sitkInt16, sitk.sitkUInt16)  # kept; anything wider is read as float32


def read_volume(
    source: Source,
    *,
    spacing_mm: tuple[float, ...] | None = None,
    fit: tuple[int, ...] | None = None,
    like: Geometry | None = None,
    max_voxels: int = MAX_VOXELS,
) -> Volume:
    """Read one scan, turned to LPS, or one picture.

    Args:
        source: from `find_sources`, or made by a task; of kind "image", "picture", "dicom", "npy", "row" or "outlines".
        spacing_mm: along X, Y, Z, to resample to; None keeps the scan's own.
        fit: voxels along X, Y, Z, to resample to instead: the image just fits in, its proportions kept.
        like: of another file of the same voxels, to resample both onto one grid, whichever way their axes run.
        max_voxels: more are refused before memory is taken.
    Returns:
        Volume: (1, X, Y, Z), of the source's box alone where it has one, or (1, X, Y) of a picture; modality as given,
            or "" when neither the table nor the header knows it.
    Raises:
        UnreadableError: it cannot be read as a grey image.
    """
    image, notes = _read(source, max_voxels)
    geometry = geometry_of(image)
    if like is not None and (fit is not None or spacing_mm is not None):
        image = _turned(image, like)
    if fit is not None:
        spacing_mm = _fitting(geometry_of(image), fit)
    if spacing_mm is not None:
        image = _resampled(image, spacing_mm, max_voxels)
    return _volume(image, source, geometry, notes)


def read_both(
    source: Source, *, spacing_mm: tuple[float, ...] | None, max_voxels: int = MAX_VOXELS
) -> tuple[Volume, Volume]:
    """Read one scan as `read_volume` does, but once, to have it both as it is and resampled.

    Returns:
        The volume at its own spacing, and at the one asked for; of None the same volume twice.
    Raises:
        UnreadableError: it cannot be read as a grey image.
    """
    image, notes = _read(source, max_voxels)
    geometry = geometry_of(image)
    own = _volume(image, source, geometry, notes)
    if spacing_mm is None:
        return own, own
    return own, _volume(_resampled(image, spacing_mm, max_voxels), source, geometry, notes)


def _read(source: Source, max_voxels: int) -> tuple[sitk.Image, list[str]]:
    """The image, or the source's box of it, in the file's own axes, and what was repaired."""
    try:
        if source.kind == "dicom" and source.dicom is not None:
            image, notes = _read_series(source.dicom, source.box, max_voxels)
        elif source.kind == "outlines" and source.dicom is not None:
            image, notes = draw_contours(source.path, source.dicom), []
        elif source.kind == "npy":
            image, notes = _from_array(open_npy(source.path), max_voxels)
        elif source.kind == "row":
            image, notes = _from_row(read_row(source), max_voxels)
        elif source.kind == "picture":
            image, notes = _read_picture(source, max_voxels)
        else:
            image, notes = _read_image(source, max_voxels), []
    except MemoryError as error:
        raise UnreadableError("it does not fit into memory", "use a machine with more, or fewer --workers") from error
    except PermissionError as error:
        raise UnreadableError("no permission to read the file", "change its permissions") from error
    except OSError as error:
        raise UnreadableError(f"the file cannot be read ({error.strerror or error})", "copy it again") from error
    if source.box is not None:
        image = cut_box(image, source.box, source.modality)
    oblique_degrees = geometry_of(image).oblique_degrees
    if oblique_degrees > OBLIQUE_DEGREES:
        notes.append(f"its axes lie {oblique_degrees:.0f} degrees off LPS; the nearest axes are taken")
    return image, notes


def _resampled(image: sitk.Image, spacing_mm: tuple[float, ...], max_voxels: int) -> sitk.Image:
    """The image at a spacing along X, Y, Z."""
    order = geometry_of(image).order
    return resample(image, tuple(spacing_mm[order.index(axis)] for axis in range(len(order))), max_voxels)


def _turned(image: sitk.Image, like: Geometry) -> sitk.Image:
    """The image with its axes turned to those of another file, and of just its steps; of another size as it is.

    The grid that an image is resampled to begins where the file's axes begin, and ends where the last step fits in.
    """
    own = geometry_of(image)
    if [own.size[axis] for axis in own.order] != [like.size[axis] for axis in like.order]:
        return image
    runs_along = [like.order.index(axis) for axis in range(len(like.order))]  # X, Y or Z
    axes = [own.order[space] for space in runs_along]
    flips = [own.flips[space] != like.flips[space] for space in runs_along]
    image = sitk.Flip(sitk.PermuteAxes(image, axes), flips)
    image.SetSpacing(like.spacing_mm)
    return image


def _volume(image: sitk.Image, source: Source, geometry: Geometry, notes: list[str]) -> Volume:
    """The image turned to LPS."""
    turned = geometry_of(image)
    values = turned.to_lps(np.asarray(_Voxels(image)).T)[np.newaxis]
    spacing = tuple(turned.spacing_mm[axis] for axis in turned.order)
    return Volume(values, spacing, source.modality, geometry, tuple(notes))


def _read_image(source: Source, max_voxels: int) -> sitk.Image:
    if ending_of(source.path) == ".nii.gz" and source.path.with_suffix("").exists():
        # The NIfTI library looks for the uncompressed name first, whichever it was given.
        raise UnreadableError(
            "a file of the same name without .gz lies beside it, and SimpleITK would read that one in its place",
            "remove or rename one of the two",
        )
    nifti = read_nifti_header(source.path) if ending_of(source.path) in (".nii", ".nii.gz", ".hdr") else None
    header = read_header(source.path, source.files, max_voxels, index=source.index)
    if nifti is not None:
        check_spacing(nifti.pixdim_mm)
    if ending_of(source.path) in (".nrrd", ".nhdr"):
        check_nrrd_spacing(source.path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(source.path))
    if header.pixel not in SMALL:
        reader.SetOutputPixelType(sitk.sitkFloat32)
    if source.box is not None and ending_of(source.path) in IN_PARTS and len(header.size) == 3:
        reader.ReadImageInformation()
        lower, size = span_of(source.box, geometry_of(reader))
        first, kept = inside(lower, size, header.size)
        reader.SetExtractIndex(first)
        reader.SetExtractSize(kept)
    image = _execute(reader)
    if nifti is not None:
        missing = check_whole(source.files, nifti, sitk.GetArrayViewFromImage(image))
        image = _with_nan(image, missing) if missing.size else image
    return image[:, :, :, source.index or 0] if image.GetDimension() == 4 else image


def _read_picture(source: Source, max_voxels: int) -> tuple[sitk.Image, list[str]]:
    check_ending(source.path)
    size = read_claims(source.path).size
    check_size(size, max_voxels, axes=2)
    check_plausible(math.prod(size), source.files)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(source.path))
    return to_grey(_execute(reader))


def _fitting(geometry: Geometry, fit: tuple[int, ...]) -> tuple[float, ...]:
    """The spacing, alike along all axes, at which an image just fits into so many voxels."""
    if len(fit) != len(geometry.size):
        raise UnreadableError(f"an image of {len(geometry.size)} axes, and one of {len(fit)} is wanted", "leave it out")
    sides_mm = (geometry.size[axis] * geometry.spacing_mm[axis] for axis in geometry.order)
    step = max(side / wanted for side, wanted in zip(sides_mm, fit, strict=True))
    return (step,) * len(fit)


def _with_nan(image: sitk.Image, places: NDArray[Any]) -> sitk.Image:
    """Put NaN back where SimpleITK put zero; the caller decides what a missing voxel becomes."""
    values = sitk.GetArrayFromImage(image)
    values.reshape(-1)[places] = np.nan
    mended = sitk.GetImageFromArray(values, isVector=False)
    mended.CopyInformation(image)
    return mended


def _read_series(series: Series, box: Box | None, max_voxels: int) -> tuple[sitk.Image, list[str]]:
    """Read the slices; of an upright series only those that a box goes through."""
    first = read_claims(series.files[0])
    check_size((*first.size[:2], len(series.files)), max_voxels)
    reader, files = sitk.ImageSeriesReader(), series.files
    geometry, below = geometry_of_series(series) if box else None, 0
    if box and geometry:
        begin, num = inside(*span_of(box, geometry), geometry.size)
        below = begin[2]
        files = files[below : below + num[2]]
    reader.SetFileNames([str(file) for file in files])
    if not series.whole:
        reader.SetOutputPixelType(sitk.sitkFloat32)
    elif series.bits <= 15 and first.pixel not in SMALL:
        reader.SetOutputPixelType(sitk.sitkInt16)
    image = _execute(reader)
    if geometry:  # where the whole scan has them: uneven slices lie elsewhere by their own headers
        up_mm = geometry.frame[:, 2] * geometry.spacing_mm[2] * below
        image.SetOrigin((np.array(geometry.origin_mm) + up_mm).tolist())
    return straighten(image, series.step_mm), list(series.notes)


def read_row(source: Source) -> NDArray[Any]:
    """The row of an array in a .npz that a source of kind "row" is, as it is stored.

    Raises:
        UnreadableError: it is not there.
    """
    rows = open_array(source.path, source.array)
    if source.index is None or source.index >= len(rows):
        raise UnreadableError(f"it has no row {source.index} in {source.array}", "copy it again")
    return np.asarray(rows[source.index])


def _from_row(array: NDArray[Any], max_voxels: int) -> tuple[sitk.Image, list[str]]:
    """A volume (X, Y, Z), or a picture (rows, columns)."""
    if array.ndim != 2:
        return _from_array(array, max_voxels)
    check_size(array.shape, max_voxels, axes=2)
    return sitk.GetImageFromArray(_narrow(array)), []


def _narrow(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(np.float32) if array.dtype.itemsize > 2 or array.dtype.kind == "f" else array


def _from_array(array: NDArray[Any], max_voxels: int) -> tuple[sitk.Image, list[str]]:
    check_size(array.shape, max_voxels)
    if array.ndim != 3:
        raise UnreadableError(f"{array.ndim} axes {array.shape}", "save one volume, (X, Y, Z), a file")
    image = sitk.GetImageFromArray(np.ascontiguousarray(_narrow(array).T))
    return image, ["an array has no spacing and no orientation: 1 mm and (X, Y, Z) in LPS are assumed"]


def open_npy(path: Path) -> NDArray[Any]:
    """Map a .npy file of numbers into memory; nothing is read yet.

    Raises:
        UnreadableError: it is cut off, absurdly large, or holds no numbers.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OverflowError) as error:
        raise UnreadableError("a .npy file that is cut off, damaged or holds no numbers", "save it again") from error
    if array.dtype.kind not in "iufb" or array.dtype.itemsize > 8:
        raise UnreadableError(f"a .npy file of {array.dtype}", "save integers or floats")
    if math.prod(array.shape) == 0:
        raise UnreadableError(f"a .npy file of no voxels {array.shape}", "save it again")
    if array.dtype.kind == "b":
        return np.asarray(array.astype(np.uint8))
    return np.asarray(array)


class _Voxels:
    """The voxels of an image as an array without a copy; SimpleITK's own view does not keep the image alive."""

    def __init__(self, image: sitk.Image) -> None:
        self.image = image
        self.__array_interface__ = sitk.GetArrayViewFromImage(image).__array_interface__


def _execute(reader: Any) -> sitk.Image:
    try:
        return reader.Execute()
    except RuntimeError as error:
        if "allocate" in str(error):
            raise UnreadableError(
                "it does not fit into memory", "use a machine with more, or fewer --workers"
            ) from error
        raise UnreadableError("its voxels cannot be read: the file is cut off or damaged", EXPORT_AGAIN) from error
