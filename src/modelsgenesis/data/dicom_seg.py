"""A mask as a DICOM segmentation object that refers to the slices or the radiograph it was made from."""

import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import generate_uid

from modelsgenesis.core.files import written_aside
from modelsgenesis.core.labels import colour
from modelsgenesis.data.formats.base.dicom_stack import Series
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.sources import Source
from modelsgenesis.data.volume import Geometry

MAKER = "modelsgenesis"
ANATOMY = ("cid4", "cid4030", "cid4031", "cid7140", "cid7153", "cid7166")  # DICOM's own lists of organs and tissues
ABNORMAL = "cid7159"  # and of lesions
NEAR_MM = 1e-2
OPTIONAL = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime"),
    *("AccessionNumber", "ReferringPhysicianName", "StudyDescription", "SeriesNumber"),
)


def write_dicom_seg(
    path: Path, classes: NDArray[np.uint8], geometry: Geometry, source: Source, names: Sequence[str]
) -> None:
    """Write binary segments, one a label, whole or not at all.

    The object carries the patient's and the study's tags of its source, as DICOM requires: it belongs where that is.

    Args:
        path: of the file, `.dcm`.
        classes: in the file's axes, (1, I, J, K), 0 the background and k + 1 the k-th label; where labels overlap
            (labels, I, J, K) of 0 and 1. Of a radiograph (1, I, J) or (labels, I, J).
        geometry: of the volume as it was read.
        source: the DICOM series, or radiograph, that it was read from.
        names: of the labels.
    Raises:
        UnreadableError: the volume's voxels are not those of the slices, or a slice lacks what cannot be done without.
        DataError: the disk is full or the folder cannot be written.
    """
    slices = [_header(file) for file in source.files]
    # (slices, rows, columns); overlapping labels last
    frames = np.ascontiguousarray(classes[0].T if len(classes) == 1 else classes.T)
    if (series := source.dicom) is None:  # a radiograph, which lies nowhere
        frames = frames[np.newaxis]
        for header in slices:  # else highdicom writes pixels without a thickness, and does not read them again
            header.pop("PixelSpacing", None)
    else:
        check_in_place(geometry, series)
        slices = [_placed(header, series) for header in slices]
        if len(slices) == 1:  # of many frames, which stand there in an order of their own
            frames = frames[np.argsort([one.frame for one in series.slices])]
    try:
        with warnings.catch_warnings(), pydicom.config.disable_value_validation():
            warnings.simplefilter("ignore")  # of odd tags in the source
            made = _make(slices, frames, names)
    except (AttributeError, LookupError, TypeError, ValueError, NotImplementedError) as error:
        lacking = isinstance(error, AttributeError) and error.name  # a keyword of DICOM, and no text of the header's
        what = f"they lack {lacking}" if lacking else type(error).__name__
        raise UnreadableError(f"its headers make no DICOM-SEG ({what})", "use the other file of the mask") from error
    with written_aside(path) as aside:
        made.save_as(aside)


def _make(slices: Sequence[pydicom.Dataset], frames: NDArray[np.uint8], names: Sequence[str]) -> hd.seg.Segmentation:
    made = hd.seg.Segmentation(
        slices,
        frames,
        hd.seg.SegmentationTypeValues.BINARY,
        [_describe(number, name) for number, name in enumerate(names, start=1)],
        series_instance_uid=hd.UID(),
        series_number=_free_number(slices[0]),
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer=MAKER,
        manufacturer_model_name=MAKER,
        software_versions=version(MAKER),
        device_serial_number="0",
        content_label="PREDICTION",
        content_description=f"Predicted by {MAKER} {version(MAKER)}",
        # One label with all its frames is a volume to SimpleITK too, in place; of many, empty frames are a burden.
        omit_empty_frames=len(names) > 1 and bool(frames.any()),
    )
    made.SeriesDescription = f"{MAKER} segmentation"
    return made


def check_in_place(geometry: Geometry, series: Series) -> None:
    """Refuse a volume whose voxels are not the pixels of the slices, as after straightening a tilted gantry.

    Raises:
        UnreadableError: they are not.
    """
    first = series.slices[0]
    plane = geometry.frame[:, :2].T.ravel()
    if (
        geometry.size != (*reversed(first.shape), len(series.slices))
        or np.abs(np.subtract(first.position_mm, geometry.origin_mm)).max() > NEAR_MM
        or np.abs(np.subtract(first.plane, plane)).max() > NEAR_MM
    ):
        what = "resampled to even steps" if series.heights_mm else "straightened"
        raise UnreadableError(
            f"its slices were {what}, so the mask's voxels are not theirs, as a DICOM-SEG needs",
            f"use the .nii.gz, which lies in the volume that was {what}",
        )


def _header(file: Path) -> pydicom.Dataset:
    """Read a slice's header without its pixels; tags that are optional may be missing."""
    with warnings.catch_warnings(), pydicom.config.disable_value_validation():
        warnings.simplefilter("ignore")
        header = pydicom.dcmread(file, stop_before_pixels=True)
    for name in OPTIONAL:
        if name not in header:
            setattr(header, name, None)
    return header


def _placed(header: pydicom.Dataset, series: Series) -> pydicom.Dataset:
    """The header of a slice with what a place in the patient needs."""
    if not header.get("FrameOfReferenceUID"):
        header.FrameOfReferenceUID = generate_uid(entropy_srcs=[series.uid, "frame of reference"])
    if not header.get("SliceThickness"):
        header.SliceThickness = round(float(np.linalg.norm(series.step_mm)), 6)
    return header


def _free_number(header: pydicom.Dataset) -> int:
    """A series number that the study's scanner is unlikely to have given."""
    return 9000 + int(header.get("SeriesNumber") or 0) % 1000


def _describe(number: int, name: str) -> Any:
    category, kind = code_of(name)
    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=name[:64],
        segmented_property_category=category,
        segmented_property_type=kind,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=MAKER, version=version(MAKER), family=codes.DCM.ArtificialIntelligence
        ),
        tracking_uid=hd.UID(),
        tracking_id=f"{number} {name}"[:64],
        display_color=hd.color.CIELabColor.from_string(colour(number - 1)),  # as in pictures
    )


def code_of(name: str) -> tuple[Code, Code]:
    """The coded category and type of a label: of the organ or lesion that its name is in DICOM's lists, or a tissue.

    Args:
        name: for people, such as "liver", "lung nodule" or "3".
    Example: >>> code_of("liver")[1].meaning
    'Liver'
    """
    words = [word.capitalize() for word in name.replace("_", " ").replace("-", " ").split()]
    wanted = {"".join(words), words[-1] if words else ""}
    wanted |= {"Neoplasm"} if wanted & {"Tumour", "Tumor", "Cancer"} else set()
    for list_ in (ABNORMAL, *ANATOMY):
        known = getattr(codes, list_)
        for word in sorted(wanted & set(known.dir()), key=len, reverse=True):
            category = (
                codes.SCT.MorphologicallyAbnormalStructure if list_ == ABNORMAL else codes.SCT.AnatomicalStructure
            )
            return category, getattr(known, word)
    return codes.SCT.Tissue, codes.SCT.Tissue
