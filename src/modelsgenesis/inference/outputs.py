"""The files of one predicted case, and its row in the table."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.core.files import fit
from modelsgenesis.core.locations import name_of
from modelsgenesis.core.mask_target import MaskTarget
from modelsgenesis.core.table_target import TableTarget
from modelsgenesis.data.case import Case
from modelsgenesis.data.entries import spell
from modelsgenesis.data.images import Image, Reading
from modelsgenesis.data.intensity import Window
from modelsgenesis.data.problems import UnreadableError, costs_one_source
from modelsgenesis.data.reading import read_volume
from modelsgenesis.data.writing import NIFTI, ending_like, write_mask
from modelsgenesis.inference.ensemble import Ensemble
from modelsgenesis.inference.finetuned_networks import FineTuned
from modelsgenesis.inference.volume_prediction import (
    MaskPrediction,
    bodies_are_looked_for,
    find_evidence,
    plan_windows,
    predict_numbers,
    segment,
)
from modelsgenesis.inference.windows import Windows
from modelsgenesis.tasks import correction

MOST_APART = 1.5  # by which voxels may be finer or coarser than those that networks were trained on
GLOWING = "The hotter, the more speaks for the class; each map by its own maximum."
WINDOWS = "windows"  # the column that says how many windows were computed, of how many
RECORDS, PROBABILITIES, PICTURES = "records", "probabilities", "pictures"

Tick = Callable[[str, int, int], None]  # called with a case's id, its windows done, and all its windows


@dataclass(frozen=True)
class Wanted:
    """The networks and options of a prediction, the same for all cases.

    Attributes:
        tuned: the networks, with their target and reading.
        overlap: of the windows.
        batch_size: of the windows, or None.
        format: of masks, "nifti" or "source".
        seg: a DICOM-SEG of a DICOM series or radiograph.
        probabilities: a file a label.
        pictures: of each scan with what was predicted.
        everywhere: masks are predicted outside the body too.
        correction: of masks, to be corrected by hand.
        ten_crop: the corners and the centre of the enlarged picture are seen, rather than windows that cover it.
    """

    tuned: FineTuned
    overlap: float
    batch_size: int | None
    format: str
    seg: bool
    probabilities: bool
    pictures: bool
    everywhere: bool = False
    ten_crop: bool = False
    correction: bool = False

    @property
    def skips(self) -> bool:
        """Whether windows are left out that hold nothing of the body."""
        return not self.everywhere and bodies_are_looked_for(self.tuned.target, self.tuned.patch)

    def extras(self, case: Case) -> list[str]:
        """The names of what is written of a case beside its mask or its row."""
        masks = isinstance(self.tuned.target, MaskTarget)
        wanted = {
            "seg": masks and self.seg and case.images[0].format.is_dicom and case.images[0].box is None,
            PROBABILITIES: masks and self.probabilities,
            PICTURES: self.pictures,
            correction.FOLDER: self.correction,
        }
        return [name for name, yes in wanted.items() if yes]


def predict_case(
    case: Case, image: Image, ensemble: Ensemble, wanted: Wanted, into: Path, tick: Tick
) -> dict[str, Any]:
    """Predict one case and write its files.

    Args:
        case: to predict.
        image: of the case.
        ensemble: the networks that predict.
        wanted: what to write.
        into: the folder of the predictions.
        tick: called after each batch of windows.
    Returns:
        Its record: {"row": of the table, "files": written, "extras": among them, "notes": (what, remedy) each}.
    Raises:
        UnreadableError: what is written beside its source cannot be.
        DataError: the folder cannot be written.
    """
    target = wanted.tuned.target
    windows = plan_windows(image, target, wanted.tuned.patch, wanted.overlap, everywhere=wanted.everywhere)
    windows = replace(windows, corners=wanted.ten_crop)
    done = 0

    def count(more: int) -> None:
        nonlocal done
        done += more
        tick(case.id, done, len(windows.computed))

    tick(case.id, 0, len(windows.computed))
    notes = [(note, "have a look at the scan") for note in image.notes]
    notes += spacing_notes(image, wanted.tuned) if case.images[0].format.knows_spacing else []
    row = {"id": case.id, "image": image_entry(case)}
    if isinstance(target, TableTarget):
        numbers = predict_numbers(image, ensemble, target, windows, batch_size=wanted.batch_size, tick=count)
        files = (
            [_draw(case, numbers, wanted, into, _evidence(image, ensemble, numbers, wanted))] if wanted.pictures else []
        )
        return {"row": row | target.row(numbers), "files": files, "extras": wanted.extras(case), "notes": notes}
    if not isinstance(target, MaskTarget):
        raise TypeError(f"a {target.kind} has neither masks nor numbers")
    found = segment(
        image, ensemble, target, windows, batch_size=wanted.batch_size, probabilities=wanted.probabilities, tick=count
    )
    extras = wanted.extras(case)
    with costs_one_source(("its mask cannot be written", "correct the header of the scan")):
        masks = list(_write_masks(case, found, target, image, wanted, into))
        files = [*masks, *_write_extras(case, found, image, wanted, into, notes)]
    row |= {"prediction": ";".join(masks), "status": "predicted"}
    row[WINDOWS] = f"{len(windows.computed)} of {len(windows.places)}"
    if windows.body is None and wanted.skips:
        notes.append(("no body was found in it, so all of it was predicted", "have a look at the scan"))
    return {"row": row, "files": files, "extras": extras, "notes": notes}


def image_entry(case: Case) -> str:
    """Name a case's image for a table, with its box or volume; a file that holds all channels by itself."""
    first, several = case.images[0], len(case.images) > 1
    of_one_file = several and not first.array and len({source.path for source in case.images}) == 1
    return name_of(spell(replace(first, index=None) if of_one_file else first))


