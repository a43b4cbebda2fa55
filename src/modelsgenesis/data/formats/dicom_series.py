"""DICOM series: slices and frames grouped by SeriesInstanceUID, put in order, and checked before a voxel is read."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import SimpleITK as sitk

from modelsgenesis.core.image_format import MAX_VOXELS, Header, ImageFormat, Mapper, Place, Region
from modelsgenesis.data.formats.base.dicom_header import Slice, read_slices
from modelsgenesis.data.formats.base.dicom_pixels import read_stack
from modelsgenesis.data.formats.base.dicom_stack import Series, group_series, header_of_series
from modelsgenesis.data.formats.base.itk import check_size, crop
from modelsgenesis.data.formats.dicom_picture import DicomPicture, is_alone, is_radiograph
from modelsgenesis.data.problems import Problem
from modelsgenesis.data.resampling import straighten, with_even_steps


@dataclass(frozen=True)
class DicomSeries(ImageFormat):
    """Slices that a folder or a file holds; of an upright series only those that a region goes through are read."""

    endings: ClassVar = {".dcm": "DICOM"}
    needs_ending: ClassVar = False
    is_directory: ClassVar = True
    is_dicom: ClassVar = True
    reads_parts: ClassVar = True

    def recognise(self, head: bytes, path: Path) -> str:
        """Recognise the magic after an empty page; the index of a medium is no slice, nor is a radiograph."""
        slices = head[128:132] == b"DICM" and path.name != "DICOMDIR" and not is_radiograph(head)
        return "DICOM" if slices else ""

    def as_picture(self, path: Path) -> ImageFormat | None:
        """A picture is what lies nowhere, such as a radiograph saved as a secondary capture."""
        return DicomPicture() if is_alone(path) else None

    def gather(self, files: Sequence[Path], mapper: Mapper = map) -> tuple[list[dict[str, Any]], list[Problem]]:
        """Put slices in order, with one volume for each series, or more where a tag tells them apart."""
        slices: list[Slice] = []
        problems: list[Problem] = []
        for read in mapper(read_slices, files):
            if isinstance(read, Problem):
                problems.append(read)
            else:
                slices += read
        found, wrong = group_series(slices)
        volumes = [
            {"path": one.folder, "files": one.files, "series": one.name, "patient": one.patient,
             "modality": one.modality, "dicom": one}
            for one in found
        ]  # fmt: skip
        return volumes, [*problems, *wrong]

    def read_header(self, place: Place) -> Header:
        """Return what the headers of the slices say of the volume."""
        return header_of_series(place.dicom)

    def check(self, header: Header, place: Place, max_voxels: int = MAX_VOXELS) -> None:
        """Refuse what is absurdly large; all else was checked when the slices were gathered."""
        check_size(header.size, max_voxels)

    def read(self, place: Place, region: Region | None = None) -> tuple[sitk.Image, list[str]]:
        """Read the slices and give them their true place; a tilted stack is straightened before it is cropped."""
        series: Series = place.dicom
        header = header_of_series(series)
        part = region if header.upright else None
        image, padded = read_stack(series.slices[part[2]] if part else series.slices, series.dtype)
        if part and padded:  # the lowest value is that of the whole volume
            part = None
            image, _ = read_stack(series.slices, series.dtype)
        image.SetSpacing(header.spacing_mm)
        image.SetDirection(header.direction)
        # Where the whole scan has them: uneven slices lie elsewhere by their own headers.
        up_mm = header.geometry.frame[:, 2] * header.spacing_mm[2] * (part[2].start if part else 0)
        image.SetOrigin((np.array(header.origin_mm) + up_mm).tolist())
        if series.heights_mm:
            image = with_even_steps(image, series.heights_mm, series.num_slices)
        image = straighten(image, series.step_mm)
        if part:
            return crop(image, (*part[:2], slice(0, image.GetSize()[2]))), []
        return crop(image, region), []

    def content_hash(self, place: Place) -> str:
        """SHA-256 of the files; of one volume of several in a file, of which frames it has too."""
        series: Series | None = place.dicom
        files = super().content_hash(place)
        if series is None or len(series.files) == len(series.slices):
            return files
        frames = [(series.files.index(one.path), one.frame) for one in series.slices]
        return hashlib.sha256(f"{files} {frames}".encode()).hexdigest()
