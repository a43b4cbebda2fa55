"""NCS: segment the lung nodule. LIDC-IDRI, cubes of chest CT around each nodule."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import fit
from modelsgenesis.core.labels import Label
from modelsgenesis.core.process_pool import map_in_processes, usable_cores
from modelsgenesis.core.rounding import rounded_up
from modelsgenesis.core.target import make_target
from modelsgenesis.data.boxes import Box
from modelsgenesis.data.case import Case, Split
from modelsgenesis.data.entries import contours_on
from modelsgenesis.data.formats.lidc_xml import Nodule, Reading, contoured_grid, nodules_of, read_contours
from modelsgenesis.data.intensity import Window
from modelsgenesis.data.problems import Problem, UnreadableError
from modelsgenesis.data.sources import Source, find_sources
from modelsgenesis.tasks.assembly import build
from modelsgenesis.tasks.case_finder import with_modality
from modelsgenesis.tasks.published import TRANSVW, Published, scores
from modelsgenesis.tasks.task import Task

PATIENT = re.compile(r"LIDC-IDRI-(\d+)")
# The paper counts 510, 100 and 408 cases; which they are is not published, so they are taken in the patients' order.
SPLITS: tuple[tuple[range, Split], ...] = (
    (range(511), "train"), (range(511, 611), "val"), (range(611, 10_000), "test")
)  # fmt: skip
SIZE, STEP_MM = (64, 64, 32), 1.0

PUBLISHED = Published(
    "iou",
    scores(
        TRANSVW,
        {
            "random": (74.05, 1.97), "NiftyNet": (52.98, 2.05), "MedicalNet": (75.68, 0.32), "I3D": (71.58, 0.55),
            "in-painting": (76.02, 0.55), "context restoration": (75.55, 0.82), "rotation": (76.13, 0.61),
            "Rubik's cube": (72.87, 0.16), "Models Genesis": (77.41, 0.40),
        },
    ),
    size=SIZE, intensity=Window(-1000, 1000), spacing_mm=(STEP_MM,) * 3, batch_size=16, lr=1e-3, weight_decay=0.0,
    patience=50,
)  # fmt: skip


def ncs(folder: Path | str, *, readers: int = 1) -> Task:
    """Read the nodules of LIDC-IDRI: a cube of 64 x 64 x 32 mm around each, at 1 mm.

    A nodule of 3 mm or more is what its readers drew together: contours that share a voxel are of one nodule, and a
    voxel is nodule when at least half of those readers have it. Every nodule in a cube is in its mask.

    Args:
        folder: with the DICOM series of LIDC-IDRI and their XMLs: each in its series' folder, as the collection was
            first given out, or in a folder of their own, as it is now.
        readers: how many of the four must have drawn a contour of a nodule.
    Raises:
        DataError: no XML, or no nodule of a series that is there.
    Source: Zhou et al. 2021, Models Genesis; Armato et al. 2011, LIDC-IDRI. The division by patients' numbers is ours.
    Example: >>> ncs("LIDC-IDRI/", readers=3)
    """
    folder = Path(folder)
    if not 1 <= readers <= 4:
        raise DataError(f"each scan has four readers, got readers {readers}; use 1 to 4")
    problems: list[Problem] = []
    readings = _readings(folder, problems)
    series = _series(folder, readings, problems)
    cases: list[Case] = []
    for path, reading in readings.items():
        if not reading.contours:
            continue  # a scan without a nodule of 3 mm has no cube
        try:
            scan = series.get(reading.series)
            if scan is None:
                raise UnreadableError(
                    f"its series {reading.series} is not there", "copy it whole, or leave the XML out"
                )
            cases += _cases(path, reading, scan, readers)
        except UnreadableError as error:
            problems.append(error.at(path))
    cases.sort(key=lambda case: case.id)  # wherever the XMLs lie
    target = make_target("segmentation", (Label("nodule", (1,)),))
    return build("ncs", target, cases, channels=["CT"], problems=problems, place=folder, published=PUBLISHED)


def _readings(folder: Path, problems: list[Problem]) -> dict[Path, Reading]:
    """The XMLs of CTs, without those of radiographs."""
    readings: dict[Path, Reading] = {}
    paths = sorted(folder.rglob("*.xml"))
    if not paths:
        raise DataError(f"{folder}: holds no XML of readings; copy them beside the series, or into a folder here")
    for path in paths:
        try:
            reading = read_contours(path)
        except UnreadableError as error:
            problems.append(error.at(path))
            continue
        if reading is not None:
            readings[path] = reading
    return readings


def _series(folder: Path, readings: Mapping[Path, Reading], problems: list[Problem]) -> dict[str, Source]:
    """The series by their UIDs."""
    found, wrong = find_sources(folder, mapper=map_in_processes(usable_cores()))
    # Radiographs of the collection, and whatever else lies there, are no concern of ours.
    homes = {path.parent for path in readings} - {folder}
    problems += [each for each in wrong if each.path in homes or "slices are missing" in each.problem]
    return {source.dicom.name: source for source in found if source.dicom is not None}


def _cases(path: Path, reading: Reading, scan: Source, readers: int) -> Iterator[Case]:
    """The cases of a scan, one a nodule."""
    if scan.dicom is None:
        return
    grid = contoured_grid(scan.dicom)
    width, depth, height = (rounded_up(side * STEP_MM / step) for side, step in zip(SIZE, grid.spacing_mm, strict=True))
    image, mask = with_modality(scan, "CT"), contours_on(scan, path)
    found = PATIENT.fullmatch(scan.patient)
    split: Split = next((split for numbers, split in SPLITS if found and int(found[1]) in numbers), "")
    for number, nodule in enumerate(_known(nodules_of(reading.contours, grid, scan.dicom.z_mm), readers)):
        box = Box(nodule.centre_mm, (width, depth, height))
        name = fit(f"{scan.patient}_{reading.series[-6:]}_{number}")
        yield Case(name, (image.within(box),), (mask.within(box),), patient=scan.patient, split=split)


def _known(nodules: Sequence[Nodule], readers: int) -> list[Nodule]:
    """Number nodules from below upwards, so that names do not depend on the order of readers."""
    return sorted((each for each in nodules if each.readers >= readers), key=lambda each: each.centre_mm[::-1])
