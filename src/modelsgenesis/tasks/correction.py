"""Predictions to be corrected by hand, for Slicer and as an nnU-Net raw data set; and what was corrected, counted."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from modelsgenesis.core.errors import DataError, blamed_on
from modelsgenesis.core.files import read_object, sha256, write_json
from modelsgenesis.core.mask_target import MaskTarget
from modelsgenesis.core.tables import write_table
from modelsgenesis.core.words import many
from modelsgenesis.data.case import Case
from modelsgenesis.data.reading import read_volume
from modelsgenesis.data.slicer_seg import ENDING, read_slicer_seg, write_slicer_seg
from modelsgenesis.data.volume import Geometry
from modelsgenesis.data.writing import NIFTI, write_mask
from modelsgenesis.tasks.datasets import FILE as DATASET

FOLDER = "correction"
FILE = "correction.json"  # says what was written, so that what a person changed is known
IMAGES, LABELS, SEGMENTATIONS, PREDICTED = "imagesTr", "labelsTr", "segmentations", "predicted"
COUNTS = "corrections.csv"
COLUMNS = ("id", "label", "predicted", "corrected", "added", "removed")


def refusal(target: Any, axes: int) -> str:
    """Why predictions of a target cannot be written for correction; "" if they can."""
    if not isinstance(target, MaskTarget):
        return f"--for-correction writes masks, and this is a {target.kind}; leave it out"
    if not target.label_map.has_background or axes == 2:
        what = "of pictures" if axes == 2 else "whose labels overlap"
        return f"--for-correction writes one label map a scan, and these are masks {what}; leave it out"
    return ""


def write_case(
    into: Path, case: Case, classes: NDArray[np.uint8], geometry: Geometry, names: Sequence[str]
) -> list[str]:
    """Write a predicted case to be corrected; the names of the files below `into`.

    Args:
        into: the folder of the predictions.
        case: predicted.
        classes: (X, Y, Z) in the file's own axes, 0 the background and k + 1 the k-th label.
        geometry: of the scan's file.
        names: of the labels.
    """
    folder, files = into / FOLDER, []
    for part in (IMAGES, LABELS, SEGMENTATIONS, PREDICTED):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for channel, source in enumerate(case.images):
        volume = read_volume(source)
        place = folder / IMAGES / f"{case.id}_{channel:04d}{NIFTI}"
        write_mask(place, volume.geometry.from_lps(volume.values[0]), volume.geometry, source)
        files.append(place)
    for part in (LABELS, PREDICTED):
        files.append(folder / part / f"{case.id}{NIFTI}")
        write_mask(files[-1], classes, geometry, case.images[0])
    files.append(folder / SEGMENTATIONS / f"{case.id}{ENDING}")
    write_slicer_seg(files[-1], classes, geometry, names)
    return [file.relative_to(into).as_posix() for file in files]


def write_description(into: Path, ids: Sequence[str], names: Sequence[str], modality: str, channels: int) -> None:
    """Write what describes the folder: nnU-Net's dataset.json, and what each file was when it was written.

    What was written down of a case before stays: it may have been corrected since.
    """
    folder = into / FOLDER
    known = read_object(folder / FILE)["cases"] if (folder / FILE).is_file() else {}
    cases = {id_: known.get(id_) or _hashes(folder, id_) for id_ in ids}
    numbers = {name: number for number, name in enumerate(names, start=1)}
    write_json(folder / FILE, {"labels": numbers, "cases": cases})
    described = {
        "name": "corrected", "channel_names": {str(k): modality or f"channel {k}" for k in range(channels)},
        "labels": {"background": 0, **numbers}, "numTraining": len(ids), "file_ending": NIFTI,
    }  # fmt: skip
    write_json(folder / DATASET, described)


def _hashes(folder: Path, id_: str) -> dict[str, str]:
    return {"segmentation": sha256(folder / SEGMENTATIONS / f"{id_}{ENDING}"), "label": sha256(_label(folder, id_))}


def _label(folder: Path, id_: str) -> Path:
    return folder / LABELS / f"{id_}{NIFTI}"


@dataclass(frozen=True)
class Corrections:
    """What people changed of predictions.

    Attributes:
        rows: a row a case and label: the voxels that were predicted, those there are now, those added and removed.
    """

    rows: list[dict[str, Any]]

    def words(self) -> str:
        """Say how many cases and voxels differ from the prediction."""
        changed = [row for row in self.rows if row["added"] or row["removed"]]
        cases, voxels = {row["id"] for row in changed}, sum(row["added"] + row["removed"] for row in changed)
        whole = many(len({row["id"] for row in self.rows}), "case")
        return f"{len(cases)} of {whole} were corrected: {voxels} voxels of labels were added or removed"

    def write(self, into: Path) -> None:
        """Write corrections.csv into a run's folder."""
        write_table(into / COUNTS, COLUMNS, self.rows)


