"""Made-up data sets in files: what the tests of tasks share."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from tests.data.scan_files import make_ct, make_image

SIZE = (20, 18, 16)
SPACING_MM = (1.0, 1.5, 2.0)


def write_image(path: Path, seed: int = 0, size: tuple[int, ...] = SIZE) -> Path:
    """Write a CT-like image."""
    return write(path, make_ct(seed, size))


def write_mask(path: Path, values: Sequence[int] = (1, 2), size: tuple[int, ...] = SIZE) -> Path:
    """Write a label map with a slab of 3 x 5 x 4 voxels for each value."""
    mask = np.zeros(size, np.uint8)
    for number, value in enumerate(values):
        mask[3 * number + 2 : 3 * number + 5, 4:9, 6:10] = value
    return write(path, mask)


def write(path: Path, values: np.ndarray, spacing_mm: tuple[float, ...] = SPACING_MM) -> Path:
    """Write an array (X, Y, Z)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(make_image(values, spacing_mm), str(path))
    return path


def write_volumes(path: Path, volumes: Sequence[np.ndarray]) -> Path:
    """Write a 4D image, its channels along the last axis."""
    path.parent.mkdir(parents=True, exist_ok=True)
    joined = sitk.JoinSeries([make_image(each, SPACING_MM) for each in volumes])
    sitk.WriteImage(joined, str(path))
    return path


def write_json(path: Path, data: Any) -> Path:
    """Write JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def write_csv(path: Path, *rows: dict[str, Any]) -> Path:
    """Write a CSV with the columns of all rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    return path


def make_nnunet(folder: Path, *, cases: int = 3, channels: Sequence[str] = ("CT",), labels: Any = None) -> Path:
    """Write a raw data set as nnU-Net v2 has it."""
    for number in range(cases):
        for channel in range(len(channels)):
            write_image(folder / "imagesTr" / f"case{number}_{channel:04d}.nii.gz", 10 * number + channel)
        write_mask(folder / "labelsTr" / f"case{number}.nii.gz")
    description = {
        "channel_names": {str(number): name for number, name in enumerate(channels)},
        "labels": labels or {"background": 0, "liver": 1, "tumour": 2},
        "numTraining": cases,
        "file_ending": ".nii.gz",
    }
    write_json(folder / "dataset.json", description)
    return folder


def make_pairs(folder: Path, *, cases: int = 3, masks: str = "labels") -> Path:
    """Write images/ and masks of the same names."""
    for number in range(cases):
        write_image(folder / "images" / f"case{number}.nii.gz", number)
        write_mask(folder / masks / f"case{number}.nii.gz")
    return folder


def make_table(folder: Path, labels: Sequence[Any], **columns: Sequence[Any]) -> Path:
    """Write an image for each label, and the CSV that names them."""
    rows = []
    for number, label in enumerate(labels):
        image = write_image(folder / f"scan{number}.nii.gz", number)
        more = {name: values[number] for name, values in columns.items()}
        rows.append({"image": image.name, "label": label, **more})
    return write_csv(folder / "cases.csv", *rows)
