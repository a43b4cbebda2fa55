"""The header of a DICOM image: where its slices lie and how their stored numbers become values, before a voxel is read.

A file is one slice, or, in the enhanced multi-frame objects, one slice a frame.
"""

import functools
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.core.files import open_regular
from modelsgenesis.core.words import many
from modelsgenesis.data.problems import Problem, UnreadableError, costs_one_source

if TYPE_CHECKING:
    import pydicom

MODALITIES = {"CT": "CT", "MR": "MR", "CR": "XR", "DX": "XR", "DR": "XR", "MG": "XR"}
NO_IMAGES = {"SR", "RTPLAN", "RTDOSE", "PR", "KO", "REG", "DOC"}
OUTLINES = {"RTSTRUCT": "contours of structures (RTSTRUCT)", "SEG": "a segmentation (DICOM-SEG)"}
RADIOGRAPHS = {"CR", "DX", "DR", "MG", "IO", "PX", "RG"}
# What tells the volumes of one series apart, the surest first; the last ones are of frames.
KINDS = (
    *("EchoNumbers", "EchoTime", "TemporalPositionIdentifier", "DiffusionBValue", "InversionTime", "FlipAngle"),
    *("TriggerTime", "AcquisitionNumber", "ImageType", "ConvolutionKernel", "AcquisitionTime", "ContentTime"),
    *("EffectiveEchoTime", "TemporalPositionIndex", "NominalPercentageOfCardiacPhase", "FrameType", "StackID"),
    *("NominalCardiacTriggerDelayTime", "FrameAcquisitionNumber", "InversionTimes", "ComplexImageComponent"),
)
TAGS = (
    *("SeriesInstanceUID", "StudyInstanceUID", "SOPInstanceUID", "PatientID", "Modality", "InstanceNumber"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns", "NumberOfFrames"),
    *("SamplesPerPixel", "RescaleSlope", "RescaleIntercept", "BitsStored", "BitsAllocated", "PixelRepresentation"),
    *("HighBit", "PhotometricInterpretation", "PixelPaddingValue", "PixelPaddingRangeLimit", "ModalityLUTSequence"),
    *("RealWorldValueMappingSequence", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *("DimensionIndexValues", "RescaleType"),
    *KINDS,
)
PLACE = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}  # {tag: how many numbers}
Fields = dict[str, Any]  # of a header: {keyword: value}, of those in TAGS
UNDEFINED = 0xFFFFFFFF  # a length: of compressed pixels
PALETTE = "PALETTE COLOR"
DAMAGED = ("a DICOM file whose header is damaged", "export it again")


@dataclass(frozen=True)
class Scaling:
    """How the stored numbers of a slice become values.

    Attributes:
        slope: that a stored number is multiplied by.
        intercept: that is added.
        rescaled: whether the header says both.
        stored: the least and the greatest number that its bits hold; None when they are floating-point numbers.
        padding: the least and the greatest stored number that is no part of the image; None when there is none.
        table: whether a modality look-up table takes the place of slope and intercept.
        plain: whether SimpleITK reads the values as they are meant.
    """

    slope: float
    intercept: float
    rescaled: bool
    stored: tuple[int, int] | None
    padding: tuple[int, int] | None
    table: bool
    plain: bool

    @property
    def whole(self) -> bool:
        """Whether all values are whole numbers."""
        return self.stored is not None and self.slope.is_integer() and self.intercept.is_integer()

    @property
    def limits(self) -> tuple[float, float]:
        """The least and the greatest value that there may be."""
        if self.table or self.stored is None:
            return 0.0, 65535.0
        low, high = sorted(number * self.slope + self.intercept for number in self.stored)
        return low, high


@dataclass(frozen=True)
class Slice:
    """The part of one slice's header that is needed.

    Attributes:
        path: of the file.
        frame: its number in the file, from 0.
        series: SeriesInstanceUID.
        patient: PatientID, or the study's UID when it is empty.
        instance: names the image: copies of a file share it.
        number: InstanceNumber, or of a frame its place in the file.
        modality: one of scan.MODALITIES.
        position_mm: of its first pixel, in LPS.
        plane: the cosines of its rows and columns, each of length 1.
        spacing_mm: between rows, and between columns.
        shape: rows and columns.
        scaling: of its stored numbers.
        kinds: (tag, value) pairs that may tell it from another image of the same place.
        colour: whether a pixel is more than one number, or the number of a colour.
        short: that its pixels are fewer than its header claims, in words; or "".
    """

    path: Path
    frame: int
    series: str
    patient: str
    instance: str
    number: int
    modality: str
    position_mm: tuple[float, ...]
    plane: tuple[float, ...]
    spacing_mm: tuple[float, float]
    shape: tuple[int, int]
    scaling: Scaling
    kinds: tuple[tuple[str, str], ...]
    colour: bool
    short: str = ""

    @property
    def normal(self) -> NDArray[np.float64]:
        """The direction across it, of length 1."""
        normal = np.cross(self.plane[:3], self.plane[3:])
        return np.asarray(normal / np.linalg.norm(normal))


def read_slices(path: Path) -> list[Slice] | Problem:
    """Read one header, without its voxels; what cannot be read becomes a problem."""
    import pydicom  # here, since it takes as long as everything else that a folder without DICOM needs

    try:
        with (
            costs_one_source(DAMAGED), open_regular(path) as file,
            warnings.catch_warnings(), pydicom.config.disable_value_validation(),
        ):  # fmt: skip
            warnings.simplefilter("ignore")  # pydicom warns of every odd tag; those that matter are checked here
            dataset = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(_names()))
            header = _fields(dataset)
            framed = "PerFrameFunctionalGroupsSequence" in header
            flats = list(_frames(header))
            short = missing_pixels(file, dataset)
            return [_describe(path, frame, flat, framed, short) for frame, flat in enumerate(flats)]
    except UnreadableError as error:
        return error.at(path)


