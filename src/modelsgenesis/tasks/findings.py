"""What one case holds, by reading all of it."""

from dataclasses import dataclass

from modelsgenesis.core.target import Target
from modelsgenesis.core.words import many
from modelsgenesis.data.case import Case
from modelsgenesis.data.images import check_same_grid
from modelsgenesis.data.intensity_statistics import fill_missing, guess_modality, raw_ct_notes, sample_of, summarise
from modelsgenesis.data.masks import grid_notes
from modelsgenesis.data.problems import Problem, UnreadableError
from modelsgenesis.data.reading import read_volume
from modelsgenesis.data.sources import Source
from modelsgenesis.data.volume import Geometry

Grid = tuple[Geometry, tuple[int, ...], tuple[float, ...]]  # of the file; size and spacing_mm along X, Y, Z


@dataclass(frozen=True)
class Finding:
    """The image and labels of one case as they were found.

    Attributes:
        id: of the case.
        size: (X, Y, Z), in voxels.
        spacing_mm: along X, Y, Z.
        modality: given, in the header, or guessed from the values.
        ranges: least and greatest value, a pair a channel.
        voxels: how many each label has, where labels are masks.
        values: the case's own, otherwise.
        spaced: whether its file says the spacing.
    """

    id: str
    size: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    modality: str
    ranges: tuple[tuple[float, float], ...]
    voxels: tuple[int, ...] = ()
    values: tuple[float, ...] = ()
    spaced: bool = True


def examine_case(case: Case, target: Target) -> tuple[Finding | None, list[Problem]]:
    """Read one case; there is no finding when its images cannot be read."""
    try:
        return _examine(case, target)
    except MemoryError:
        remedy = "use a machine with more, or fewer --workers"
        return None, [Problem(case.images[0].path, "it does not fit into memory", remedy)]


def _examine(case: Case, target: Target) -> tuple[Finding | None, list[Problem]]:
    problems: list[Problem] = []
    here = case.images[0]
    grids: list[Grid] = []
    ranges, modalities = [], []
    try:
        for here in case.images:
            first = grids[0][0] if grids else None
            grid, between, modality, notes = _examine_channel(here, first)
            notes += check_same_grid(first or grid[0], grid[0], "its channels")
            grids.append(grid)
            ranges.append(between)
            modalities.append(modality)
            problems += [Problem(here.path, note, "have a look at the scan", "warning") for note in notes]
        _check_volumes(case)
    except UnreadableError as error:
        return None, [*problems, error.at(here.path)]
    (geometry, size, spacing_mm), modality = grids[0], modalities[0]
    voxels: tuple[int, ...] = ()
    try:
        voxels = target.examine(case, geometry)
        beside = grid_notes(case.masks, geometry, "mask and image")
        problems += [Problem(case.masks[0].path, note, "have a look at the mask", "warning") for note in beside]
    except UnreadableError as error:
        where = case.masks[0] if len(case.masks) == 1 else case.images[0]
        problems.append(error.at(where.path))
    if voxels and not any(voxels):
        remedy = "nothing to do, if the case has none of the labels; otherwise draw them"
        problems.append(Problem(case.masks[0].path, "its mask is empty", remedy, "warning"))
    return Finding(case.id, size, spacing_mm, modality, tuple(ranges), voxels, case.values, geometry.spaced), problems


def _examine_channel(source: Source, first: Geometry | None) -> tuple[Grid, tuple[float, float], str, list[str]]:
    """Examine the grid, range and modality of a channel, after the first, and what was repaired."""
    volume = read_volume(source, like=first)
    values, filled = fill_missing(volume.values)
    sample = sample_of(values)
    modality = volume.modality or guess_modality(sample)
    summary = summarise(values, sample, modality)
    grid = volume.geometry, values.shape[1:], volume.spacing_mm
    notes = [note for note in volume.notes if not source.array]
    raw = raw_ct_notes(sample, volume.modality)
    return grid, (summary.minimum, summary.maximum), modality, [*notes, *filled, *raw]


def _check_volumes(case: Case) -> None:
    """Refuse a 4D image of more volumes than channels are declared; a case of one volume or picture was meant so."""
    first = case.images[0]
    if len(case.images) == 1 or first.format.axes == 2 or {source.path for source in case.images[1:]} != {first.path}:
        return
    num = first.format.read_header(first).num_volumes
    if not first.array and num != len(case.images):
        raise UnreadableError(
            f"it holds {many(num, 'volume')} where {many(len(case.images), 'channel')} are declared",
            "declare all of them, or take the others out",
        )
