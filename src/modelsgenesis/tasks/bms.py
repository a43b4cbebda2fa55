"""BMS: segment the whole brain tumour in FLAIR. BraTS, or task 01 of the Medical Segmentation Decathlon."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import fit
from modelsgenesis.core.labels import Label
from modelsgenesis.core.target import make_target
from modelsgenesis.data.case import Case
from modelsgenesis.data.entries import one_source
from modelsgenesis.data.intensity import MinMax
from modelsgenesis.data.problems import Problem, UnreadableError
from modelsgenesis.tasks import datasets
from modelsgenesis.tasks.assembly import build
from modelsgenesis.tasks.case_finder import with_modality
from modelsgenesis.tasks.folds import dealt, held_out
from modelsgenesis.tasks.published import TRANSVW, Published, scores
from modelsgenesis.tasks.task import Task

FLAIR = re.compile(r"(.*_flair\.nii(\.gz)?|.*MR_Flair.*\.mha)", re.IGNORECASE)  # since 2017, and before
MASK = re.compile(r"(.*_seg\.nii(\.gz)?|.*\.OT\..*\.mha)", re.IGNORECASE)
GRADES = {"HGG": "HGG", "HG": "HGG", "LGG": "LGG", "LG": "LGG"}
TUMOUR = (1, 2, 3, 4)  # necrosis, oedema, what does not enhance and what does; which is which changed over the years
TIMES = re.compile(r"(.*_pat\d+)_\d+")  # of BraTS 2014 and 2015, where some patients were scanned again and again
FOLDS = 3
STEP_MM = 100 / 64  # 100 x 100 x 50 voxels of 1 mm become 64 x 64 x 32

PUBLISHED = Published(
    "iou",
    scores(
        TRANSVW,
        {
            "random": (59.87, 4.04), "NiftyNet": (60.78, 1.60), "MedicalNet": (66.09, 1.35), "I3D": (67.83, 0.75),
            "in-painting": (61.38, 3.84), "context restoration": (59.05, 2.83), "rotation": (60.53, 5.22),
            "Rubik's cube": (62.75, 1.93), "Models Genesis": (67.96, 1.29),
        },
    ),
    size=(64, 64, 32), intensity=MinMax(), spacing_mm=(STEP_MM,) * 3, batch_size=16, lr=1e-3, weight_decay=0.0,
    patience=30,
)  # fmt: skip


def bms(folder: Path | str, *, test_fold: int | None = None) -> Task:
    """Read the brain tumours of BraTS, whole, in FLAIR alone; three folds by patient, with as many of either grade.

    Args:
        folder: with `HGG` and `LGG`, in each a folder a patient with `..._flair.nii.gz` and `..._seg.nii.gz`, or the
            .mha files of 2013 to 2015; or `Task01_BrainTumour`.
        test_fold: is tested on; None leaves the folds to `finetune --folds 3`.
    Raises:
        DataError: neither, or no case is whole.
    Source: Zhou et al. 2021, Models Genesis; Menze et al. 2015, BraTS. Which patient is in which of their folds is not
        published.
    Example: >>> bms("MICCAI_BraTS_2018_Data_Training/", test_fold=0)
    """
    folder = Path(folder)
    problems: list[Problem] = []
    if (folder / datasets.FILE).is_file():
        dataset_task = datasets.dataset(folder)
        graded, problems = (
            [("", _flair_alone(case, dataset_task, folder)) for case in dataset_task.cases],
            list(dataset_task.problems),
        )
    else:
        graded = list(_patients(folder, problems))
    folds = dealt({case.patient: grade for grade, case in graded}, FOLDS)
    cases = held_out([replace(case, fold=folds[case.patient]) for _, case in graded], test_fold)
    target = make_target("segmentation", (Label("whole tumour", TUMOUR),))
    return build("bms", target, cases, channels=["FLAIR"], problems=problems, place=folder, published=PUBLISHED)


def _flair_alone(case: Case, dataset_task: Task, folder: Path) -> Case:
    number = next((place for place, name in enumerate(dataset_task.channels) if "FLAIR" in name.upper()), None)
    if number is None:
        raise DataError(f"{folder / datasets.FILE}: names no channel FLAIR, but {', '.join(dataset_task.channels)}")
    return replace(case, images=(case.images[number],))


def _patients(folder: Path, problems: list[Problem]) -> Iterator[tuple[str, Case]]:
    """Each patient with the grade, which is the name of the folder."""
    images = sorted(file for file in folder.rglob("*") if FLAIR.fullmatch(file.name) and not file.name.startswith("."))
    if not images:
        raise DataError(f"{folder}: has no ..._flair.nii.gz and no {datasets.FILE}; name the folder above HGG and LGG")
    for image in images:
        old = image.suffix.lower() == ".mha"  # then each image has a folder of its own
        home = image.parent.parent if old else image.parent
        grade = next((GRADES[part] for part in home.relative_to(folder).parts if part in GRADES), "")
        name = fit(f"{grade}_{home.name}" if old and grade else home.name)
        here = image
        try:
            source = with_modality(one_source(image, folder), "MR")
            mask = next((file for file in sorted(home.rglob("*")) if MASK.fullmatch(file.name)), None)
            if mask is None:
                raise UnreadableError("its patient has no ..._seg.nii.gz", "copy it, or leave the patient out")
            here = mask
            again = TIMES.fullmatch(home.name)
            yield grade, Case(name, (source,), (one_source(mask, folder),), patient=again[1] if again else name)
        except UnreadableError as error:
            problems.append(error.at(here))