def missing_pixels(file: BinaryIO, header: "pydicom.Dataset") -> str:
    """Say that grey pixels are fewer bytes than their header claims; "" where all are there, or compressed.

    Args:
        file: that pydicom has read until just before the pixels.
        header: that it read.
    """
    there = _pixel_bytes(file, header)
    if there is None or int(header.get("SamplesPerPixel") or 1) > 1:
        return ""
    bits = int(header.get("BitsAllocated") or 16) * int(header.get("NumberOfFrames") or 1)
    claimed = (int(header.Rows) * int(header.Columns) * bits + 7) // 8
    if claimed <= there:
        return ""
    what = f"{header.Rows} x {header.Columns} pixels are {claimed} bytes, and the file has {there}"
    return f"its pixels are cut off, or its header is wrong: {what}"


def _pixel_bytes(file: BinaryIO, header: "pydicom.Dataset") -> int | None:
    """The length of the element that comes next, or what of it is there; None of compressed pixels."""
    syntax = header.file_meta.get("TransferSyntaxUID")
    if syntax is not None and (syntax.is_deflated or syntax.is_compressed):
        return None
    head = file.read(12)  # tag, and the length behind it, or behind a type and two empty bytes
    at = 8 if head[4:6] in (b"OB", b"OW", b"OF", b"OD", b"UN") else 4
    length = int.from_bytes(head[at : at + 4], "little" if header.original_encoding[1] else "big")
    left = os.fstat(file.fileno()).st_size - file.tell() + len(head) - at - 4
    return None if length == UNDEFINED else min(length, max(0, left))


@functools.cache
def _names() -> dict[int, str]:
    """The keywords by their tags, which are found faster."""
    from pydicom.tag import Tag

    return {Tag(name): name for name in TAGS}


def _fields(header: "pydicom.Dataset") -> Fields:
    """The values of a header or an item of a sequence; those of KINDS are only compared, so they stay as written."""
    named = ((tag, name) for tag in header.keys() if (name := _names().get(tag)))  # noqa: SIM118 a Dataset
    return {name: str(header.get_item(tag).value) if name in KINDS else header[tag].value for tag, name in named}


