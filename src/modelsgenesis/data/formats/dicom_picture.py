"""DICOM radiographs: files of one picture each."""

import re
import struct
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from modelsgenesis.core.files import open_regular
from modelsgenesis.core.image_format import MAX_VOXELS, Header, ImageFormat, Place, Region, header_of_array
from modelsgenesis.data.formats.base.dicom_header import DAMAGED, PALETTE, lowest_bit, missing_pixels, scaling_of
from modelsgenesis.data.formats.base.dicom_pixels import looked_up, open_dataset, stored_numbers
from modelsgenesis.data.formats.base.itk import EXPORT_AGAIN, check_size, crop, read_file
from modelsgenesis.data.problems import UnreadableError, costs_one_source

if TYPE_CHECKING:
    import pydicom

# CR; DX, MG and intra-oral, for presentation and for processing: PS3.4, B.5
RADIOGRAPH = re.compile(
    rb"\x02\x00\x02\x00UI..1\.2\.840\.10008\.5\.1\.4\.1\.1\.1(\.[123](\.1)?)?\0?\x02\x00", re.DOTALL
)
SEGMENTATION = "SEG"
TAGS = (
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated"),
    *("BitsStored", "HighBit", "PixelRepresentation", "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence"),
    *("VOILUTSequence", "WindowCenter", "PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"),
    *("EstimatedRadiographicMagnificationFactor", "Modality", "SharedFunctionalGroupsSequence"),
)


@dataclass(frozen=True)
class DicomPicture(ImageFormat):
    """A radiograph, dark where there is air: MONOCHROME1, which counts the other way, is turned.

    Or a segmentation (DICOM-SEG) of one, as the map of its segments' numbers.

    Args:
        voi: the modality's look-up table and the values of interest, a look-up table or the first window, are applied.
    Source: DICOM PS3.3, C.7.6.3.1.2 of the photometric interpretation, C.11.1 and C.11.2 of look-up tables and windows,
        10.7.1 of the spacing.
    """

    voi: bool = False

    axes: ClassVar = 2
    knows_spacing: ClassVar = False
    is_dicom: ClassVar = True
    needs_ending: ClassVar = False

    def recognise(self, head: bytes, path: Path) -> str:
        """Recognise the class of a radiograph in the file's meta information."""
        return "DICOM" if is_radiograph(head) else ""

    def declared(self, path: Path) -> dict[str, Any]:
        """Name the patient that the header names: a patient's pictures stay together."""
        patient = str(read_tags(path, "PatientID").get("PatientID") or "")
        return {"modality": "XR", **({"patient": patient} if patient else {})}

    def with_voi(self) -> "DicomPicture":
        """The same with what is of interest applied."""
        return DicomPicture(voi=True)

    def read_header(self, place: Place) -> Header:
        """Read its size in pixels, how far apart they lie, and the values of black and white."""
        return self._header(read_tags(place.path, *TAGS))

    def _header(self, tags: "pydicom.Dataset") -> Header:
        if tags.get("Modality") == SEGMENTATION:
            return _header_of_segments(tags)
        if (frames := int(tags.get("NumberOfFrames") or 1)) > 1:
            raise UnreadableError(f"{frames} frames in one file", "save each as a picture of its own")
        if not (tags.get("Rows") and tags.get("Columns")):
            raise UnreadableError("a DICOM file without an image", "nothing to do: leave it out")
        levels = levels_of(tags, self.voi)
        plain = header_of_array((int(tags.Columns), int(tags.Rows)), _dtype_of(levels, tags))
        channels = 3 if tags.get("PhotometricInterpretation") == PALETTE else int(tags.get("SamplesPerPixel") or 1)
        header = replace(plain, channels=channels, levels=levels)
        spacing_mm, doubts = spacing_of(tags)
        if self.voi and not ("WindowCenter" in tags or "VOILUTSequence" in tags):
            doubts = (*doubts, "its header has neither window nor VOI look-up table: its bit depth is taken")
        return replace(header, spacing_mm=spacing_mm or header.spacing_mm, spaced=bool(spacing_mm), doubts=doubts)

    def check(self, header: Header, place: Place, max_voxels: int = MAX_VOXELS) -> None:
        """Refuse colour and an impossible size."""
        check_size(header.size, max_voxels, axes=2)
        if header.channels > 1:
            raise UnreadableError("a DICOM picture in colour", "leave it out; radiographs are grey")

    def read(self, place: Place, region: Region | None = None) -> tuple[sitk.Image, list[str]]:
        """Read the picture, compressed or not, and cut the region out of it."""
        tags = read_tags(place.path, *TAGS)
        header = self._header(tags)
        signed_negative = bool(tags.get("PixelRepresentation")) and is_negative(tags)  # on which GDCM fails
        if tags.get("Modality") == SEGMENTATION:
            values: NDArray[Any] = _map_of_segments(open_dataset(place.path))
        elif self.voi or signed_negative or lowest_bit(tags):
            values = self._values(place.path, header)
        else:
            values = sitk.GetArrayFromImage(read_file(place, dtype=header.dtype))  # ITK turns MONOCHROME1
        image = sitk.GetImageFromArray(values[0] if values.ndim == 3 else values)
        image.SetSpacing(header.spacing_mm)
        return crop(image, region), []

    def _values(self, path: Path, header: Header) -> NDArray[Any]:
        """The values (rows, columns) by pydicom, which applies tables and windows."""
        from pydicom.pixels.processing import apply_rescale, apply_windowing

        file = open_dataset(path)
        stored = stored_numbers(file)[0]
        try:
            tables = [(self.voi and file.get(name)) or None for name in ("ModalityLUTSequence", "VOILUTSequence")]
            values = looked_up(stored, tables[0][0]) if tables[0] else apply_rescale(stored, file)
            if tables[1]:
                values = looked_up(values, tables[1][0])
            elif self.voi:
                values = apply_windowing(values, file)
        except (AttributeError, LookupError, TypeError, ValueError, struct.error) as error:
            what = f"its window or look-up table cannot be applied ({type(error).__name__})"
            raise UnreadableError(what, "leave --voi out, or correct its header") from error
        if is_negative(file) and header.levels is not None:
            values = sum(header.levels) - values
        dtype = np.dtype(header.dtype)
        return np.asarray(values if dtype.kind == "f" else np.rint(values)).astype(dtype)