def is_correction(folder: Path) -> bool:
    """Whether a folder is one that `predict --for-correction` wrote."""
    return (folder / FILE).is_file()


def take_back(folder: Path) -> Corrections:
    """Turn what was corrected in Slicer into the label maps that finetune reads, and count what differs.

    A label map may be corrected instead of the segmentation. A case whose label map was deleted is left out.

    Args:
        folder: of `predict --for-correction`, corrected.
    Raises:
        DataError: both files of a case were corrected, one cannot be read, or a segment has an unknown name.
    """
    with blamed_on(folder / FILE, DataError, "is not as predict wrote it; put it back"):
        described = read_object(folder / FILE)
        numbers = {str(name): int(number) for name, number in described["labels"].items()}
        cases = {str(id_): dict(hashes) for id_, hashes in described["cases"].items()}
    rows: list[dict[str, Any]] = []
    for id_, hashes in cases.items():
        if _label(folder, id_).is_file():
            _take_segmentation(folder, id_, hashes, numbers)
            rows += _counted(folder, id_, numbers)
    write_json(folder / FILE, {**described, "cases": cases})
    if not rows:
        raise DataError(f"{folder / LABELS}: holds no label map any more; put back what was corrected")
    return Corrections(rows)


def _take_segmentation(folder: Path, id_: str, hashes: dict[str, str], numbers: Mapping[str, int]) -> None:
    """Make a case's label map of its segmentation, if that was changed; its new hash is written down."""
    segmentation, label = folder / SEGMENTATIONS / f"{id_}{ENDING}", _label(folder, id_)
    if not segmentation.is_file() or sha256(segmentation) == hashes["segmentation"]:
        return
    like = sitk.ReadImage(str(folder / PREDICTED / f"{id_}{NIFTI}"))
    corrected = np.ascontiguousarray(read_slicer_seg(segmentation, like, numbers).T)  # (Z, Y, X)
    if sha256(label) == hashes["label"]:
        found = sitk.GetImageFromArray(corrected)
        found.CopyInformation(like)
        aside = label.with_name(f".{label.name}")
        sitk.WriteImage(found, str(aside), useCompression=True)
        shutil.move(aside, label)
    elif not np.array_equal(_values_of(label), corrected):  # else a process that ended early took it
        raise DataError(f"{segmentation} and {label} were both changed; put back, or delete, the segmentation")
    hashes["label"] = sha256(label)


def _values_of(label: Path) -> NDArray[Any]:
    """The values of a label map, (Z, Y, X).

    Raises:
        DataError: it cannot be read.
    """
    try:
        values: NDArray[Any] = sitk.GetArrayFromImage(sitk.ReadImage(str(label)))
    except RuntimeError as error:
        raise DataError(f"{label}: cannot be read ({str(error).splitlines()[-1]}); save it again") from error
    return values


def _counted(folder: Path, id_: str, numbers: Mapping[str, int]) -> list[dict[str, Any]]:
    """The voxels of each label of a case, as predicted and as they are now."""
    now, then = _values_of(_label(folder, id_)), _values_of(folder / PREDICTED / f"{id_}{NIFTI}")
    if now.shape != then.shape:
        raise DataError(
            f"{_label(folder, id_)}: has {now.shape} voxels, and the prediction {then.shape}; keep its grid"
        )
    return [
        {
            "id": id_, "label": name, "predicted": int((then == number).sum()), "corrected": int((now == number).sum()),
            "added": int(((now == number) & (then != number)).sum()),
            "removed": int(((then == number) & (now != number)).sum()),
        }
        for name, number in numbers.items()
    ]  # fmt: skip
