"""Pictures of single cases: truth and prediction on the image, or the image alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.core.mask_target import MaskTarget
from modelsgenesis.core.table_target import TableTarget
from modelsgenesis.data.case import Case
from modelsgenesis.data.images import check_same_grid
from modelsgenesis.data.intensity_statistics import guess_modality, sample_of
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.reading import read_volume
from modelsgenesis.data.volume import Geometry, Volume
from modelsgenesis.evaluation.mask_comparison import Rules, prediction_of, spacing_of, truth_of
from modelsgenesis.evaluation.matching import Pair
from modelsgenesis.figures.overlay import Overlay, overlay
from modelsgenesis.figures.side_by_side import middles, side_by_side
from modelsgenesis.figures.windows import WINDOWS_HU, ct_window

AROUND_MM = 25.0
HU = (0.0, 1.0)  # values in HU, for ct_window, are mapped by themselves


def picture_of(pair: Pair, rules: Rules, caption: str) -> Overlay:
    """Truth and prediction on the first channel of the image; on black where there is no image of their grid.

    Raises:
        UnreadableError: the truth cannot be read.
    """
    truth, geometry = truth_of(pair.case, rules.target.label_map)
    return mask_picture(pair.case, _predicted(pair, rules, truth, geometry), rules.target, caption)


def mask_picture(case: Case, predicted: NDArray[np.uint8], target: MaskTarget, caption: str) -> Overlay:
    """Truth and prediction on the first channel of the image; on black where there is no image of their grid.

    Args:
        case: with its truth.
        predicted: in LPS, as the label map of the target has it.
        target: of the network.
        caption: a line above.
    Raises:
        UnreadableError: the truth cannot be read.
    """
    truth, geometry = truth_of(case, target.label_map)
    image, display = image_of(case, geometry)
    return overlay(
        np.zeros(truth.shape[1:], np.float32) if image is None else image,
        predicted,
        truth=truth,
        spacing_mm=spacing_of(geometry),
        caption=caption,
        around_mm=AROUND_MM,
        display=display,
    )


def pictures_of(pairs: Sequence[Pair], rules: Rules, titles: Sequence[str], caption: str) -> Overlay:
    """Several predictions of one case beside each other, each with the truth, on the slice that says most.

    Raises:
        UnreadableError: the truth cannot be read.
    """
    case = pairs[0].case
    truth, geometry = truth_of(case, rules.target.label_map)
    image, display = image_of(case, geometry)
    return side_by_side(
        np.zeros(truth.shape[1:], np.float32) if image is None else image,
        [_predicted(pair, rules, truth, geometry) for pair in pairs],
        truth,
        spacing_mm=spacing_of(geometry),
        titles=titles,
        caption=caption,
        around_mm=AROUND_MM,
        display=display,
    )


def _predicted(pair: Pair, rules: Rules, truth: NDArray[np.uint8], geometry: Geometry) -> NDArray[np.uint8]:
    """The predicted mask of a case; empty where there is none that fits."""
    try:
        return prediction_of(pair, rules.target.label_map, geometry)
    except UnreadableError:
        return np.zeros_like(truth)


def image_of(case: Case, geometry: Geometry) -> tuple[NDArray[Any] | None, tuple[float, float] | None]:
    """The image below the masks and the window to display it in, None for percentiles."""
    if not case.images:
        return None, (0.0, 1.0)
    try:
        volume = read_volume(case.images[0])
        check_same_grid(volume.geometry, geometry, "image and truth")
    except UnreadableError:
        return None, (0.0, 1.0)
    return volume.values[0], _display(volume)


def case_picture(
    case: Case, caption: str, target: TableTarget, predicted: Sequence[float], true: Sequence[float]
) -> Overlay:
    """A case's image, with what the target draws of the predicted and the true numbers; else its middle.

    Args:
        case: to picture.
        caption: a line above.
        target: of the network.
        predicted: the numbers.
        true: likewise.

    Raises:
        UnreadableError: it has none, or one that cannot be read.
    """
    if not case.images:
        raise UnreadableError("it has no image", "name one in the truth's table")
    volume = read_volume(case.images[0])
    found, truth = (target.marks(values, volume.geometry) for values in (predicted, true))
    return overlay(
        volume.values[0],
        np.zeros(volume.values.shape[1:], np.uint8) if found is None else found,
        truth=truth,
        spacing_mm=volume.spacing_mm,
        caption=caption,
        display=_display(volume),
    )


def case_pictures(cases: Sequence[Case], titles: Sequence[str], caption: str) -> Overlay:
    """The middle slices of several cases' images beside each other.

    Raises:
        UnreadableError: one has no image, or one that cannot be read.
    """
    if not all(case.images for case in cases):
        raise UnreadableError("a case has no image", "name one in the truth's table")
    volumes = [read_volume(case.images[0]) for case in cases]
    return middles(
        [volume.values[0] for volume in volumes],
        spacings_mm=[volume.spacing_mm for volume in volumes],
        displays=[_display(volume) for volume in volumes],
        titles=titles,
        caption=caption,
    )


def _display(volume: Volume) -> tuple[float, float] | None:
    """The window for a CT by its content; None for percentiles."""
    if (volume.modality or guess_modality(sample_of(volume.values))) != "CT":
        return None
    return WINDOWS_HU[ct_window(volume.values[0], HU)]
