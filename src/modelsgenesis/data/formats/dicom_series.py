"""DICOM series: slices grouped by SeriesInstanceUID, put in order, and checked before a voxel is read."""

import math
import struct
import warnings
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from modelsgenesis.core.image_format import MAX_VOXELS, Geometry, Header, ImageFormat, Mapper, Place, Region
from modelsgenesis.data.formats.base.itk import SMALL, check_size, check_spacing, crop, execute, header_of
from modelsgenesis.data.formats.dicom_picture import DicomPicture, is_alone, is_radiograph
from modelsgenesis.data.problems import Problem, UnreadableError
from modelsgenesis.data.resampling import straighten

if TYPE_CHECKING:
    import pydicom

MODALITIES = {"CT": "CT", "MR": "MR", "CR": "XR", "DX": "XR", "DR": "XR", "MG": "XR"}
NO_IMAGES = {"SR", "RTSTRUCT", "RTPLAN", "RTDOSE", "PR", "KO", "REG", "DOC", "SEG"}
SAME_PLACE_MM = 0.01
UNEVEN = 0.1  # of the step between slices
GAP = 1.5  # steps
TILTED = 1e-2  # drift of a step off the normal, as a share of it
TAGS = (
    *("SeriesInstanceUID", "StudyInstanceUID", "SOPInstanceUID", "PatientID", "Modality", "InstanceNumber"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns", "NumberOfFrames"),
    *("SamplesPerPixel", "RescaleSlope", "RescaleIntercept", "BitsStored", "PixelRepresentation"),
)


@dataclass(frozen=True)
class DicomSeries(ImageFormat):
    """Slices that a folder holds; of an upright series only those that a region goes through are read."""

    endings: ClassVar = {".dcm": "DICOM"}
    needs_ending: ClassVar = False
    is_directory: ClassVar = True
    reads_parts: ClassVar = True

    def recognise(self, head: bytes, path: Path) -> str:
        """Recognise the magic after an empty page; the index of a medium is no slice, nor is a radiograph."""
        slices = head[128:132] == b"DICM" and path.name != "DICOMDIR" and not is_radiograph(head)
        return "DICOM" if slices else ""

    def as_picture(self, path: Path) -> ImageFormat | None:
        """A picture is what lies nowhere, such as a radiograph saved as a secondary capture."""
        return DicomPicture() if is_alone(path) else None

    def gather(self, files: Sequence[Path], mapper: Mapper = map) -> tuple[list[dict[str, Any]], list[Problem]]:
        """Put slices in order, with a volume for each series."""
        read = list(mapper(read_slice, files))
        found, problems = group_series([one for one in read if isinstance(one, Slice)])
        volumes = [
            {"path": one.folder, "files": one.files, "series": one.uid, "patient": one.patient,
             "modality": one.modality, "dicom": one}
            for one in found
        ]  # fmt: skip
        return volumes, [*(one for one in read if isinstance(one, Problem)), *problems]

    def read_header(self, place: Place) -> Header:
        """Read the header of the first slice, and the step between slices."""
        return header_of_series(place.dicom)

    def check(self, header: Header, place: Place, max_voxels: int = MAX_VOXELS) -> None:
        """Refuse what is absurdly large; all else was checked when the slices were gathered."""
        check_size(header.size, max_voxels)

    def read(self, place: Place, region: Region | None = None) -> tuple[sitk.Image, list[str]]:
        """Read the slices and give them their true place; a tilted stack is straightened before it is cropped."""
        series: Series = place.dicom
        header, files = header_of_series(series), series.files
        part = region if header.upright else None
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames([str(file) for file in (files[part[2]] if part else files)])
        if not series.whole:
            reader.SetOutputPixelType(sitk.sitkFloat32)
        elif series.bits <= 15 and header.dtype not in SMALL:
            reader.SetOutputPixelType(sitk.sitkInt16)
        image = execute(reader)
        if header.upright:  # where the whole scan has them: uneven slices lie elsewhere by their own headers
            up_mm = header.geometry.frame[:, 2] * header.spacing_mm[2] * (part[2].start if part else 0)
            image.SetOrigin((np.array(header.origin_mm) + up_mm).tolist())
        image = straighten(image, series.step_mm)
        if part:
            return crop(image, (*part[:2], slice(0, image.GetSize()[2]))), []
        return crop(image, region), []


@dataclass(frozen=True)
class Slice:
    """The part of one file's header that is needed."""

    path: Path
    series: str
    patient: str
    instance: str
    number: int
    modality: str
    position_mm: tuple[float, ...]
    plane: tuple[float, ...]  # row and column cosines, pixel spacing, rows, columns: equal within a volume
    slope: float
    intercept: float
    rescaled: bool  # whether the header says slope and intercept
    bits: int  # stored
    colour: bool
    frames: int


@dataclass(frozen=True)
class Series:
    """The slices of one volume.

    Attributes:
        folder: of the first slice.
        files: along the normal of the slices, one a position.
        uid: SeriesInstanceUID; raw, never stored.
        patient: PatientID, or the study's UID when it is empty; raw, never stored.
        modality: one of scan.MODALITIES.
        step_mm: from a slice to the next, in LPS, on average; off the normal when the gantry was tilted.
        z_mm: of each slice's position, as its header says.
        whole: whether rescaling gives whole numbers.
        bits: stored, at most.
        notes: what was repaired.
    """

    folder: Path
    files: tuple[Path, ...]
    uid: str
    patient: str
    modality: str
    step_mm: tuple[float, ...]
    z_mm: tuple[float, ...]
    whole: bool
    bits: int
    notes: tuple[str, ...]


def read_slice(path: Path) -> Slice | Problem:
    """Read one header, without its voxels; what cannot be read becomes a problem."""
    import pydicom  # here, since it takes as long as everything else that a folder without DICOM needs
    from pydicom.errors import InvalidDicomError

    try:
        with warnings.catch_warnings(), pydicom.config.disable_value_validation():
            warnings.simplefilter("ignore")  # pydicom warns of every odd tag; those that matter are checked here
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(TAGS))
            return _describe(path, header)
    except PermissionError:
        return Problem(path, "no permission to read the file", "change its permissions")
    except UnreadableError as error:
        return error.at(path)
    except (InvalidDicomError, OSError, EOFError, KeyError, TypeError, ValueError, AttributeError, struct.error):
        return Problem(path, "a DICOM file whose header is damaged", "export it again")


