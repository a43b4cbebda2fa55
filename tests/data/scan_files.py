"""Made-up scans in files: what the tests of reading and preparing share."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

SIZE = (24, 20, 18)


def make_ct(seed: int = 0, size: tuple[int, ...] = SIZE) -> np.ndarray:
    """A CT-like volume, (X, Y, Z) in LPS: noise from -1000 to 500 HU, brighter to the left, to the back and up."""
    rng = np.random.default_rng(seed)
    x, y, z = np.meshgrid(*(np.linspace(0, 1, side) for side in size), indexing="ij")
    values = -1000 + 300 * x + 400 * y + 500 * z + rng.uniform(0, 200, size)
    return values.astype(np.int16)


def make_image(values: np.ndarray, spacing_mm: tuple[float, ...] = (1.0, 1.0, 1.0)) -> sitk.Image:
    """An image of an array (X, Y, Z) in LPS."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(values.transpose()))
    image.SetSpacing(spacing_mm)
    return image


def write_ct(
    path: Path, seed: int = 0, size: tuple[int, ...] = SIZE, spacing_mm: tuple[float, ...] = (2, 2, 3)
) -> Path:
    """Write a CT-like volume in the format of the path's ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(make_image(make_ct(seed, size), spacing_mm), str(path))
    return path


def edit(path: Path, change: Callable[[bytearray], Any]) -> Path:
    """Change the bytes of a file."""
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)
    return path


def put(layout: str, place: int, *values: float) -> Callable[[bytearray], None]:
    """Write numbers at a place of a header."""
    return lambda data: struct.pack_into(layout, data, place, *values)


def write_slice(path: Path, values: np.ndarray, position_mm: tuple[float, ...], **tags: Any) -> FileDataset:
    """Write one slice of a CT, (X, Y) in HU, as DICOM; tags replace the usual ones, None leaves one out."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = tags.get("SOPInstanceUID", generate_uid())
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    slope, intercept = float(tags.get("RescaleSlope") or 1), float(tags.get("RescaleIntercept", -1024) or 0)
    stored = np.rint((values.T - intercept) / slope).astype(np.uint16)
    usual = {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "Modality": "CT",
        "PatientID": "SECRET-ID-42",
        "PatientName": "Doe^Jane",
        "PatientBirthDate": "19500101",
        "StudyDate": "20200202",
        "SeriesDescription": "very private words",
        "SeriesInstanceUID": "1.2.826.0.1.3680043.8.498.1",
        "StudyInstanceUID": "1.2.826.0.1.3680043.8.498.2",
        "FrameOfReferenceUID": "1.2.826.0.1.3680043.8.498.3",
        "Rows": stored.shape[0],
        "Columns": stored.shape[1],
        "PixelSpacing": [0.5, 0.5],
        "SliceThickness": 2,
        "ImagePositionPatient": list(position_mm),
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "InstanceNumber": 1,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
        "RescaleSlope": slope,
        "RescaleIntercept": intercept,
        "PixelData": stored.tobytes(),
    }
    for name, value in {**usual, **tags}.items():
        if value is not None:
            setattr(file, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(path, file, enforce_file_format=True)
    return file


def compress_by_gdcm(path: Path) -> None:
    """Make a slice JPEG lossless, as most scanners' archives hold it and pydicom alone neither writes nor reads."""
    image = sitk.ReadImage(str(path))
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.KeepOriginalImageUIDOn()
    writer.UseCompressionOn()
    writer.SetCompressor("JPEG")
    writer.SetFileName(str(path))
    stored = sitk.Cast(image, sitk.sitkInt16)
    for key in image.GetMetaDataKeys():
        stored.SetMetaData(key, image.GetMetaData(key))
    writer.Execute(stored)


def write_series(
    folder: Path, values: np.ndarray, *, step_mm: tuple[float, ...] = (0, 0, 2), **tags: Any
) -> list[Path]:
    """Write a CT, (X, Y, Z) in HU, as a DICOM series; file names run against the slices' order."""
    paths = []
    for number in range(values.shape[2]):
        path = folder / f"slice{values.shape[2] - number:03d}.dcm"
        position = tuple(float(number * step) for step in step_mm)
        write_slice(path, values[..., number], position, InstanceNumber=number + 1, **tags)
        paths.append(path)
    return paths
