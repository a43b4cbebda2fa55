"""Headers and voxels through SimpleITK, and what is refused of them: what most formats share."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from modelsgenesis.core.files import name_in_utf8, open_regular
from modelsgenesis.core.image_format import Contents, Geometry, Header, Place, Region, header_of_affine
from modelsgenesis.data.problems import UnreadableError, in_its_words

DTYPES = {
    sitk.sitkInt8: "int8", sitk.sitkUInt8: "uint8", sitk.sitkInt16: "int16", sitk.sitkUInt16: "uint16",
    sitk.sitkInt32: "int32", sitk.sitkUInt32: "uint32", sitk.sitkInt64: "int64", sitk.sitkUInt64: "uint64",
    sitk.sitkFloat32: "float32", sitk.sitkFloat64: "float64",
}  # fmt: skip
FINEST_MM, COARSEST_MM = 1e-6, 1e4  # of a spacing: from a nanometre to ten metres
DEFLATE_RATIO = 1032  # no zlib stream holds more bytes than this for each of its own
EXPORT_AGAIN = "copy or export it again"
sitk.ProcessObject.SetGlobalWarningDisplay(False)  # what matters of a file is told by this room, not by ITK
ASSUMED_SPACING = "its header gives no spacing: 1 mm is assumed"
ASSUMED_ORIENTATION = "its header says neither orientation nor origin: (X, Y, Z) in LPS are assumed"
MILLIMETRES = {
    "mm": 1.0, "millimeter": 1.0, "millimeters": 1.0, "millimetre": 1.0, "cm": 10.0, "dm": 100.0, "m": 1e3,
    "meter": 1e3, "meters": 1e3, "um": 1e-3, "\u00b5m": 1e-3, "\u03bcm": 1e-3, "micron": 1e-3, "microns": 1e-3,
    "micrometer": 1e-3, "nm": 1e-6, "in": 25.4, "inch": 25.4, "": 1.0, "???": 1.0, "none": 1.0,
}  # fmt: skip
SMALL = ("int8", "uint8", "int16", "uint16")  # kept; anything wider is read as float32


def header_of(path: Path) -> Header:
    """Read a header by SimpleITK, without checking it.

    Raises:
        UnreadableError: it cannot be read.
    """
    reader = sitk.ImageFileReader()
    reader.SetFileName(name_in_utf8(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        reason = re.sub(r"^.*\(0x\w+\): |^ITK ERROR: |^sitk::ERROR: ", "", in_its_words(error, path))
        raise UnreadableError(
            f"SimpleITK cannot read its header: {reason}", "correct it, or export it again"
        ) from error
    pixel = reader.GetPixelID()
    dtype = DTYPES.get(pixel) or sitk.GetPixelIDValueAsString(pixel)
    place = (reader.GetSize(), reader.GetSpacing(), reader.GetOrigin(), reader.GetDirection())
    return Header(*place, dtype, reader.GetNumberOfComponents())


@dataclass(frozen=True)
class PlainImage:
    """An image that is an array, until something is done to it that SimpleITK does: making one of its own takes a copy.

    Attributes:
        values: (K, J, I), in the order of the file, of 8 or 16 bits or float32.
        geometry: of the file.
    """

    values: NDArray[Any]
    geometry: Geometry


Image: TypeAlias = PlainImage | sitk.Image


def itk_image(image: Image) -> sitk.Image:
    """The image as SimpleITK has it; its own comes back as it is."""
    return image_of(image.values.T, image.geometry) if isinstance(image, PlainImage) else image


def voxels_of(image: Image) -> NDArray[Any]:
    """The voxels of an image, (K, J, I) or (J, I), without a copy."""
    return image.values if isinstance(image, PlainImage) else np.asarray(_Voxels(image))


class _Voxels:
    """The voxels of an image of SimpleITK, whose own view does not keep the image alive."""

    def __init__(self, image: sitk.Image) -> None:
        self.image = image
        self.__array_interface__ = sitk.GetArrayViewFromImage(image).__array_interface__


def geometry_of(image: Image | sitk.ImageFileReader) -> Geometry:
    """Where the voxels of an image, or of a reader that has read a header, lie."""
    if isinstance(image, PlainImage):
        return image.geometry
    return Geometry(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())


def read_file(place: Place, region: Region | None = None, *, dtype: str = "") -> sitk.Image:
    """Read the voxels of a whole file.

    Args:
        place: of the image.
        region: along all of the file's axes, read without the rest where the format can; None is the whole.
        dtype: of the stored numbers, as its header says: wider ones than 16 bits become float32; "" keeps all.
    Raises:
        UnreadableError: they cannot be read.
    """
    reader = sitk.ImageFileReader()
    reader.SetFileName(name_in_utf8(place.path))
    if dtype and dtype not in SMALL:
        reader.SetOutputPixelType(sitk.sitkFloat32)
    if region is not None:
        reader.SetExtractIndex([side.start for side in region])
        reader.SetExtractSize([side.stop - side.start for side in region])
    return execute(reader)


def execute(reader: Any) -> sitk.Image:
    """Run a SimpleITK reader, and turn its errors into ours.

    Raises:
        UnreadableError: the voxels cannot be read, or do not fit into memory.
    """
    try:
        return reader.Execute()
    except RuntimeError as error:
        if "allocate" in str(error):
            raise UnreadableError(
                "it does not fit into memory", "use a machine with more, or fewer --workers"
            ) from error
        raise UnreadableError("its voxels cannot be read: the file is cut off or damaged", EXPORT_AGAIN) from error


def one_volume(image: sitk.Image, index: int | None) -> sitk.Image:
    """Take one volume of a 4D image; an image of fewer axes is returned as it is."""
    return image[:, :, :, index or 0] if image.GetDimension() == 4 else image


def all_of(image: sitk.Image, geometry: Geometry) -> Contents:
    """The volumes of a 4D image, the colours of a coloured one, or the one grey image that it is, placed.

    Args:
        image: of 2, 3 or 4 axes; three or four whole numbers a voxel are colours, the fourth their opacity.
        geometry: of each volume.
    """
    if image.GetNumberOfComponentsPerPixel() > 1:
        return colours_of(sitk.GetArrayFromImage(image), geometry)
    num = image.GetSize()[3] if image.GetDimension() == 4 else 1
    return Contents([placed(one_volume(image, number), geometry) for number in range(num)])


def colours_of(values: NDArray[Any], geometry: Geometry | None = None) -> Contents:
    """Three images of 8 bits, red, green and blue; one where they are alike everywhere.

    Args:
        values: (rows, columns, 3 or 4) or (planes, rows, columns, 3 or 4), of 8 or 16 bits; opacity is left out.
        geometry: of the image; None is 1 mm along the axes of LPS.
    """
    seen = values if values.dtype == np.uint8 else (values >> 8).astype(np.uint8)
    opaque = (seen[..., 3:] == np.iinfo(np.uint8).max).all()
    repaired = () if opaque else ("some of it is transparent: it is shown opaque",)
    if (values[..., :3] == values[..., :1]).all():
        return Contents([image_of(values[..., 0].T, geometry)], repaired)
    return Contents([image_of(seen[..., part].T, geometry) for part in range(3)], repaired, coloured=True)


def crop(image: sitk.Image, region: Region | None) -> sitk.Image:
    """Crop an image to a region, along its own axes; None is all of it."""
    if region is None:
        return image
    return sitk.RegionOfInterest(image, [side.stop - side.start for side in region], [side.start for side in region])


def in_mm(header: Header, units: Sequence[str]) -> Header:
    """The header with spacing and origin in mm.

    Args:
        header: with both in other units.
        units: of them, one for all axes or one each; none are millimetres, and so is what is unknown, with a doubt.
    """
    geometry = header.geometry
    strange = [unit for unit in units if unit.lower() not in MILLIMETRES]
    if strange:
        told = f"its header counts in {strange[0]!r}: that is taken for mm"
        return header.placed(geometry, told)
    scales = [MILLIMETRES[unit.lower()] for unit in units] or [1.0]
    scales = scales if len(scales) == len(geometry.size) else scales[:1] * len(geometry.size)
    if set(scales) == {1.0}:
        return header
    affine = np.diag(scales) @ np.column_stack([geometry.frame * geometry.spacing_mm, geometry.origin_mm])
    return header.placed(header_of_affine(geometry.size, affine, header.dtype).geometry)


def image_of(values: NDArray[Any], geometry: Geometry | None = None) -> sitk.Image:
    """Make an image of an array in the file's own axes; numbers wider than 16 bits become float32.

    Args:
        values: (I, J, K), or (I, J) of a picture.
        geometry: of the file; None is 1 mm along the axes of LPS.
    """
    image = sitk.GetImageFromArray(_narrowed(values.T))
    return image if geometry is None else placed(image, geometry)


def plain_image(values: NDArray[Any], geometry: Geometry, region: Region | None = None) -> Image:
    """Make an image of an array, or of a region of it, as `image_of` does, but in the file's order, (K, J, I)."""
    image = PlainImage(_narrowed(values), geometry)
    return image if region is None else crop(itk_image(image), region)


