"""DICOM radiographs: files of one picture each."""

import re
import struct
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import SimpleITK as sitk

from modelsgenesis.core.image_format import MAX_VOXELS, Header, ImageFormat, Place, Region, header_of_array
from modelsgenesis.data.formats.base.dicom_header import OUTLINES
from modelsgenesis.data.formats.base.itk import EXPORT_AGAIN, check_size, crop, header_of, read_file
from modelsgenesis.data.problems import UnreadableError

if TYPE_CHECKING:
    import pydicom

# CR; DX, MG and intra-oral, for presentation and for processing: PS3.4, B.5
RADIOGRAPH = re.compile(
    rb"\x02\x00\x02\x00UI..1\.2\.840\.10008\.5\.1\.4\.1\.1\.1(\.[123](\.1)?)?\0?\x02\x00", re.DOTALL
)


@dataclass(frozen=True)
class DicomPicture(ImageFormat):
    """A radiograph, dark where there is air: MONOCHROME1, which counts the other way, is turned; no window is applied.

    Source: DICOM PS3.3, C.7.6.3.1.2, of the photometric interpretation.
    """

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

    def read_header(self, place: Place) -> Header:
        """Read its size in pixels."""
        header = header_of(place.path)
        if len(header.size) > 2 and header.size[2] > 1:
            raise UnreadableError(f"{header.size[2]} frames in one file", "save each as a picture of its own")
        return replace(header_of_array(header.size[:2], header.dtype), channels=header.channels)

    def check(self, header: Header, place: Place, max_voxels: int = MAX_VOXELS) -> None:
        """Refuse colour and an impossible size."""
        check_size(header.size, max_voxels, axes=2)
        if header.channels > 1:
            raise UnreadableError("a DICOM picture in colour", "leave it out; radiographs are grey")

    def read(self, place: Place, region: Region | None = None) -> tuple[sitk.Image, list[str]]:
        """Read the picture, compressed or not, and cut the region out of it."""
        image = read_file(place, dtype=self.read_header(place).dtype)  # ITK turns MONOCHROME1, by the bits stored
        values = sitk.GetArrayFromImage(image)
        return crop(sitk.GetImageFromArray(values[0] if values.ndim == 3 else values), region), []


def is_radiograph(head: bytes) -> bool:
    """Whether the first bytes of a DICOM file say that it is a radiograph."""
    return head[128:132] == b"DICM" and RADIOGRAPH.search(head) is not None


def is_alone(path: Path) -> bool:
    """Whether a DICOM file is one picture that lies nowhere, such as a radiograph saved as a secondary capture.

    A segmentation of a radiograph has one frame too, and is none.
    """
    tags = read_tags(path, "ImagePositionPatient", "NumberOfFrames", "Rows", "Modality")
    frames = int(tags.get("NumberOfFrames") or 1)
    outlines = tags.get("Modality") in OUTLINES
    return "Rows" in tags and frames == 1 and not tags.get("ImagePositionPatient") and not outlines


def read_tags(path: Path, *names: str) -> "pydicom.Dataset":
    """Read some tags of a DICOM file.

    Raises:
        UnreadableError: its header is damaged.
    """
    import pydicom  # here, since it takes as long as everything else that a folder without DICOM needs
    from pydicom.errors import InvalidDicomError

    try:
        with warnings.catch_warnings(), pydicom.config.disable_value_validation():
            warnings.simplefilter("ignore")
            return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(names))
    except (
        InvalidDicomError,
        OSError,
        EOFError,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        struct.error,
    ) as error:
        raise UnreadableError("a DICOM file whose header is damaged", EXPORT_AGAIN) from error
