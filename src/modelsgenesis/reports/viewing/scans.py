"""Scenes of scans, of masks that lie on them, and of predictions over the scans they were made for."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.labels import Label, LabelMap, MulticlassMap, colour
from modelsgenesis.core.mask_target import MaskTarget
from modelsgenesis.core.table_target import TableTarget
from modelsgenesis.core.tables import read_table
from modelsgenesis.core.words import many, short_number
from modelsgenesis.data.case import Case
from modelsgenesis.data.entries import one_source, scan_place
from modelsgenesis.data.intensity_statistics import fill_missing, guess_modality, sample_of, summarise
from modelsgenesis.data.masks import count_values, read_on_grid
from modelsgenesis.data.points import grid_of, to_world
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.reading import read_seen, read_volume
from modelsgenesis.data.sources import Source, find_sources
from modelsgenesis.data.volume import Geometry, Volume
from modelsgenesis.evaluation.mask_comparison import prediction_of
from modelsgenesis.evaluation.matching import TABLE, find_predictions, match, predicted_target
from modelsgenesis.figures.viewer import RGB, LabelEntry, Layer, Pane, Scene
from modelsgenesis.figures.windows import VIEWER_HU, ct_window, percentile_display

HU = (0.0, 1.0)  # values in HU, for ct_window, are mapped by themselves
AS_STORED = {"as stored": (0.0, 255.0)}  # of colours
FOREGROUND, WHOLE = "foreground, 0.5 to 99.5 %", "whole range"
MOST_VALUES = 255  # of a label map, beside 0

Windows = dict[str, tuple[float, float]]


def scan_scenes(place: Path, masks: Path | None, most: int) -> tuple[list[Scene], int]:
    """The scenes of a scan of any format, or of the first scans of a folder.

    Args:
        place: of a file, a DICOM series or a folder of scans.
        masks: a label map that lies on the one scan.
        most: scans of a folder.
    Returns:
        The scenes, and how many scans there are.
    Raises:
        DataError: there is nothing to see, masks are given for several scans, or the one scan or the label map on it
            cannot be read.
    """
    try:
        return _scan_scenes(place, masks, most)
    except UnreadableError as error:
        raise DataError(f"{place}: {error}") from error


def _scan_scenes(place: Path, masks: Path | None, most: int) -> tuple[list[Scene], int]:
    sources = [one_source(place, place.parent)] if not place.is_dir() else find_sources(place, pictures=True)[0]
    if not sources:
        raise DataError(f"{place}: holds no scan; give a scan, a store, or a folder of predict, evaluate or benchmark")
    if masks is not None and len(sources) > 1:
        raise DataError(f"{place} holds {many(len(sources), 'scan')}, and --labels lies on one; name it")
    if len(sources) == 1:
        return [scene_of(sources[0], sources[0].path.name, () if masks is None else (masks,))], 1
    scenes = []
    for source in sources:
        try:
            scenes.append(scene_of(source, source.path.relative_to(place).as_posix()))
        except UnreadableError:
            continue
        if len(scenes) == most:
            break
    if not scenes:
        raise DataError(f"{place}: none of its {many(len(sources), 'file')} can be read as a scan")
    return scenes, len(sources)


def scene_of(source: Source, title: str, masks: Sequence[Path] = ()) -> Scene:
    """One scan with the label maps on it."""
    seen = read_seen(source)
    layers = tuple(mask_layer(mask, seen.volume.geometry) for mask in masks)
    return volume_scene(seen.volume, title, [("", layers)], coloured=seen.coloured)


def volume_scene(
    volume: Volume,
    title: str,
    panes: Sequence[tuple[str, tuple[Layer, ...]]],
    note: str = "",
    *,
    coloured: bool = False,
) -> Scene:
    """A scan in one or more panes, each with layers of its own on it.

    Args:
        volume: the scan, or the volumes of a series.
        title: in the list of scenes.
        panes: the title and the layers of each.
        note: said before what is known of the scan.
        coloured: whether its channels are red, green and blue.
    """
    flat = volume.values.ndim == 3
    values = coloured_values(volume.values) if coloured else series_values(volume.values)
    windows, unit = (AS_STORED, "") if coloured else windows_of(values, volume.modality)
    affine = affine_of(volume.geometry)
    shown = tuple(Pane(words, values, affine, layers, unit=unit) for words, layers in panes)
    said = [
        note,
        f"{len(volume.values)} volumes." if len(volume.values) > 1 and not coloured else "",
        size_in_words(volume),
        place_in_words(volume),
        *(f"{each[:1].upper()}{each[1:]}." for each in volume.notes),
    ]
    oriented = volume.geometry.oriented and not flat
    return Scene(title, shown, windows, " ".join(filter(None, said)), oriented)


def series_values(values: NDArray[Any]) -> NDArray[Any]:
    """Channels (C, *space) as the viewer takes them: (*space) of one, (*space, C) of a series; finite."""
    finite = fill_missing(values)[0]
    return finite[0] if len(finite) == 1 else np.moveaxis(finite, 0, -1)


def coloured_values(values: NDArray[Any]) -> NDArray[Any]:
    """Red, green and blue, (3, *space), as voxels of three values, (*space)."""
    colours = np.empty(values.shape[1:], RGB)
    for name, channel in zip(RGB.names or (), values, strict=True):
        colours[name] = channel
    return colours


def size_in_words(volume: Volume) -> str:
    """The voxels of a scan and the steps between them, in a sentence."""
    sides = " x ".join(map(str, volume.values.shape[1:]))
    noun = "pixels" if volume.values.ndim == 3 else "voxels"
    if not volume.geometry.spaced:
        return f"{sides} {noun}; the file does not say how large one is."
    return f"{sides} {noun} of {' x '.join(f'{step:.3g}' for step in volume.spacing_mm)} mm."


def place_in_words(volume: Volume) -> str:
    """What to know of a scan's left and right, where its file does not say."""
    if volume.values.ndim == 3 or volume.geometry.oriented:
        return ""
    return (
        "The file does not say which way its axes point, so no letters are shown: they are hung as the first to the "
        "patient's left, the second to the back, the third to the head, which may be wrong."
    )