def _narrowed(values: NDArray[Any]) -> NDArray[Any]:
    """Numbers in memory one after the other, in the machine's order of bytes; wider than 16 bits as float32."""
    wide = values.dtype.itemsize > 2 or values.dtype.kind == "f"
    return np.ascontiguousarray(values, np.float32 if wide else values.dtype.newbyteorder("="))


def placed(image: sitk.Image, geometry: Geometry) -> sitk.Image:
    """Put an image where a file's voxels lie."""
    image.SetSpacing(geometry.spacing_mm)
    image.SetOrigin(geometry.origin_mm)
    image.SetDirection(geometry.direction)
    return image


def detached_file(path: Path, ending: str, key: bytes) -> tuple[Path, ...]:
    """The files of an image whose header may name another file for the voxels.

    Args:
        path: of the header.
        ending: that only detached headers have; any other file is alone.
        key: a pattern of what stands before the name.
    Raises:
        UnreadableError: the voxels' file is not there, or they lie in a list of files.
    """
    if path.suffix.lower() != ending:
        return (path,)
    with open_regular(path) as opened:
        found = re.search(key + rb"\s*(.+)", opened.read(65536), re.IGNORECASE)
    name = found[1].decode(errors="replace").strip() if found else ""
    if not name or name.upper().startswith("LIST") or "%" in name:
        raise UnreadableError("its voxels lie in a list of files", "convert it to .nii.gz or .nrrd, one file a volume")
    return (path,) if name == "LOCAL" else (path, beside(path, name))


