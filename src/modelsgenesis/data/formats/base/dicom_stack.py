"""The slices of a DICOM series put in order: its volumes told apart, and what is wrong with them named."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.core.image_format import Geometry, Header
from modelsgenesis.core.words import many
from modelsgenesis.data.formats.base.dicom_header import Slice
from modelsgenesis.data.formats.base.dicom_pixels import dtype_of, same_pixels
from modelsgenesis.data.formats.base.itk import EXPORT_AGAIN, check_spacing
from modelsgenesis.data.problems import Problem, UnreadableError, costs_one_source

SAME_COSINE = 1e-3
SAME_SPACING = 1e-4  # of it
SAME_PLACE = 1e-3  # of the mean step between slices
NEARER = 1 / 3  # of the steps beside it: a slice so near to another is a second image of its place
MUCH_NEARER = 0.03  # of nearly the widest step: so near lie only images of several volumes
UNEVEN = 0.1  # of the step between slices
GAP = 1.5  # steps
RUN = 3  # steps alike, one after the other, are a part of the scan, no gap
TILTED = 1e-2  # drift of a step off the normal, as a share of it
SHIFTED = 0.5  # pixels
HOUNSFIELD = ("", "HU", "US")  # RescaleTypes of a CT: not said, said, and "unspecified", which enhanced objects write

Floats = NDArray[np.float64]


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
        return round(self.heights_mm[-1] / float(np.array(self.step_mm) @ normal_of(self.slices[0]))) + 1


def normal_of(one: Slice) -> Floats:
    """The direction across a slice, of length 1."""
    normal = np.cross(one.plane[:3], one.plane[3:])
    return np.asarray(normal / np.linalg.norm(normal))


def header_of_series(series: Series) -> Header:
    """Read from the headers of the slices what holds for the volume."""
    first, normal, step = series.slices[0], normal_of(series.slices[0]), np.array(series.step_mm)
    height = float(step @ normal)
    upright = not _is_tilted(step, normal)
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
        volumes, refused = _all_volumes(members)
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


def _all_volumes(members: list[Slice]) -> tuple[list[tuple[list[Slice], list[str]]], list[UnreadableError]]:
    """The volumes of a series as `_volumes` gives them, and why some of its stacks are none."""
    volumes: list[tuple[list[Slice], list[str]]] = []
    refused: list[UnreadableError] = []
    try:
        with costs_one_source():
            stacks = list(_stacks(members))
    except UnreadableError as error:
        return [], [error]
    for stack, notes in stacks:
        try:
            with costs_one_source():
                volumes += list(_volumes(stack, notes))
        except UnreadableError as error:
            refused.append(error)
    return volumes, refused


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
    normal = normal_of(stack[0])
    positions = np.array([one.position_mm for one in stack])
    heights = (positions - positions[0]) @ normal
    _check_straight(positions, heights, normal, min(stack[0].spacing_mm))
    step_mm = (positions[-1] - positions[0]) / (len(stack) - 1)
    finest_mm = _check_steps(np.diff(heights), [one.number for one in stack], notes)
    if finest_mm:
        step_mm *= (heights[-1] / max(1, round(heights[-1] / finest_mm))) / float(step_mm @ normal)
    if _is_tilted(step_mm, normal):
        tilt = np.degrees(np.arccos(min(1.0, float(step_mm @ normal / np.linalg.norm(step_mm)))))
        notes.append(f"the gantry was tilted by {tilt:.1f} degrees; straightened by resampling")
    apart = tuple(heights.tolist()) if finest_mm else ()
    what = (folder, tuple(stack), stack[0].series, name, dtype_of(stack))
    return Series(*what, step_mm=tuple(step_mm.tolist()), heights_mm=apart, notes=tuple(notes))


def _is_tilted(step_mm: Floats, normal: Floats) -> bool:
    """Whether slices drift off their normal by so much that they are straightened."""
    height = float(step_mm @ normal)
    return float(np.linalg.norm(step_mm - height * normal)) >= TILTED * height


def _volumes(members: list[Slice], notes: list[str]) -> Iterator[tuple[list[Slice], list[str]]]:
    """The slices of each volume of a stack, in order and one a position, and what was repaired."""
    distinct = list({(one.instance, one.position_mm): one for one in reversed(members)}.values())[::-1]
    places = _without_strays(_places(distinct))
    if max(map(len, places)) == 1 or all(same_pixels(place) for place in places):
        stack = [place[0] for place in places]
        if len(stack) < len(members):
            num = len(members) - len(stack)
            notes = [f"{many(num, 'duplicate slice')} {'was' if num == 1 else 'were'} left out", *notes]
        yield stack, notes
        return
    by, groups = _told_apart(distinct, places)
    for number, group in enumerate(groups, start=1):
        what = f"volume {number} of {len(groups)} volumes under one DICOM series, told apart by {by}"
        yield [place[0] for place in _without_strays(_places(group))], [*notes, what]


def _stacks(members: list[Slice]) -> Iterator[tuple[list[Slice], list[str]]]:
    """The slices of each plane that is a volume's, and what is to be said of them; headers differ in their last digits.

    A plane of fewer positions than half of the most is left out: a scout. Others are volumes of their own, such as the
    stacks through the discs of a spine, or a scan in three directions.
    """
    if any(one.colour for one in members):
        raise UnreadableError("a DICOM series in colour", "leave it out; grey volumes are prepared here")
    planes: list[list[Slice]] = []
    for one in members:
        for plane in planes:
            if _same_plane(plane[0], one):
                plane.append(one)
                break
        else:
            planes.append([one])
    positions = [len({one.position_mm for one in plane}) for plane in planes]
    most = max(positions)
    kept = [plane for plane, num in zip(planes, positions, strict=True) if num >= max(2, most / 2)]
    kept = kept or [max(planes, key=len)]
    left_out = len(members) - sum(map(len, kept))
    notes = [f"{left_out} slices of another size or orientation were left out"] if left_out else []
    for number, plane in enumerate(kept, start=1):
        which = f"stack {number} of {len(kept)} of different sizes or orientations in one DICOM series"
        yield plane, [*notes, which] if len(kept) > 1 else notes


def _same_plane(one: Slice, other: Slice) -> bool:
    return (
        one.shape == other.shape
        and max(abs(a - b) for a, b in zip(one.plane, other.plane, strict=True)) < SAME_COSINE
        and max(abs(a - b) - SAME_SPACING * abs(a) for a, b in zip(one.spacing_mm, other.spacing_mm, strict=True)) <= 0
    )


def _places(members: list[Slice]) -> list[list[Slice]]:
    """Slices by their position along the normal, in order; those of one place by their number.

    Two share a place when they are much nearer to each other than the slices are to those beside them.
    """
    normal = normal_of(members[0])
    heights = np.array([float(np.dot(one.position_mm, normal)) for one in members])
    order = np.argsort(heights, kind="stable")
    gaps = np.diff(heights[order])
    apart = gaps > (SAME_PLACE * gaps.mean() if gaps.size else 0)
    steps = gaps[apart]
    if len(steps) > 2:
        beside = np.minimum(np.append(steps[1:], np.inf), np.append(np.inf, steps[:-1]))
        near = steps < NEARER * np.minimum(beside, np.quantile(steps, 0.75))
        apart[apart] = ~near & (steps > MUCH_NEARER * np.quantile(steps, 0.9))
    parts = np.split(order, np.flatnonzero(apart) + 1)
    return [[members[index] for index in sorted(part)] for part in parts]


def _without_strays(places: list[list[Slice]]) -> list[list[Slice]]:
    """The places, where few have a second slice that is near but not at the same position: that one is left out."""
    normal = normal_of(places[0][0])
    middles = [float(np.dot(place[0].position_mm, normal)) for place in places]
    step = float(np.median(np.diff(middles))) if len(places) > 1 else 0.0

    def spread(place: list[Slice]) -> float:
        return float(np.ptp([np.dot(one.position_mm, normal) for one in place]))

    strays = [index for index, place in enumerate(places) if spread(place) > SAME_PLACE * step]
    if not strays or len(strays) > max(1, len(places) // 4):
        return places
    kept = list(places)
    for index in strays:
        beside = middles[max(0, index - 1) : index] + middles[index + 1 : index + 2]
        wanted = float(np.mean(beside)) if len(beside) == 2 else middles[index]
        at = [float(np.dot(one.position_mm, normal)) for one in places[index]]
        nearest = min(at, key=lambda here: abs(here - wanted))
        kept[index] = [
            one for one, here in zip(places[index], at, strict=True) if abs(here - nearest) <= SAME_PLACE * step
        ]
    return kept


def _told_apart(members: list[Slice], places: list[list[Slice]]) -> tuple[str, list[list[Slice]]]:
    """The volumes of one series, as its images are numbered, by the tag, or two, that give each one image a place.

    Raises:
        UnreadableError: no tag does.
    """
    most = max(map(len, places))
    kinds = {id(one): dict(one.kinds) for one in members}
    names = list(dict.fromkeys(name for one in members for name, _ in one.kinds))
    for chosen in [*combinations(names, 1), *combinations(names, 2)]:
        groups: dict[tuple[str, ...], list[Slice]] = defaultdict(list)
        for one in members:
            groups[tuple(kinds[id(one)].get(name, "") for name in chosen)].append(one)
        if len(groups) == most and all(_is_volume(group, places) for group in groups.values()):
            return " and ".join(chosen), list(groups.values())
    several = sum(len(place) > 1 for place in places)
    raise UnreadableError(
        f"{most} volumes under one DICOM series (phases, times or echoes?): different images at {several} of"
        f" {len(places)} positions, and no tag tells them apart",
        "split them, for example with dcm2niix",
    )


def _is_volume(group: list[Slice], places: list[list[Slice]]) -> bool:
    """Whether a group has one image at most places, and nowhere two."""
    there = {id(one) for one in group}
    counts = [sum(id(one) in there for one in place) for place in places]
    return max(counts) == 1 and 2 * sum(counts) > len(places)


def _check_straight(positions: Floats, heights: Floats, normal: Floats, pixel_mm: float) -> None:
    """Refuse slices that do not lie along a line."""
    aside = positions - positions[0] - heights[:, None] * normal
    off = np.linalg.norm(aside - heights[:, None] / heights[-1] * aside[-1], axis=1)
    if off.max() > SHIFTED * pixel_mm:
        least, greatest = (positions - heights[:, None] * normal).min(0), (positions - heights[:, None] * normal).max(0)
        raise UnreadableError(
            f"its slices are shifted against each other in their plane, by {np.linalg.norm(greatest - least):.1f} mm",
            "export the series again, or split it where the slices move",
        )


def _check_steps(steps_mm: Floats, numbers: Sequence[int], notes: list[str]) -> float:
    """Refuse missing slices, and say to which step others are resampled: 0 where they are as good as even.

    Args:
        steps_mm: between the slices.
        numbers: of the slices, as their headers say.
        notes: what is repaired is added here.
    """
    # Not the median: where two of four slices are missing, that is the gap itself.
    usual = float(np.quantile(steps_mm, 0.25, method="lower"))
    narrowest, widest = float(steps_mm.min()), float(steps_mm.max())
    uneven = f"slices are uneven, {narrowest:.2f} to {widest:.2f} mm apart"
    if usual / GAP <= narrowest and widest <= GAP * usual:
        if float(np.abs(steps_mm - usual).max()) > UNEVEN * usual:
            notes.append(f"{uneven}; their mean is used")
        return 0.0
    parts, jumps = _even_parts(steps_mm), np.abs(np.diff(numbers))
    wide = steps_mm > (1 + UNEVEN) * usual
    if len(parts) > 1 and np.median(jumps[wide]) <= np.median(jumps[~wide]):
        levels = [f"{part:.4g}" for part in sorted(dict.fromkeys(round(part, 2) for part in parts))]
        named = ", ".join(levels[:-1]) + f" and {levels[-1]} mm"
        words = "two steps" if len(levels) == 2 else f"{len(levels)} steps"
        notes.append(f"{words} between its slices, {named}; resampled to the finest")
        return min(parts)
    if widest <= GAP * usual:  # some are nearer, so none is missing
        notes.append(f"{uneven}; resampled to {usual:.4g} mm")
        return usual
    missing = round(float(np.sum(np.rint(steps_mm / usual) - 1)))
    raise UnreadableError(
        f"about {missing} slices are missing: a gap of {widest:.2f} mm where the others are {usual:.2f} mm apart",
        "export the whole series again",
    )


def _even_parts(steps_mm: Floats) -> list[float]:
    """The step of each part of a scan whose slices lie evenly; none where a part is too short to be one."""
    parts: list[list[float]] = []
    for step in steps_mm.tolist():
        if parts and abs(step - parts[-1][0]) <= UNEVEN * parts[-1][0]:
            parts[-1].append(step)
        else:
            parts.append([step])
    means = [float(np.mean(part)) for part in parts]
    long = [len(part) >= RUN for part in parts]
    for index in [index for index, enough in enumerate(long) if not enough]:
        # Thick slices may begin half of each step above the last thin one.
        if not 0 < index < len(parts) - 1 or len(parts[index]) > 1:
            return []
        if not min(beside := (means[index - 1], means[index + 1])) < means[index] < max(beside):
            return []
    return [mean for mean, whole in zip(means, long, strict=True) if whole]
