"""The voxels of DICOM slices, each rescaled by its own numbers into a type that holds them all."""

import hashlib
import math
import tempfile
import warnings
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from modelsgenesis.core.files import check_regular, name_in_utf8
from modelsgenesis.data.formats.base.dicom_header import Slice, lowest_bit
from modelsgenesis.data.formats.base.itk import EXPORT_AGAIN, execute
from modelsgenesis.data.problems import UnreadableError

if TYPE_CHECKING:
    import pydicom

PIXELS = {
    "uint8": sitk.sitkUInt8, "int8": sitk.sitkInt8, "uint16": sitk.sitkUInt16, "int16": sitk.sitkInt16,
    "int32": sitk.sitkInt32, "float32": sitk.sitkFloat32,
}  # fmt: skip
DISPLAY = ("RescaleSlope", "RescaleIntercept", "RescaleType", "ModalityLUTSequence", "PixelPaddingValue")
FRAMED = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
MULTIFRAME = "1.2.840.10008.5.1.4.1.1.7.3"  # Multi-frame Grayscale Word Secondary Capture

Voxels = NDArray[Any]


def dtype_of(slices: Sequence[Slice]) -> str:
    """The smallest type that holds every value that the slices' headers allow."""
    if not all(one.scaling.whole for one in slices):
        return "float32"
    low, high = limits_of(slices)
    for name in ("uint8", "int8", "uint16", "int16", "int32"):
        if np.iinfo(name).min <= low and high <= np.iinfo(name).max:
            return name
    return "float32"


def limits_of(slices: Sequence[Slice]) -> tuple[float, float]:
    """The least and the greatest value that the slices' headers allow."""
    ends = [one.scaling.limits for one in slices]
    return min(low for low, _ in ends), max(high for _, high in ends)


def read_stack(slices: Sequence[Slice], dtype: str) -> tuple[sitk.Image, bool]:
    """Read slices, one above the other, and say whether some of their voxels were padding.

    Args:
        slices: of one shape.
        dtype: that holds every value of the volume.
    Returns:
        The image, whose padding has the lowest value of its other voxels; its place is not set. Whether there was any.
    Raises:
        UnreadableError: they cannot be read.
    """
    if not all(one.scaling.plain for one in slices):
        values, padding = _read_each(slices, dtype)
    else:
        image = _read_plain(slices, dtype)
        if not any(one.scaling.padding for one in slices):
            return image, False
        values = sitk.GetArrayViewFromImage(image)
        padding = _padding(values, slices)
        if not padding.any():
            return image, False
        values = np.array(values)
    if padding.any() and not padding.all():
        np.copyto(values, np.inf if values.dtype.kind == "f" else np.iinfo(values.dtype).max, where=padding)
        np.copyto(values, values.min(), where=padding)
    return sitk.GetImageFromArray(values), bool(padding.any())


def same_pixels(slices: Sequence[Slice]) -> bool:
    """Whether images hold the same numbers, rescaled alike."""
    return len(slices) < 2 or len({(one.scaling.slope, one.scaling.intercept, _digest(one)) for one in slices}) == 1


def _digest(one: Slice) -> str:
    file = open_dataset(one.path)
    values = file.get("PixelData") if int(file.get("NumberOfFrames") or 1) == 1 else None
    return hashlib.sha256(values or np.ascontiguousarray(stored_numbers(file)[one.frame]).tobytes()).hexdigest()


def _read_plain(slices: Sequence[Slice], dtype: str) -> sitk.Image:
    """Read slices that SimpleITK rescales rightly; by itself it would take the type of the first for all."""
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([name_in_utf8(one.path) for one in slices])
    low, high = limits_of(slices) if dtype == "int32" else (0, np.inf)
    if high <= np.iinfo(np.int16).max and high - low < 2**16:
        # Half the memory: what is below 16 bits, as only padding is, comes out above what there may be.
        reader.SetOutputPixelType(sitk.sitkInt16)
        image = execute(reader)
        if sitk.GetArrayViewFromImage(image).max() <= high:
            return image
    reader.SetOutputPixelType(PIXELS[dtype])
    return execute(reader)


def _padding(values: Voxels, slices: Sequence[Slice]) -> NDArray[np.bool_]:
    """Which rescaled values are padding."""
    found = np.zeros(values.shape, bool)
    for number, scaling in enumerate(one.scaling for one in slices):
        if scaling.padding:
            low, high = sorted(end * scaling.slope + scaling.intercept for end in scaling.padding)
            near = 0.4 * abs(scaling.slope)  # two stored numbers lie farther apart
            if values.dtype.kind != "f":
                low, high, near = math.ceil(low), math.floor(high), 0
            found[number] = (values[number] >= low - near) & (values[number] <= high + near)
    return found