def affine_of(geometry: Geometry) -> NDArray[np.float64]:
    """From a voxel of the scan as it is read, turned to LPS, to mm in LPS; (4, 4), that of a picture too."""
    axes = len(geometry.size)
    places = to_world(np.concatenate([np.zeros((1, axes)), np.eye(axes)]), geometry, *grid_of(geometry))
    affine = np.eye(4)
    affine[:axes, :axes] = (places[1:] - places[0]).T
    affine[:axes, 3] = places[0]
    return affine


def windows_of(values: NDArray[Any], modality: str) -> tuple[Windows, str]:
    """The windows to offer for a scan, the first of them the best to begin with, and the unit of its values.

    Args:
        values: finite, (X, Y, Z) or (X, Y).
        modality: of the scan, or "" to guess it from the values.
    """
    sample = sample_of(values)
    modality = modality or guess_modality(sample)
    whole = (float(values.min()), float(values.max()))
    if whole[0] == whole[1]:
        return {WHOLE: percentile_display(values)}, ""
    percentiles = summarise(values[np.newaxis], sample, modality).percentiles
    low, high = percentiles[0.5], percentiles[99.5]
    every = {FOREGROUND: (low, high), WHOLE: whole} if low < high else {WHOLE: whole}
    if modality != "CT" or values.ndim == 2:
        return every, ""
    best = ct_window(values, HU)
    return {best: VIEWER_HU[best], **VIEWER_HU, **every}, "HU"


def mask_layer(place: Path, geometry: Geometry) -> Layer:
    """A label map of any values, which lies on a scan.

    Raises:
        UnreadableError: it cannot be read, lies on another grid, or has too many values.
    """
    try:
        values = read_on_grid(one_source(place, place.parent), geometry, "labels and scan")
    except UnreadableError as error:
        raise UnreadableError(f"{place}: {error.problem}", error.remedy) from error
    found = [value for value in count_values(values) if value]
    if len(found) > MOST_VALUES:
        raise UnreadableError(f"{place}: {len(found)} values, more like an image than labels", "is it the mask?")
    label_map = MulticlassMap(tuple(Label(f"label {value}", (value,)) for value in found))
    return layers_of(label_map.classes_of(values), label_map, geometry)[0]


