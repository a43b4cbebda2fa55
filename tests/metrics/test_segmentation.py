"""Overlap, surfaces and volumes of two masks, against their formulas written out."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from modelsgenesis.core.errors import ShapeError
from modelsgenesis.metrics.segmentation import Agreement, agreement

SIZE = (9, 8, 7)
SPACING = (0.7, 1.5, 3.0)
SEEDS = st.integers(0, 2**32 - 1)


def blob(seed: int, size: tuple[int, ...] = SIZE) -> np.ndarray:
    """A made-up mask of a few lumps, never empty."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.standard_normal(size), 1.0)
    return smooth > np.quantile(smooth, rng.uniform(0.5, 0.95))


def compare(one: np.ndarray, other: np.ndarray, tolerance_mm: float = 1.0, **settings: object) -> Agreement:
    """Agreement at the spacing of this file."""
    return agreement(one, other, spacing_mm=SPACING, tolerance_mm=tolerance_mm, **settings)  # type: ignore[arg-type]


def hausdorff_95(one: np.ndarray, other: np.ndarray) -> float:
    """The greater 95th percentile from edge voxels to edge voxels, with no border of the image taken for tissue."""
    edges = [mask & ~ndimage.binary_erosion(mask) for mask in (one, other)]
    far = [ndimage.distance_transform_edt(~edge, sampling=SPACING) for edge in edges]
    return max(float(np.percentile(far[1][edges[0]], 95)), float(np.percentile(far[0][edges[1]], 95)))


@settings(max_examples=30, deadline=None)
@given(SEEDS, SEEDS)
def test_numbers_are_their_formulas(one_seed: int, other_seed: int) -> None:
    """Dice and IoU by counting, the Hausdorff distance by a distance transform, volumes by the voxel's."""
    one, other = blob(one_seed), blob(other_seed)
    found = compare(one, other)
    both, voxel_ml = (one & other).sum(), 0.7 * 1.5 * 3.0 / 1000
    assert found.dice == pytest.approx(2 * both / (one.sum() + other.sum()), abs=1e-6)
    assert found.iou == pytest.approx(both / (one | other).sum(), abs=1e-6)
    assert found.hd95_mm == pytest.approx(hausdorff_95(one, other), abs=1e-4)
    assert found.truth_ml == pytest.approx(other.sum() * voxel_ml)
    assert found.predicted_ml == pytest.approx(one.sum() * voxel_ml)
    assert found.difference_ml == pytest.approx((float(one.sum()) - float(other.sum())) * voxel_ml)
    assert found.difference_percent == pytest.approx(100 * (one.sum() / other.sum() - 1))


@settings(max_examples=20, deadline=None)
@given(SEEDS, SEEDS, st.floats(0.1, 20))
def test_overlaps_and_distance_do_not_mind_which_is_the_truth(one: int, other: int, tolerance_mm: float) -> None:
    """All four are symmetric; only the volumes have a direction."""
    forth, back = compare(blob(one), blob(other), tolerance_mm), compare(blob(other), blob(one), tolerance_mm)
    for name in ("dice", "iou", "surface_dice", "hd95_mm"):
        assert getattr(forth, name) == pytest.approx(getattr(back, name), abs=1e-5)
    assert forth.difference_ml == pytest.approx(-back.difference_ml)


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_a_mask_agrees_with_itself(seed: int) -> None:
    """Overlaps 1, distance 0, whatever the mask and however strict the tolerance."""
    mask = blob(seed)
    found = compare(mask, mask, 0.0)
    assert (found.dice, found.iou, found.surface_dice, found.hd95_mm) == (1, 1, 1, 0)
    assert found.difference_ml == found.difference_percent == 0