def _frames(header: Fields) -> Iterator[Fields]:
    """Each frame's header as if it were a file of its own."""
    if "SeriesInstanceUID" not in header and "Modality" not in header:
        raise UnreadableError(*DAMAGED)
    kind = header.get("Modality") or "no modality"
    if kind in OUTLINES:
        remedy = "leave it out; as labels, load it with its scan in 3D Slicer and export a label map beside the scan"
        raise UnreadableError(f"{OUTLINES[kind]}, no scan", remedy)
    if "SeriesInstanceUID" not in header or "Rows" not in header or kind in NO_IMAGES:
        known = f" ({kind})" if kind in NO_IMAGES else ""  # any other is the header's own text
        raise UnreadableError(f"a DICOM file without an image to learn from{known}", "nothing to do: leave it out")
    num_frames, groups = int(header.get("NumberOfFrames") or 1), header.get("PerFrameFunctionalGroupsSequence")
    if not groups:
        if num_frames > 1:
            raise UnreadableError(*_without_positions(kind))
        yield header
        return
    if len(groups) != num_frames:
        raise UnreadableError(
            f"a DICOM file of {num_frames} frames that describes {len(groups)} of them", "export it again"
        )
    for group in groups:
        yield _flattened(header, [*(header.get("SharedFunctionalGroupsSequence") or [])[:1], group])


def _without_positions(kind: str) -> tuple[str, str]:
    return (
        f"a DICOM file of several frames without a position of each ({kind}), such as a film",
        "leave it out; if it is a volume, convert it, for example with dcm2niix",
    )


def _flattened(header: Fields, groups: Sequence["pydicom.Dataset"]) -> Fields:
    """The header of a file with what its functional groups say of one frame."""
    flat = {name: value for name, value in header.items() if not name.endswith("Sequence")}
    for group in groups:
        for element in group:
            if element.VR == "SQ" and element.value:
                flat |= _fields(element.value[0])
        flat |= {name: value for name, value in _fields(group).items() if value}
    return flat


def _describe(path: Path, frame: int, header: Fields, framed: bool, short: str) -> Slice:
    if not all(header.get(tag) for tag in PLACE):
        if header.get("Modality") in RADIOGRAPHS:
            raise UnreadableError(
                f"a radiograph in DICOM ({header['Modality']}): a picture (2D), which a later version reads",
                "leave it out, or save it as PNG where pictures are wanted",
            )
        if framed:
            raise UnreadableError(*_without_positions(str(header.get("Modality") or "no modality")))
        raise UnreadableError("a DICOM image without position, orientation or spacing: 2D", "leave it out")
    position, cosines, spacing = (_floats(header, tag, count) for tag, count in PLACE.items())
    plane = np.array(cosines).reshape(2, 3)
    plane = plane / np.linalg.norm(plane, axis=1, keepdims=True)
    scaling = scaling_of(header, framed)
    if not np.isfinite([*plane.ravel(), *position, *spacing, scaling.slope, scaling.intercept]).all():
        raise UnreadableError(*DAMAGED)
    instance = str(header.get("SOPInstanceUID") or path)
    return Slice(
        path,
        frame,
        series=str(header["SeriesInstanceUID"]),
        patient=str(header.get("PatientID") or header.get("StudyInstanceUID") or header["SeriesInstanceUID"]),
        instance=f"{instance} {frame}",
        number=frame if framed else int(header.get("InstanceNumber") or 0),
        modality=MODALITIES.get(str(header.get("Modality")), "unknown"),
        position_mm=position,
        plane=tuple(plane.ravel().tolist()),
        spacing_mm=(spacing[0], spacing[1]),
        shape=(int(header["Rows"]), int(header["Columns"])),
        scaling=scaling,
        kinds=tuple(_kinds(header, instance if framed else "")),
        colour=int(header.get("SamplesPerPixel") or 1) > 1 or header.get("PhotometricInterpretation") == PALETTE,
        short=short,
    )


def _floats(header: Fields, tag: str, count: int) -> tuple[float, ...]:
    """The numbers of a tag that must have so many."""
    given = header[tag]
    numbers = tuple(map(float, given)) if hasattr(given, "__iter__") else (float(given),)
    if len(numbers) != count:
        raise UnreadableError(f"its {tag} has {many(len(numbers), 'number')}, not {count}", "export it again")
    return numbers


