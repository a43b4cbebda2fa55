"""The channels of a case, read from its files onto one grid."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.core.words import many
from modelsgenesis.data.case import Case
from modelsgenesis.data.images import Image, Reading, check_same_grid
from modelsgenesis.data.intensity import Window, ZScore
from modelsgenesis.data.intensity_statistics import (
    fill_missing,
    guess_modality,
    raw_ct_notes,
    refuse_labels,
    sample_of,
    spans_no_hu,
    summarise,
)
from modelsgenesis.data.problems import Problem, UnreadableError, costs_one_source
from modelsgenesis.data.reading import read_volume
from modelsgenesis.data.sources import Source


def read_unlabelled(case: Case, *, reading: Reading, axes: int, channels: int, root: Path) -> Image | Problem:
    """Read a case to predict, or say why these networks cannot take it; in a process of its own or in this one.

    Args:
        case: to read.
        reading: how.
        axes: of space, of the images that the networks were trained on.
        channels: that the networks take.
        root: of the search; names of folders above it do not decide whether a file is a label map.
    """
    first = case.images[0]
    try:
        try:
            image = read_image(case.images, reading)
        except UnreadableError:
            _refuse_label_map(first, read_volume(first).values, root)  # the better reason, if it is one
            raise
        if len(image.size) != axes:
            what = f"it has {len(image.size)} axes, but the network was trained on images of {axes}"
            raise UnreadableError(what, "give 3D scans to a network of scans, 2D pictures to one of pictures")
        if len(image.values) != channels:
            what = f"it has {many(len(image.values), 'channel')}, but the network takes {channels}"
            raise UnreadableError(what, "give each case all its channels")
        _refuse_label_map(first, image.values[:1] if image.unresampled is None else image.unresampled, root)
    except UnreadableError as error:
        return error.at(first.path)
    return image


def _refuse_label_map(source: Source, values: NDArray[Any], root: Path) -> None:
    if not source.forced:
        below = source.path.relative_to(root) if source.path.is_relative_to(root) else source.path
        refuse_labels(sample_of(values), below)


def _check_hounsfield(source: Source, modality: str, sample: NDArray[Any], raw: list[str]) -> None:
    """Refuse an image that is not in Hounsfield units.

    Args:
        source: of the image.
        modality: as declared or guessed; "unknown" of a DICOM series is what is neither CT nor MR, such as PET.
        sample: of its values, sorted.
        raw: the note that it is a CT in raw units, if it looks like one.
    Raises:
        UnreadableError: it is MRI or PET, in raw units, a picture, or its values lie too close together.
    """
    is_other = modality == "unknown" and source.dicom is not None and guess_modality(sample) == "MR"
    if modality == "MR" or is_other:
        what = "MRI" if modality == "MR" else "no CT by its header, and has no value below 0"
        raise UnreadableError(
            f"the network reads Hounsfield units, but {raw[0] if raw else f'this is {what}'}",
            "or use a network fine-tuned on such scans"
            if raw
            else "use a network fine-tuned on such scans, or, if it is CT, name it in a CSV with a column modality",
        )
    if modality != "CT" and source.box is None and spans_no_hu(sample):
        raise UnreadableError(
            f"the network reads Hounsfield units, but its values lie between {sample[0]:.3g} and {sample[-1]:.3g}",
            "use a network fine-tuned on such scans, or, if it is CT, name it in a CSV with a column modality",
        )
    if source.format.axes == 2:
        raise UnreadableError(
            "the network reads Hounsfield units, but this is a picture", "use a network fine-tuned on pictures"
        )


@costs_one_source()
def read_image(sources: Sequence[Source], reading: Reading) -> Image:
    """Read the channels of a case.

    Args:
        sources: one a channel; any format that `prepare` reads.
        reading: how.
    Raises:
        UnreadableError: a source cannot be read, the channels' grids differ, or one is no CT and the window is in HU.
    """
    parts: list[Image] = []
    limits: list[tuple[float, float]] = []
    notes: list[str] = []
    for source in sources:
        first = parts[0].geometry if parts else None
        volume = read_volume(source, spacing_mm=reading.spacing_mm, fit=reading.fit, like=first, voi=reading.voi)
        notes += check_same_grid(first or volume.geometry, volume.geometry, "its channels")
        values, filled = fill_missing(volume.values)
        sample = sample_of(values)
        modality, raw = volume.modality or guess_modality(sample), raw_ct_notes(sample, volume.modality)
        if isinstance(reading.intensity, Window):
            _check_hounsfield(source, modality, sample, raw)
        limits += [reading.intensity.limits(summarise(values, sample, modality, volume.levels))] * len(values)
        notes += [*volume.notes, *filled, *raw]
        parts.append(Image(values, (), volume.spacing_mm, volume.geometry, unresampled=volume.unresampled))
    values = parts[0].values if len(parts) == 1 else np.concatenate([part.values for part in parts])
    if isinstance(reading.intensity, ZScore) and reading.intensity.masked:  # the mask is that of all channels
        values, limits = reading.intensity.measured(values)
    return replace(parts[0], values=values, limits=tuple(limits), notes=tuple(notes))