def layers_of(classes: NDArray[np.uint8], label_map: LabelMap, geometry: Geometry) -> tuple[Layer, ...]:
    """The layers of a case's classes, (channels, *space), with the volume of each label."""
    sizes = [amount_in_words(int(count), geometry) for count in label_map.count(classes)]
    entries = [
        LabelEntry(k + 1, label.name, colour(k), size)
        for k, (label, size) in enumerate(zip(label_map.labels, sizes, strict=True))
    ]
    if label_map.has_background:
        return (Layer(classes[0], tuple(entries)),)
    return tuple(Layer(channel, (replace(entry, value=1),)) for channel, entry in zip(classes, entries, strict=True))


def amount_in_words(count: int, geometry: Geometry) -> str:
    """So many voxels as a volume, so many pixels as an area; counted where the file does not say how large one is."""
    axes = len(geometry.size)
    if not geometry.spaced:
        return many(count, "pixel" if axes == 2 else "voxel")
    one = float(np.prod(geometry.spacing_mm))
    return f"{short_number(count * one / 100)} cm²" if axes == 2 else f"{short_number(count * one / 1000)} ml"


def prediction_scenes(folder: Path, only: Path | None, most: int) -> tuple[list[Scene], int]:
    """The predictions of a folder of `genesis predict`, each over the scan that it was made for.

    Args:
        folder: of the predictions.
        only: one file of it, whose scan alone is wanted.
        most: cases.
    Returns:
        The scenes, and how many predictions there are.
    Raises:
        DataError: the folder is unfinished, names no scan, or none of its scans is there any more.
    """
    target = predicted_target(folder)
    rows = [row for row in read_table(folder / TABLE).rows if row.get("status", "predicted") == "predicted"]
    if only is not None:
        rows = [row for row in rows if only.name in Path(row.get("prediction", "").replace(";", "/")).parts]
    if not rows:
        raise DataError(f"{only or folder}: no prediction that {folder / TABLE} names; run genesis predict again")
    scenes, first = [], ""
    for row in rows:
        try:
            scenes.append(predicted_scene(row, folder, target))
        except UnreadableError as error:
            first = first or f"{row['image']}: {error}"
        if len(scenes) == most:
            break
    if not scenes:
        raise DataError(f"{folder}: no scan of its predictions can be read; the first: {first}")
    return scenes, len(rows)


def predicted_scene(row: dict[str, str], folder: Path, target: Any) -> Scene:
    """One prediction over its scan: the masks, or the numbers in words."""
    source = first_channel(Path(row["image"]))
    volume, case = read_volume(source), Case(row["id"], (source,))
    if isinstance(target, MaskTarget):
        pair = match([case], find_predictions(folder), target)[0][0]
        classes = prediction_of(pair, target.label_map, volume.geometry)
        return volume_scene(volume, row["id"], [("prediction", layers_of(classes, target.label_map, volume.geometry))])
    numbers = {name: row[name] for name in row if name not in ("id", "image", "status", "prediction")}
    note = "Predicted: " + ", ".join(f"{name} {value}" for name, value in numbers.items()) + "."
    layers: tuple[Layer, ...] = ()
    if isinstance(target, TableTarget):
        layers = marked(target, [float(row[name]) for name in target.value_columns], volume)
    return volume_scene(volume, row["id"], [("prediction", layers)], note)


def marked(target: TableTarget, values: Sequence[float], volume: Volume) -> tuple[Layer, ...]:
    """What a target draws of predicted or true numbers, such as landmarks; nothing of classes."""
    marks = target.marks(list(values), volume.geometry)
    if marks is None:
        return ()
    label_map = MulticlassMap(tuple(Label(name) for name in target.names))
    layers = layers_of(marks, label_map, volume.geometry)
    return tuple(replace(each, labels=tuple(replace(label, size="") for label in each.labels)) for each in layers)


def first_channel(place: Path) -> Source:
    """The one scan at a place, or the first volume of a file of several.

    Raises:
        UnreadableError: it is not there any more, or cannot be read.
    """
    if not scan_place(place)[0].exists():
        raise UnreadableError(f"{place} is not there any more", "put the scan back where it was")
    source = one_source(place, place.parent)
    if source.index is None and source.format.read_header(source).num_volumes > 1:
        return replace(source, index=0)
    return source
