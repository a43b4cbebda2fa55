"""Pictures of single cases: truth and prediction on the image, or the image alone."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.data.case import Case
from modelsgenesis.data.images import check_same_grid
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.reading import read_volume
from modelsgenesis.data.values import guess_modality, sample_of
from modelsgenesis.data.volume import Geometry, Volume
from modelsgenesis.pictures.overlay import Overlay, overlay
from modelsgenesis.pictures.windows import WINDOWS_HU, ct_window
from modelsgenesis.stages._comparing import Rules, prediction_of, spacing_of, truth_of
from modelsgenesis.stages._matching import Pair

AROUND_MM = 25.0
HU = (0.0, 1.0)  # values in HU, for ct_window, are mapped by themselves


def picture_of(pair: Pair, rules: Rules, caption: str) -> Overlay:
    """Truth and prediction on the first channel of the image; on black where there is no image of their grid.

    Raises:
        UnreadableError: the truth cannot be read.
    """
    truth, geometry = truth_of(pair.case, rules.target)
    try:
        predicted = prediction_of(pair, rules.target, geometry)
    except UnreadableError:
        predicted = np.zeros_like(truth)
    image, display = image_of(pair.case, geometry)
    return overlay(
        np.zeros(truth.shape[1:], np.float32) if image is None else image,
        predicted,
        truth=truth,
        spacing_mm=spacing_of(geometry),
        caption=caption,
        around_mm=AROUND_MM,
        display=display,
    )


def image_of(case: Case, geometry: Geometry) -> tuple[NDArray[Any] | None, tuple[float, float] | None]:
    """The image below the masks and its display, None for percentiles."""
    if not case.images:
        return None, (0.0, 1.0)
    try:
        volume = read_volume(case.images[0])
        check_same_grid(volume.geometry, geometry, "image and truth")
    except UnreadableError:
        return None, (0.0, 1.0)
    return volume.values[0], _display(volume)


def case_picture(case: Case, caption: str) -> Overlay:
    """The middle of a case's image, without a mask.

    Raises:
        UnreadableError: it has none, or one that cannot be read.
    """
    if not case.images:
        raise UnreadableError("it has no image", "name one in the truth's table")
    volume = read_volume(case.images[0])
    nothing = np.zeros(volume.values.shape[1:], np.uint8)
    return overlay(volume.values[0], nothing, spacing_mm=volume.spacing_mm, caption=caption, display=_display(volume))


def _display(volume: Volume) -> tuple[float, float] | None:
    """A window of CT by content; None for percentiles."""
    if (volume.modality or guess_modality(sample_of(volume.values))) != "CT":
        return None
    return WINDOWS_HU[ct_window(volume.values[0], HU)]
