"""Volumes made of the slices of DICOM series, and what is wrong with them named."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from modelsgenesis.core.image_format import Geometry, Header
from modelsgenesis.data.formats.base.dicom_header import Slice
from modelsgenesis.data.formats.base.dicom_pixels import dtype_of
from modelsgenesis.data.formats.base.dicom_steps import check_steps, check_straight, is_tilted
from modelsgenesis.data.formats.base.dicom_volumes import volumes_of
from modelsgenesis.data.formats.base.itk import EXPORT_AGAIN, check_spacing
from modelsgenesis.data.problems import Problem, UnreadableError, costs_one_source

HOUNSFIELD = ("", "HU", "US")  # RescaleTypes of a CT: not said, said, and "unspecified", which enhanced objects write


@dataclass(frozen=True)
class Series:
    """The slices of one volume.

    Attributes:
        folder: of the first slice, or the file that holds all of them.
        slices: along their normal, one a position.
        uid: SeriesInstanceUID; raw, never stored.
        name: the uid, with the patient where several share it, and the number of the volume where the series holds
            several; raw, never stored.
        step_mm: from a slice to the next, in LPS, on average; off the normal when the gantry was tilted. Of a series of
            several steps, the finest.
        dtype: that holds every value, as NumPy calls it.
        heights_mm: of the slices above the first, along the normal, where steps differ and have to be resampled; or ().
        notes: what was repaired.
    """

    folder: Path
    slices: tuple[Slice, ...]
    uid: str
    name: str
    dtype: str
    step_mm: tuple[float, ...]
    heights_mm: tuple[float, ...]
    notes: tuple[str, ...]

    @property
    def files(self) -> tuple[Path, ...]:
        """All files, in the order of the slices."""
        return tuple(dict.fromkeys(one.path for one in self.slices))

    @property
    def patient(self) -> str:
        """PatientID, or the study's UID when it is empty; raw, never stored."""
        return self.slices[0].patient

    @property
    def modality(self) -> str:
        """One of scan.MODALITIES."""
        return self.slices[0].modality

    @property
    def z_mm(self) -> tuple[float, ...]:
        """The third coordinate of each slice's position, as its header says."""
        return tuple(one.position_mm[2] for one in self.slices)

    @property
    def num_slices(self) -> int:
        """The number of slices once steps are even."""
        if not self.heights_mm:
            return len(self.slices)
        return round(self.heights_mm[-1] / float(np.array(self.step_mm) @ self.slices[0].normal)) + 1


def header_of_series(series: Series) -> Header:
    """Read from the headers of the slices what holds for the volume."""
    first, normal, step = series.slices[0], series.slices[0].normal, np.array(series.step_mm)
    height = float(step @ normal)
    upright = not is_tilted(step, normal)
    return Header(
        size=(first.shape[1], first.shape[0], series.num_slices),
        spacing_mm=(first.spacing_mm[1], first.spacing_mm[0], height if upright else float(np.linalg.norm(step))),
        origin_mm=first.position_mm,
        direction=tuple(np.column_stack([first.plane[:3], first.plane[3:], normal]).ravel().tolist()),
        dtype=series.dtype,
        upright=upright and not series.heights_mm,
        doubts=series.notes,
    )


def geometry_of_series(series: Series) -> Geometry | None:
    """Where the voxels of an upright series lie; None where the slices were resampled: a tilted gantry, two steps."""
    header = header_of_series(series)
    return header.geometry if header.upright else None


def group_series(slices: Iterable[Slice]) -> tuple[list[Series], list[Problem]]:
    """Group slices into volumes, each of one patient: programs that hide names may give one UID to several.

    Refused: colour, an impossible spacing, a single position, missing slices, slices shifted in their plane, several
    volumes under one UID that no tag tells apart. Repaired with a note: duplicate slices, slices of another plane (a
    localizer), uneven steps, several steps, a tilted gantry. Noted: a CT whose header does not hold the scale to HU.
    """
    groups: dict[tuple[str, str], list[Slice]] = defaultdict(list)
    for one in slices:
        groups[one.series, one.patient].append(one)
    shared = Counter(uid for uid, _ in groups)
    series, problems = [], []
    for uid, patient in sorted(groups):
        members = sorted(groups[uid, patient], key=lambda one: (one.number, one.path, one.frame))
        own = f"{uid} {patient}" if shared[uid] > 1 else uid
        paths = {one.path for one in members}
        folder = min(paths) if len(paths) == 1 < len(members) else min(paths).parent
        volumes, refused = volumes_of(members)
        problems += [error.at(folder) for error in refused]
        for number, (stack, notes) in enumerate(volumes, start=1):
            name = f"{own}#{number}" if len(volumes) > 1 else own
            if shared[uid] > 1:
                notes.insert(0, f"{shared[uid]} patients share its SeriesInstanceUID: a scan of each is made")
            try:
                with costs_one_source():
                    series.append(arrange(folder, stack, name, notes))
            except UnreadableError as error:
                prefix = f"{notes[-1]}: " if len(volumes) > 1 else ""
                problems.append(Problem(folder, prefix + error.problem, error.remedy))
    return series, problems


def arrange(folder: Path, stack: list[Slice], name: str, notes: list[str]) -> Series:
    """Check the slices of one volume.

    Args:
        folder: of the volume.
        stack: in order, one a position.
        name: of the volume.
        notes: what was repaired so far.
    Raises:
        UnreadableError: they make no volume.
    """
    check_spacing(stack[0].spacing_mm)
    if short := next((f"{one.path.name}: {one.short}" for one in stack if one.short), ""):
        raise UnreadableError(short, EXPORT_AGAIN)
    if stack[0].modality == "CT" and not all(one.scaling.rescaled or one.scaling.table for one in stack):
        notes.append("a CT without rescale slope and intercept: its values are taken for HU as they are")
    if (unit := dict(stack[0].kinds).get("RescaleType", "")) not in HOUNSFIELD and stack[0].modality == "CT":
        notes.append(
            f"a CT in units of {unit!r}, no HU: its values are taken as they are, windows in HU do not fit them"
        )
    if len(stack) < 2:
        raise UnreadableError(
            "one slice of a DICOM series, a single position: 2D", "name the folder of the whole series, or leave it out"
        )
    normal = stack[0].normal
    positions = np.array([one.position_mm for one in stack])
    heights = (positions - positions[0]) @ normal
    check_straight(positions, heights, normal, min(stack[0].spacing_mm))
    step_mm = (positions[-1] - positions[0]) / (len(stack) - 1)
    finest_mm = check_steps(np.diff(heights), [one.number for one in stack], notes)
    if finest_mm:
        step_mm *= (heights[-1] / max(1, round(heights[-1] / finest_mm))) / float(step_mm @ normal)
    if is_tilted(step_mm, normal):
        tilt = np.degrees(np.arccos(min(1.0, float(step_mm @ normal / np.linalg.norm(step_mm)))))
        notes.append(f"the gantry was tilted by {tilt:.1f} degrees; straightened by resampling")
    apart = tuple(heights.tolist()) if finest_mm else ()
    what = (folder, tuple(stack), stack[0].series, name, dtype_of(stack))
    return Series(*what, step_mm=tuple(step_mm.tolist()), heights_mm=apart, notes=tuple(notes))
