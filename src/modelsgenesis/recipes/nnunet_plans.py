"""A recipe that follows nnU-Net's plans: their network, patch, batch and units; the rest stays the recipe's."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.words import many
from modelsgenesis.data.intensity import Intensity, Window, ZScore
from modelsgenesis.data.nnunet_plans import CT, Planned, Units, Z
from modelsgenesis.data.store.store import Scan, Store
from modelsgenesis.nets.planned_unet import PlannedUNet
from modelsgenesis.recipes.recipe import Recipe

SPACING_TOLERANCE = 0.01  # by which a scan's spacing may differ from the plans', as a fraction
SMALLEST_PERCENTILE = 10  # of the scans' sides: that many scans in a hundred may be too small for the cubes
BRIGHTEST = 99.5  # percentile of the foreground that is white, in the middle scan


def follow_plans(recipe: Recipe, planned: Planned, store: Store) -> Recipe:
    """Change a recipe so that it trains the very network that nnU-Net planned, on what nnU-Net will feed it.

    Cubes are deformed and restored in [0, 1], and the network itself takes them from there to nnU-Net's units. They are
    of the plans' patch size, or smaller where the scans are: a convolution does not know.

    Args:
        recipe: whose plan of training, rule and deformations are kept.
        planned: the configuration.
        store: of the scans to be learned from.
    Raises:
        DataError: the scans are not at the plans' spacing, of the wrong kind, or have other channels.
        ShapeError: the planned network cannot be built.
    """
    check_spacing(planned, store.scans)
    check_channels(planned, store.scans)
    intensity, units = intensity_of(planned, store.scans)
    arguments = {"architecture": planned.architecture, "axis_order": planned.axis_order, "units": units}
    with torch.device("meta"):  # only its strides are needed
        stride = PlannedUNet(planned.architecture, axis_order=planned.axis_order).stride
    return replace(
        recipe,
        cubes=replace(recipe.cubes, size=cube_size(planned, stride, store.scans), intensity=intensity),
        plan=replace(recipe.plan, batch_size=planned.batch_size),
        backbone="planned_unet",
        backbone_args=arguments,
        plans=planned,
    )


def intensity_of(planned: Planned, scans: Sequence[Scan]) -> tuple[Intensity, Units]:
    """The scaling to [0, 1], and the (scale, shift) from there to what nnU-Net feeds.

    For CT, [0, 1] is the window that nnU-Net clips to. Otherwise it runs from the least z-score of the middle scan to
    that of its brightest foreground.

    Raises:
        DataError: the plans normalise in another way, or the channels in several.
    """
    if not planned.kind:
        raise DataError(
            f"the plans normalise by {', '.join(planned.schemes) or 'nothing'}; pre-training by plans knows {CT} and "
            f"{Z}, the same for every channel"
        )
    if planned.kind == CT:
        return ct_intensity(planned, scans)
    usual = ZScore(masked=planned.masked[0])
    moments = [usual.moments(scan) for scan in scans]
    low = [(scan.minimum - mean) / std for scan, (mean, std) in zip(scans, moments, strict=True)]
    high = [(scan.percentiles[BRIGHTEST] - mean) / std for scan, (mean, std) in zip(scans, moments, strict=True)]
    zscore = ZScore(round(float(np.median(low)), 3), round(float(np.median(high)), 3), masked=planned.masked[0])
    return zscore, (zscore.high - zscore.low, zscore.low)


def ct_intensity(planned: Planned, scans: Sequence[Scan]) -> tuple[Window, Units]:
    """The window that nnU-Net clips CT to, and the scale and shift to its units.

    Raises:
        DataError: the scans are no CT, the plans do not hold the window, or one for each channel of the scans.
    """
    if strange := [scan for scan in scans if scan.modality != "CT"]:
        raise DataError(
            f"the plans are for CT, but {len(strange)} of {many(len(scans), 'scan')} are not (the first is "
            f"{strange[0].id}, "
            f"{strange[0].modality}); if they are, prepare them with --modality CT"
        )
    if not planned.one_window and max(scan.shape[0] for scan in scans) > 1:
        raise DataError(
            "the plans give each channel of CT a window of its own, and pre-training takes one for all; prepare the "
            "channels as scans of one channel, which serve plans of several"
        )
    return planned.window


def cube_size(planned: Planned, stride: tuple[int, ...], scans: Sequence[Scan]) -> tuple[int, ...]:
    """The plans' patch, or what nine in ten scans have room for, where that is less; nnU-Net would pad."""
    room = np.percentile([scan.size for scan in scans], SMALLEST_PERCENTILE, axis=0)
    fitting = (max(step, int(side) // step * step) for side, step in zip(room, stride, strict=True))
    return tuple(map(min, planned.size, fitting))


def check_spacing(planned: Planned, scans: Sequence[Scan]) -> None:
    """Raise DataError unless every scan has the plans' spacing."""
    wanted = planned.spacing_mm
    others = Counter(scan.spacing_mm for scan in scans if not np.allclose(scan.spacing_mm, wanted, SPACING_TOLERANCE))
    if others:
        (commonest, _), count = others.most_common(1)[0], others.total()
        raise DataError(
            f"the plans want voxels of {millimetres(wanted)}, but {count} of {many(len(scans), 'scan')} have others, "
            "such as "
            f"{millimetres(commonest)}; prepare the scans with --spacing {' '.join(f'{step:g}' for step in wanted)}"
        )


def check_channels(planned: Planned, scans: Sequence[Scan]) -> None:
    """Raise DataError unless the scans have one channel or the plans' number; `export` adapts a network of one."""
    num = len(planned.schemes)
    if wrong := [scan for scan in scans if scan.shape[0] not in (1, num)]:
        raise DataError(
            f"the plans are for images of {many(num, 'channel')}, but scan {wrong[0].id} has {wrong[0].shape[0]}; "
            "prepare "
            f"scans of one channel{f' or of {num}' if num > 1 else ''}"
        )


def millimetres(spacing_mm: tuple[float, ...]) -> str:
    """Write a spacing in words."""
    return " x ".join(f"{step:g}" for step in spacing_mm) + " mm"