def _read_each(slices: Sequence[Slice], dtype: str) -> tuple[Voxels, NDArray[np.bool_]]:
    """Read the slices of any image by pydicom: MONOCHROME1 as it is, look-up tables, floats, frames."""
    values = np.empty((len(slices), *slices[0].shape), dtype)
    padding = np.zeros(values.shape, bool)
    for path, members in groupby(enumerate(slices), key=lambda pair: pair[1].path):
        file = open_dataset(path)
        stored, raw = stored_numbers(file), None
        for number, one in members:
            plane, scaling = stored[one.frame], one.scaling
            if scaling.padding:
                raw = _unmasked(file, stored) if raw is None else raw
                padding[number] = (raw[one.frame] >= scaling.padding[0]) & (raw[one.frame] <= scaling.padding[1])
            values[number] = _rescaled(plane, scaling.slope, scaling.intercept, file if scaling.table else None)
    return values, padding


def _rescaled(plane: Voxels, slope: float, intercept: float, table: "pydicom.Dataset | None") -> Voxels:
    if table is not None:
        return looked_up(plane, table.ModalityLUTSequence[0])
    return plane if (slope, intercept) == (1, 0) else plane * np.float64(slope) + intercept


def looked_up(values: Voxels, table: "pydicom.Dataset") -> Voxels:
    """The entries of a look-up table, (rows, columns); what lies before or beyond it gets its first or last.

    Not pydicom's, which counts the places in the type of the entries: in a table of bytes place 256 is place 0 to it.

    Source: DICOM PS3.3, C.11.1.1 and C.11.2.1.1.
    """
    num, first, bits = (int(number) for number in table.LUTDescriptor)
    data = table.LUTData
    if isinstance(data, bytes):
        data = np.frombuffer(data, np.uint8 if bits == 8 and len(data) <= num + 1 else "<u2")
    entries = np.asarray(data, np.uint16)[: num or 2**16]
    places = np.clip(np.rint(values).astype(np.int64) - first, 0, len(entries) - 1)
    return np.asarray(entries[places])


def open_dataset(path: Path) -> "pydicom.Dataset":
    """Read a file whole.

    Raises:
        UnreadableError: it is cut off or damaged.
    """
    import pydicom

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return pydicom.dcmread(check_regular(path))
    except (pydicom.errors.InvalidDicomError, EOFError, ValueError) as error:
        raise UnreadableError("its voxels cannot be read: the file is cut off or damaged", EXPORT_AGAIN) from error


def stored_numbers(file: "pydicom.Dataset") -> Voxels:
    """The stored numbers of a file, (frames, rows, columns), by pydicom, or by GDCM where pydicom has no decoder.

    Numbers in the highest bits are moved to the lowest, which neither does. In files that only say so, the bits below
    are not all 0.
    """
    values, low = _decoded(file), lowest_bit(file)
    whole = _unmasked(file, values) if low else values
    return whole >> low if low and not (whole & (2**low - 1)).any() else values


def _decoded(file: "pydicom.Dataset") -> Voxels:
    shape = (int(file.get("NumberOfFrames") or 1), int(file.Rows), int(file.Columns))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return np.asarray(file.pixel_array).reshape(shape)
        except (RuntimeError, NotImplementedError):
            return _stored_by_gdcm(file).reshape(shape)
        except (AttributeError, KeyError, ValueError) as error:
            raise UnreadableError("its voxels cannot be read: the file is cut off or damaged", EXPORT_AGAIN) from error


def _stored_by_gdcm(file: "pydicom.Dataset") -> Voxels:
    """Let SimpleITK decode a copy of a file that says nothing of rescaling, and is not to be inverted."""
    for tag in (*DISPLAY, *FRAMED):
        if tag in file:
            delattr(file, tag)
    file.PhotometricInterpretation = "MONOCHROME2"
    if int(file.get("NumberOfFrames") or 1) > 1:
        file.SOPClassUID = MULTIFRAME
    with tempfile.TemporaryDirectory() as folder:
        file.save_as(Path(folder, "stored.dcm"))
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(Path(folder, "stored.dcm")))
        return np.asarray(sitk.GetArrayFromImage(execute(reader)))


def _unmasked(file: "pydicom.Dataset", stored: Voxels) -> Voxels:
    """The stored numbers with the bits above those that count, where padding may be; compressed files have none."""
    syntax = file.file_meta.TransferSyntaxUID
    if syntax.is_encapsulated or "PixelData" not in file or file.BitsAllocated not in (8, 16, 32):
        return stored
    sign = "i" if file.PixelRepresentation else "u"
    dtype = np.dtype(f"{'<' if syntax.is_little_endian else '>'}{sign}{int(file.BitsAllocated) // 8}")
    return np.frombuffer(file.PixelData, dtype, stored.size).reshape(stored.shape)