def enlarged(tuned: FineTuned) -> Reading:
    """How a picture is read that ten crops of the network's size are cut from: larger by 8/7, such as 256 for 224."""
    return replace(tuned.reading, fit=tuple(math.ceil(side * 8 / 7) for side in tuned.patch))


def spacing_notes(image: Image, tuned: FineTuned) -> list[tuple[str, str]]:
    """Warn of a scan much finer or coarser than the training cases, for networks that do not resample."""
    if tuned.reading.spacing_mm is not None or tuned.training_spacing_mm is None:
        return []
    ratios = [
        max(own / trained, trained / own)
        for own, trained in zip(image.spacing_mm, tuned.training_spacing_mm, strict=True)
    ]
    if max(ratios) <= MOST_APART:
        return []
    own, trained = (
        " x ".join(f"{step:.3g}" for step in steps) for steps in (image.spacing_mm, tuned.training_spacing_mm)
    )
    what = f"its voxels are {own} mm, but the network was trained on {trained} mm and does not resample"
    return [(what, "resample the scan, or fine-tune again with --spacing")]


def _write_masks(
    case: Case, found: MaskPrediction, target: MaskTarget, image: Image, wanted: Wanted, into: Path
) -> Iterator[str]:
    """Write the masks as the target's label map has them in files; the names of the files."""
    ending = ending_like(case.images[0]) if wanted.format == "source" else NIFTI
    ending = ".png" if len(image.size) == 2 else ending  # whatever the picture is
    for suffix, mask in target.label_map.files(found.classes):
        write_mask(into / f"{case.id}{suffix}{ending}", mask, image.geometry, case.images[0])
        yield f"{case.id}{suffix}{ending}"


def _write_extras(
    case: Case, found: MaskPrediction, image: Image, wanted: Wanted, into: Path, notes: list[tuple[str, str]]
) -> Iterator[str]:
    """Write what is wanted beside the mask; the names of the files. What cannot be becomes a note."""
    names = wanted.tuned.target.names
    extras = wanted.extras(case)
    if "seg" in extras:
        try:
            from modelsgenesis.data import dicom_seg  # here, since highdicom takes half a second

            dicom_seg.write_dicom_seg(into / f"{case.id}.dcm", found.classes, image.geometry, case.images[0], names)
            yield f"{case.id}.dcm"
        except UnreadableError as error:
            notes.append((f"no DICOM-SEG was written: {error.problem}", error.remedy))
    if found.probabilities is not None:
        for name, p in zip(names, found.probabilities, strict=True):
            path = Path(PROBABILITIES, f"{case.id}__p_{fit(name)}{NIFTI}")
            write_mask(into / path, p.astype(np.float32), image.geometry, case.images[0])
            yield str(path)
    if correction.FOLDER in extras:
        yield from correction.write_case(into, case, found.classes[0], image.geometry, names)
    if PICTURES in extras:
        yield _draw(case, found.classes, wanted, into)


def _evidence(
    image: Image, ensemble: Ensemble, numbers: NDArray[np.float64], wanted: Wanted
) -> NDArray[np.float16] | None:
    """Find where the predicted classes come from, (K, *space) on the file's grid; None where there are none."""
    target = ensemble.target
    outputs = target.evident(numbers.tolist()) if isinstance(target, TableTarget) else ()
    windows = Windows(image.size, wanted.tuned.patch, wanted.overlap)
    return find_evidence(image, ensemble, outputs, windows, batch_size=wanted.batch_size) if outputs else None


def _draw(
    case: Case, predicted: NDArray[Any], wanted: Wanted, into: Path, evidence: NDArray[np.float16] | None = None
) -> str:
    """Draw a mask, or what numbers mark, on the scan as its file has it, not as the network saw it; numbers in words.

    Args:
        case: predicted.
        predicted: the classes of a mask on the file's grid, or the numbers.
        wanted: by which networks.
        into: the folder of the predictions.
        evidence: where the predicted classes come from, drawn as heat maps.
    """
    from modelsgenesis.figures.overlay import overlay, overlay_sheet
    from modelsgenesis.figures.side_by_side import heat_maps

    volume = read_volume(case.images[0])
    target, intensity = wanted.tuned.target, wanted.tuned.reading.intensity
    if isinstance(target, TableTarget):
        marks, words = target.marks(predicted.tolist(), volume.geometry), target.predicted_words(predicted.tolist())
    else:
        marks, words = volume.geometry.to_lps(predicted), ""
    how: dict[str, Any] = {
        "spacing_mm": volume.spacing_mm,
        "display": (intensity.low_hu, intensity.high_hu) if isinstance(intensity, Window) else None,
        "caption": f"{case.id}   {words}".rstrip(),
    }
    if evidence is not None and isinstance(target, TableTarget):
        titles = [f"{target.names[k]} {predicted[k]:.2f}" for k in target.evident(predicted.tolist())]
        drawn, footnote = heat_maps(volume.values[0], evidence, titles=titles, **how), GLOWING
    else:
        nothing = np.zeros(volume.values.shape[1:], np.uint8)
        drawn, footnote = [overlay(volume.values[0], nothing if marks is None else marks, **how)], ""
    path = Path(PICTURES, f"{case.id}.png")
    (into / PICTURES).mkdir(exist_ok=True)
    overlay_sheet(into / path, drawn, labels=target.names, title="Prediction", footnote=footnote)
    return str(path)