def _kinds(header: Fields, file: str) -> Iterator[tuple[str, str]]:
    """What may tell an image from another of the same place."""
    yield from ((name, header[name]) for name in KINDS if name in header)
    if unit := str(header.get("RescaleType") or ""):
        yield "RescaleType", unit
    if file:  # of frames
        yield "SOPInstanceUID", file
        indices = header.get("DimensionIndexValues") or ()
        for number, index in enumerate([indices] if isinstance(indices, int) else indices):
            yield f"dimension {number + 1}", str(index)


def scaling_of(header: Fields, framed: bool) -> Scaling:
    """Read how the stored numbers of a slice become values.

    A real-world value map counts where there is one alone; of several, such as SUVs of different kinds, the rescaling
    does.

    Raises:
        UnreadableError: the map is a table, or there are several and no rescaling.
    """
    slope, intercept = float(header.get("RescaleSlope") or 1), float(header.get("RescaleIntercept") or 0)
    rescaled = "RescaleSlope" in header and "RescaleIntercept" in header
    table = bool(header.get("ModalityLUTSequence"))
    mapped = _real_world(header, rescaled or table) or (slope, intercept)
    allocated = int(header.get("BitsAllocated") or 16)
    floating = allocated >= 32 and "PixelRepresentation" not in header
    stored, padding = (None, None) if floating else _stored(header, allocated)
    plain = not (floating or table) and mapped == (slope, intercept) and not framed
    plain = plain and str(header.get("PhotometricInterpretation") or "MONOCHROME2") != "MONOCHROME1"
    plain = plain and not lowest_bit(header)
    if stored and padding:  # what lies beyond the bits stored is cut to look like tissue or metal
        plain = plain and stored[0] <= padding[0] and padding[1] <= stored[1]
    return Scaling(*mapped, rescaled or mapped != (slope, intercept), stored, padding, table, plain)


def _real_world(header: Fields, rescaled: bool) -> tuple[float, float] | None:
    """Slope and intercept of the only real-world value map; None when there is none, or several beside a rescaling."""
    maps: Sequence[Any] = header.get("RealWorldValueMappingSequence") or []
    only: Any = maps[0] if len(maps) == 1 else {}
    if "RealWorldValueSlope" in only:
        return float(only["RealWorldValueSlope"].value), float(only.get("RealWorldValueIntercept") or 0)
    if not maps or rescaled:
        return None
    what = f"{len(maps)} real-world value maps" if len(maps) > 1 else "a real-world value map that is a table"
    raise UnreadableError(f"a DICOM image with {what} and no rescaling", "export it with RescaleSlope and Intercept")


def _stored(header: Fields, allocated: int) -> tuple[tuple[int, int], tuple[int, int] | None]:
    """The least and the greatest stored number, and of padding, whichever sign its tag was written with."""
    signed = int(header.get("PixelRepresentation") or 0)
    bits = int(header.get("BitsStored") or 16)
    low = -(2 ** (bits - 1)) if signed else 0
    stored = low, low + 2**bits - 1
    given = [header.get(tag) for tag in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    if given[0] is None:
        return stored, None
    least = -(2 ** (allocated - 1)) if signed else 0
    ends = [(_number(value) - least) % 2**allocated + least for value in given if value is not None]
    return stored, (min(ends), max(ends))


def lowest_bit(header: "Fields | pydicom.Dataset") -> int:
    """The place of the lowest bit that counts, by the header: 0 in nearly all files, as DICOM has it today.

    Older files may keep 12 bits in the highest of 16; others only say so. `stored_numbers` tells which.

    Source: DICOM PS3.3, C.7.6.3.1; PS3.5, 8.1.1.
    """
    bits = int(header.get("BitsStored") or 0)
    return max(0, int(header.get("HighBit") or 0) + 1 - bits) if bits else 0


def _number(value: Any) -> int:
    """A padding value as a number; pydicom leaves it in bytes where the file does not say its sign."""
    return int.from_bytes(value, "little") if isinstance(value, bytes) else int(value)