def beside(path: Path, name: str) -> Path:
    """The file of the voxels that a detached header names.

    Raises:
        UnreadableError: it is not there.
    """
    data = path.parent / name
    if not data.is_file():
        raise UnreadableError(f"its voxels, {name}, are not there", "copy that file beside it")
    return data


def check_volume(header: Header, place: Place, max_voxels: int) -> None:
    """Refuse a header of no grey 3D volume, without a proper spacing, absurdly large, or of more than its bytes hold.

    Args:
        header: of the file.
        place: of the volume; its index is one of a 4D image.
        max_voxels: more are refused.
    Raises:
        UnreadableError: it is one of these.
    """
    if place.index is not None:
        _check_index(header.size, place.index)
    check_size(header.size if place.index is None else header.size[:3], max_voxels)
    if header.channels != 1:
        raise UnreadableError(
            f"{header.channels} values a voxel: colour or vectors", "leave it out or save one channel"
        )
    check_spacing(header.spacing_mm[:3])
    check_place(header.geometry)
    check_plausible(math.prod(header.size), place.files)


def check_size(size: tuple[int, ...], max_voxels: int, *, axes: int = 3) -> None:
    """Refuse an image that is absurdly large or has another number of axes."""
    voxels = " x ".join(map(str, size))
    if math.prod(size) > max_voxels:
        raise UnreadableError(
            f"its header claims {voxels} voxels, more than the limit of {max_voxels}",
            "if that is right, raise --max-voxels",
        )
    if axes == 2:
        if len(size) != 2 or min(size) < 2:
            raise UnreadableError(f"{len(size)} axes ({voxels})", "give a 2D picture of two pixels a side, or more")
        return
    if len(size) == 4 and size[3] > 1:
        raise UnreadableError(f"4D ({voxels}): a series of volumes", "save each volume as a file of its own")
    if len(size) > 4 or len(size) < 2:
        raise UnreadableError(f"{len(size)} axes ({voxels})", "save a 3D volume")
    if len(size) == 2 or min(size[:3]) < 2:
        raise UnreadableError(f"2D ({voxels})", "leave it out; 3D volumes are prepared here")


def check_spacing(spacing_mm: tuple[float, ...]) -> None:
    """Refuse a spacing that is not positive, or that no scan has."""
    given = " x ".join(f"{step:g}" for step in spacing_mm)
    if not all(math.isfinite(step) and step > 0 for step in spacing_mm):
        raise UnreadableError(f"its spacing is {given} mm: zero, negative or not a number", "correct its header")
    if not all(FINEST_MM <= step <= COARSEST_MM for step in spacing_mm):
        raise UnreadableError(f"its spacing is {given} mm, which no scan has", "correct its header")


def check_place(geometry: Geometry) -> None:
    """Refuse an origin or a direction of the axes that is not of numbers, as an sform of NaN gives it."""
    if not np.isfinite([*geometry.origin_mm, *geometry.direction]).all():
        raise UnreadableError("its header gives an origin or axes that are no numbers", "correct its header")


def check_plausible(num_voxels: int, files: tuple[Path, ...]) -> None:
    """Refuse what no compression could have put into these bytes; a voxel is at least one byte."""
    num_bytes = sum(file.stat().st_size for file in files)
    if num_voxels > DEFLATE_RATIO * num_bytes:
        raise UnreadableError(
            f"its header claims {num_voxels} voxels, more than its {num_bytes} bytes can hold", EXPORT_AGAIN
        )


def _check_index(size: tuple[int, ...], index: int) -> None:
    """Refuse an image that does not have the wanted volume."""
    num_volumes = size[3] if len(size) == 4 else 1
    if len(size) < 3 or index >= num_volumes:
        voxels = " x ".join(map(str, size))
        raise UnreadableError(
            f"channel {index} is wanted of an image of {num_volumes} ({voxels})",
            "correct the channels the data declare",
        )