@settings(max_examples=20, deadline=None)
@given(SEEDS, SEEDS, st.tuples(*[st.integers(0, 4)] * 3))
def test_background_around_changes_nothing(one: int, other: int, more: tuple[int, int, int]) -> None:
    """The crop to where there is something is not to be seen in the numbers."""
    wider = [np.pad(blob(seed), [(each, 4 - each) for each in more]) for seed in (one, other)]
    assert vars(compare(blob(one), blob(other))) == pytest.approx(vars(compare(*wider)), nan_ok=True)


def test_a_shift_is_measured_in_millimetres() -> None:
    """One voxel of 3 mm along z is 3 mm; within a tolerance of 3 mm the surfaces agree, within 2.9 mm not."""
    truth = np.zeros((20, 20, 20), bool)
    truth[4:16, 4:16, 4:10] = True
    moved = np.roll(truth, 1, axis=2)
    assert compare(moved, truth).hd95_mm == pytest.approx(3.0)
    assert compare(moved, truth, 3.0).surface_dice == pytest.approx(1.0)
    assert compare(moved, truth, 2.9).surface_dice < 0.9


def test_surface_dice_is_a_share_of_area() -> None:
    """Of a box that is one end too long, the area of that end and of the sides there is what disagrees."""
    truth = np.zeros((48, 48, 48), bool)
    truth[8:40, 8:40, 8:24] = True
    longer = truth.copy()
    longer[8:40, 8:40, 24:34] = True  # 10 voxels too long
    found = agreement(longer, truth, spacing_mm=(1.0, 1.0, 1.0), tolerance_mm=1.0).surface_dice
    side, high, low, tolerance = 32, 26, 16, 1.0
    area_truth, area_longer = 2 * side**2 + 4 * side * low, 2 * side**2 + 4 * side * high
    wrong_truth = (side - 2 * tolerance) ** 2  # its upper end, away from the sides of the longer one
    wrong_longer = side**2 + 4 * side * (high - low - tolerance)
    expected = 1 - (wrong_truth + wrong_longer) / (area_truth + area_longer)
    assert found == pytest.approx(expected, abs=0.02)  # a surface through voxels has bevelled edges


def test_two_empty_masks_are_undefined_or_perfect() -> None:
    """By default no number; with the option 1 and 0 mm. The volumes are 0, a share of nothing is undefined."""
    nothing = np.zeros(SIZE, bool)
    undefined, perfect = compare(nothing, nothing), compare(nothing, nothing, empty="perfect")
    assert all(math.isnan(each) for each in (undefined.dice, undefined.iou, undefined.surface_dice, undefined.hd95_mm))
    assert (perfect.dice, perfect.iou, perfect.surface_dice, perfect.hd95_mm) == (1, 1, 1, 0)
    assert undefined.truth_ml == undefined.predicted_ml == undefined.difference_ml == 0
    assert math.isnan(undefined.difference_percent)


@pytest.mark.parametrize("empty", ["undefined", "perfect"])
@pytest.mark.parametrize("of_truth", [True, False])
def test_one_empty_mask_is_the_worst_prediction(of_truth: bool, empty: str) -> None:
    """Overlaps are 0 and the distance is the diagonal of the image, whichever is empty and whatever two are worth."""
    mask, nothing = blob(3), np.zeros(SIZE, bool)
    found = compare(*((mask, nothing) if of_truth else (nothing, mask)), empty=empty)
    assert (found.dice, found.iou, found.surface_dice) == (0, 0, 0)
    assert found.hd95_mm == pytest.approx(math.hypot(9 * 0.7, 8 * 1.5, 7 * 3.0))
    assert math.isnan(found.difference_percent) if of_truth else found.difference_percent == -100


def test_other_shapes_are_refused() -> None:
    """Masks of two grids are no pair; nor is a spacing of two axes for three."""
    with pytest.raises(ShapeError, match="two masks of one shape"):
        compare(np.ones((2, 3, 4)), np.ones((2, 3, 5)))
    with pytest.raises(ShapeError, match="a spacing for each axis"):
        agreement(np.ones(SIZE), np.ones(SIZE), spacing_mm=(1.0, 1.0), tolerance_mm=1.0)
