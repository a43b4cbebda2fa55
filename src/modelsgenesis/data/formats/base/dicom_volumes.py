"""The volumes of one DICOM series told apart: stacks of several planes, phases and echoes, duplicates and scouts."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations

import numpy as np

from modelsgenesis.core.words import many
from modelsgenesis.data.formats.base.dicom_header import Slice
from modelsgenesis.data.formats.base.dicom_pixels import same_pixels
from modelsgenesis.data.problems import UnreadableError, costs_one_source

SAME_COSINE = 1e-3
SAME_SPACING = 1e-4  # of it
SAME_PLACE = 1e-3  # of the mean step between slices
NEARER = 1 / 3  # of the steps beside it: a slice so near to another is a second image of its place
MUCH_NEARER = 0.03  # of nearly the widest step: so near lie only images of several volumes

Stack = tuple[list[Slice], list[str]]  # slices in order, one a position, and what was repaired


def volumes_of(members: list[Slice]) -> tuple[list[Stack], list[UnreadableError]]:
    """The volumes of a series, and why some of its stacks are none.

    Args:
        members: slices of one patient under one UID, as they are numbered.
    """
    volumes: list[Stack] = []
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


def _volumes(members: list[Slice], notes: list[str]) -> Iterator[Stack]:
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


def _stacks(members: list[Slice]) -> Iterator[Stack]:
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
    normal = members[0].normal
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
    normal = places[0][0].normal
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