def is_radiograph(head: bytes) -> bool:
    """Whether the first bytes of a DICOM file say that it is a radiograph."""
    return head[128:132] == b"DICM" and RADIOGRAPH.search(head) is not None


def _header_of_segments(tags: "pydicom.Dataset") -> Header:
    """The header of a segmentation, whose spacing is the one that all its frames share."""
    shared = tags.get("SharedFunctionalGroupsSequence")
    measures = shared[0].get("PixelMeasuresSequence") if shared else None
    spacing_mm, doubts = spacing_of(measures[0]) if measures else ((), ())
    header = header_of_array((int(tags.Columns), int(tags.Rows)), "uint8", doubts)
    return replace(header, spacing_mm=spacing_mm or header.spacing_mm, spaced=bool(spacing_mm), labels=True)


def _map_of_segments(file: "pydicom.Dataset") -> NDArray[np.uint8]:
    """The number of the segment that each pixel is in, (rows, columns); 0 in none.

    Raises:
        UnreadableError: two segments overlap, or it is of shares and not of segments.
    """
    kind, frames = file.get("SegmentationType"), stored_numbers(file)
    if kind == "LABELMAP" and len(frames) == 1:
        return np.asarray(frames[0], np.uint8)
    if kind != "BINARY":
        raise UnreadableError("a segmentation whose type is not BINARY", "save it as BINARY")
    found = np.zeros(frames.shape[1:], np.uint8)
    shared = list(file.get("SharedFunctionalGroupsSequence") or [])
    each = list(file.get("PerFrameFunctionalGroupsSequence") or [])
    for number, frame in enumerate(frames):
        named = [one["SegmentIdentificationSequence"][0] for one in (*each[number : number + 1], *shared)
                 if "SegmentIdentificationSequence" in one]  # fmt: skip
        if not named:
            raise UnreadableError("a segmentation that does not say which segments it has", EXPORT_AGAIN)
        if (found[frame > 0] > 0).any():
            raise UnreadableError("two of its segments overlap", "save each label in a file of its own")
        found[frame > 0] = int(named[0].ReferencedSegmentNumber)
    return found