def _describe(path: Path, header: "pydicom.Dataset") -> Slice:
    if "SeriesInstanceUID" not in header and "Modality" not in header:
        raise UnreadableError("a DICOM file whose header is damaged", "export it again")
    if "SeriesInstanceUID" not in header or "Rows" not in header or header.get("Modality") in NO_IMAGES:
        kind = header.get("Modality") or "no modality"
        raise UnreadableError(f"a DICOM file without an image to learn from ({kind})", "nothing to do: leave it out")
    if not all(header.get(tag) for tag in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")):
        raise UnreadableError("a DICOM image without position, orientation or spacing: 2D", "leave it out")
    plane = (*header.ImageOrientationPatient, *header.PixelSpacing, header.Rows, header.Columns)
    slope, intercept = float(header.get("RescaleSlope") or 1), float(header.get("RescaleIntercept") or 0)
    if not all(math.isfinite(float(number)) for number in (*plane, *header.ImagePositionPatient, slope, intercept)):
        raise UnreadableError("a DICOM file whose header is damaged", "export it again")
    return Slice(
        path,
        series=str(header.SeriesInstanceUID),
        patient=str(header.get("PatientID") or header.get("StudyInstanceUID") or header.SeriesInstanceUID),
        instance=str(header.get("SOPInstanceUID") or path),
        number=int(header.get("InstanceNumber") or 0),
        modality=MODALITIES.get(str(header.get("Modality")), "unknown"),
        position_mm=tuple(float(number) for number in header.ImagePositionPatient),
        plane=tuple(round(float(number), 4) for number in plane),
        slope=slope,
        intercept=intercept,
        rescaled="RescaleSlope" in header and "RescaleIntercept" in header,
        bits=int(header.get("BitsStored") or 16) - int(header.get("PixelRepresentation") or 0),
        colour=int(header.get("SamplesPerPixel") or 1) > 1,
        frames=int(header.get("NumberOfFrames") or 1),
    )


def group_series(slices: Iterable[Slice]) -> tuple[list[Series], list[Problem]]:
    """Group slices into volumes.

    Refused: colour, several frames a file, an impossible spacing, a single position, missing slices, several volumes
    under one UID. Repaired with a note: duplicate slices, slices of another plane (a localizer), uneven steps, a tilted
    gantry. Noted: a CT whose header does not hold the scale to HU.
    """
    groups: dict[str, list[Slice]] = defaultdict(list)
    for one in slices:
        groups[one.series].append(one)
    series, problems = [], []
    for uid in sorted(groups):
        members = sorted(groups[uid], key=lambda one: (one.number, one.path))
        folder = min(one.path for one in members).parent
        try:
            series.append(arrange(folder, members))
        except UnreadableError as error:
            problems.append(error.at(folder))
    return series, problems


def arrange(folder: Path, members: list[Slice]) -> Series:
    """Put the slices of one series in order.

    Raises:
        UnreadableError: they make no volume.
    """
    if any(one.colour for one in members):
        raise UnreadableError("a DICOM series in colour", "leave it out; grey volumes are prepared here")
    if any(one.frames > 1 for one in members):
        raise UnreadableError("a DICOM file of several frames", "convert it, for example with dcm2niix")
    notes: list[str] = []
    members = _one_plane(members, notes)
    check_spacing(members[0].plane[6:8])
    if members[0].modality == "CT" and not all(one.rescaled for one in members):
        notes.append("a CT without rescale slope and intercept: its values are taken for HU as they are")
    normal = np.cross(members[0].plane[:3], members[0].plane[3:6])
    members = _one_a_place(members, normal, notes)
    if len(members) < 2:
        raise UnreadableError("a DICOM series of a single position: 2D", "leave it out; volumes are prepared here")
    positions = np.array([one.position_mm for one in members])
    _check_steps(np.diff(positions @ normal), notes)
    step = (positions[-1] - positions[0]) / (len(members) - 1)
    tilt = np.degrees(np.arccos(min(1.0, float(step @ normal / np.linalg.norm(step)))))
    if tilt > 0.5:
        notes.append(f"the gantry was tilted by {tilt:.1f} degrees; straightened by resampling")
    return Series(
        folder,
        tuple(one.path for one in members),
        uid=members[0].series,
        patient=members[0].patient,
        modality=members[0].modality,
        step_mm=tuple(float(number) for number in step),
        z_mm=tuple(positions[:, 2].tolist()),
        whole=all(one.slope.is_integer() and one.intercept.is_integer() for one in members),
        bits=max(one.bits for one in members),
        notes=tuple(notes),
    )


def header_of_series(series: Series) -> Header:
    """Read from the header of the first slice what holds for all of them.

    Raises:
        UnreadableError: it cannot be read.
    """
    first = header_of(series.files[0])
    axes = np.array(first.direction).reshape(3, 3)
    normal, step = np.cross(axes[:, 0], axes[:, 1]), np.array(series.step_mm)
    height = float(step @ normal)
    upright = bool(np.linalg.norm(step - height * normal) < TILTED * height)
    third, apart = (normal, height) if upright else (axes[:, 2], float(np.linalg.norm(step)))
    return Header(
        size=(*first.size[:2], len(series.files)),
        spacing_mm=(*first.spacing_mm[:2], apart),
        origin_mm=first.origin_mm,
        direction=tuple(np.column_stack([axes[:, 0], axes[:, 1], third]).ravel().tolist()),
        dtype=first.dtype,
        upright=upright,
        doubts=series.notes,
    )


def geometry_of_series(series: Series) -> Geometry | None:
    """Where the voxels of an upright series lie, from the header of its first slice; None where the gantry was tilted.

    Raises:
        UnreadableError: that header cannot be read.
    """
    header = header_of_series(series)
    return header.geometry if header.upright else None


def _one_plane(members: list[Slice], notes: list[str]) -> list[Slice]:
    planes: dict[tuple[float, ...], list[Slice]] = defaultdict(list)
    for one in members:
        planes[one.plane].append(one)
    most = max(planes.values(), key=len)
    if len(most) < len(members):
        notes.append(f"{len(members) - len(most)} slices of another size or orientation were left out")
    return most


def _one_a_place(members: list[Slice], normal: NDArray[Any], notes: list[str]) -> list[Slice]:
    places: list[list[Slice]] = []
    for one in sorted(members, key=lambda one: float(np.dot(one.position_mm, normal))):
        here = float(np.dot(one.position_mm, normal))
        if places and abs(here - float(np.dot(places[-1][0].position_mm, normal))) < SAME_PLACE_MM:
            places[-1].append(one)
        else:
            places.append([one])
    different = [len({one.instance for one in place}) for place in places]
    if len(places) > 1 and min(different) > 1:
        raise UnreadableError(
            f"{min(different)} volumes under one DICOM series (phases, times or echoes?)",
            "split them, for example with dcm2niix",
        )
    num_duplicates = len(members) - len(places)
    if num_duplicates:
        notes.append(f"{num_duplicates} duplicate slices were left out")
    return [min(place, key=lambda one: (one.number, one.path)) for place in places]


def _check_steps(steps_mm: NDArray[Any], notes: list[str]) -> None:
    # Not the median: where two of four slices are missing, that is the gap itself.
    usual = float(np.quantile(steps_mm, 0.25, method="lower"))
    widest = float(steps_mm.max())
    if widest > GAP * usual:
        missing = round(float(np.sum(np.rint(steps_mm / usual) - 1)))
        raise UnreadableError(
            f"about {missing} slices are missing: a gap of {widest:.2f} mm where the others are {usual:.2f} mm apart",
            "export the whole series again",
        )
    if float(np.abs(steps_mm - usual).max()) > UNEVEN * usual:
        notes.append(f"slices are uneven, {steps_mm.min():.2f} to {widest:.2f} mm apart; their mean is used")
