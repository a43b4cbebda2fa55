"""Made-up radiographs: grey pictures in which a bright disc is the disease."""

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from PIL import Image as Pillow
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid

from modelsgenesis.core.randomness import generator_for


def radiograph(number: int, *, ill: bool, size: tuple[int, int] = (40, 32)) -> np.ndarray:
    """A noisy picture (rows, columns) of bytes, dark where there is air, with a bright disc if ill."""
    rng = generator_for(7, number, "radiograph")
    rows, columns = np.meshgrid(*[np.arange(side) for side in size], indexing="ij")
    picture = 90 + 60 * np.sin(rows / size[0] * 3) + rng.normal(0, 8, size)
    if ill:
        middle = [rng.uniform(0.35, 0.65) * side for side in size]
        picture += 90 * ((rows - middle[0]) ** 2 + (columns - middle[1]) ** 2 < (0.18 * min(size)) ** 2)
    return picture.clip(0, 255).astype(np.uint8)


def write_picture(path: Path, values: np.ndarray) -> Path:
    """Write (rows, columns) or (rows, columns, colours)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(values).save(path)
    return path


def write_radiograph(path: Path, values: np.ndarray, **tags: Any) -> FileDataset:
    """Write (rows, columns) as a DICOM radiograph; tags replace the usual ones, None leaves one out."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = tags.get("SOPClassUID", ComputedRadiographyImageStorage)
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[path.name])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    bits = 8 * values.dtype.itemsize
    stored = tags.pop("BitsStored", min(bits, 12))
    usual = {
        "SOPClassUID": meta.MediaStorageSOPClassUID,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "Modality": "CR",
        "PatientID": path.stem,
        "StudyInstanceUID": generate_uid(entropy_srcs=[path.name, "study"]),
        "SeriesInstanceUID": generate_uid(entropy_srcs=[path.name, "series"]),
        "Rows": values.shape[0],
        "Columns": values.shape[1],
        "PixelSpacing": [0.143, 0.143],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": bits,
        "BitsStored": stored,
        "HighBit": stored - 1,
        "PixelRepresentation": 0,
        "PixelData": values.tobytes(),
    }
    for name, value in {**usual, **tags}.items():
        if value is not None:
            setattr(file, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(path, file, enforce_file_format=True)
    return file