def is_negative(tags: "pydicom.Dataset") -> bool:
    """Whether white is where the numbers are low."""
    return str(tags.get("PhotometricInterpretation") or "") == "MONOCHROME1"


def levels_of(tags: "pydicom.Dataset", voi: bool) -> tuple[float, float] | None:
    """The values of black and white: the least and greatest that the bits stored hold, rescaled, or that tables give.

    Args:
        tags: of the header.
        voi: whether look-up tables count.
    """
    named = ("VOILUTSequence", "ModalityLUTSequence") if voi else ()
    tables = [tags[name].value[0] for name in named if tags.get(name)]
    if tables:
        return 0.0, 2.0 ** int(tables[0].LUTDescriptor[2]) - 1
    given = {name: tags.get(name) for name in TAGS if name in tags and not name.endswith("Sequence")}
    return scaling_of(given, framed=False).limits if given.get("BitsStored") else None


def _dtype_of(levels: tuple[float, float] | None, tags: "pydicom.Dataset") -> str:
    """The type of the values: the smallest that holds both levels, if these are whole."""
    low, high = levels or (0, 2 ** int(tags.get("BitsAllocated") or 16) - 1)
    whole = all(float(tags.get(name) or 0).is_integer() for name in ("RescaleSlope", "RescaleIntercept"))
    for name in ("uint8", "int8", "uint16", "int16") if whole else ():
        if np.iinfo(name).min <= low and high <= np.iinfo(name).max:
            return name
    return "float32"


def spacing_of(tags: "pydicom.Dataset") -> tuple[tuple[float, ...], tuple[str, ...]]:
    """How far apart columns and rows lie in mm, nothing where the header does not say; and what is doubtful about it.

    PixelSpacing is that of the patient where somebody calibrated it, or else that of the detector; it comes first.
    ImagerPixelSpacing is that of the detector, which the magnification brings to the patient; that of a scanner of
    films is of the film.
    """
    for name in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        if not (given := tags.get(name)):
            continue
        by = float(tags.get("EstimatedRadiographicMagnificationFactor") or 1) if name == "ImagerPixelSpacing" else 1.0
        steps = [float(step) / by for step in given] if by > 0 else []
        if len(steps) == 2 and all(np.isfinite(step) and step > 0 for step in steps):
            return (steps[1], steps[0]), ()  # rows lie the first apart, along Y
        return (), (f"its header gives a {name} that is not two lengths: not taken, a pixel counts as 1 mm",)
    return (), ()


def is_alone(path: Path) -> bool:
    """Whether a DICOM file is one picture that lies nowhere, such as a radiograph saved as a secondary capture.

    A segmentation of a picture lies nowhere either; it has a frame for each segment.
    """
    tags = read_tags(path, "ImagePositionPatient", "NumberOfFrames", "Rows", "Modality", "FrameOfReferenceUID")
    if tags.get("Modality") == SEGMENTATION:
        return not tags.get("FrameOfReferenceUID")
    frames = int(tags.get("NumberOfFrames") or 1)
    return "Rows" in tags and frames == 1 and not tags.get("ImagePositionPatient")


def read_tags(path: Path, *names: str) -> "pydicom.Dataset":
    """Read some tags of a DICOM file.

    Raises:
        UnreadableError: its header is damaged.
    """
    import pydicom  # here, since it takes as long as everything else that a folder without DICOM needs

    with (
        costs_one_source(DAMAGED), open_regular(path) as file,
        warnings.catch_warnings(), pydicom.config.disable_value_validation(),
    ):  # fmt: skip
        warnings.simplefilter("ignore")
        tags = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(names))
        for _ in tags:  # each is understood now, or never
            pass
        measured = "BitsAllocated" in names and tags.get("Rows") and tags.get("Columns")
        if measured and (short := missing_pixels(file, tags)):
            raise UnreadableError(short, EXPORT_AGAIN)
        return tags
