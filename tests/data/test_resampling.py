"""Resampling: voxels that grow are averages, and whole numbers are rounded, not cut."""

import numpy as np
import pytest
import SimpleITK as sitk

from modelsgenesis.data.resampling import resample, straighten


def image_of(kind: type, high: int) -> sitk.Image:
    """Numbers from the least that the type and `high` allow up to `high`."""
    low = max(-high, int(np.iinfo(kind).min))
    values = np.random.default_rng(0).integers(low, high, (6, 7, 8), endpoint=True).astype(kind)
    return sitk.GetImageFromArray(values)


@pytest.mark.parametrize(
    ("kind", "high"), [(np.int8, 100), (np.uint8, 255), (np.int16, 3000), (np.uint16, 60000), (np.int32, 2**28)]
)
@pytest.mark.parametrize("spacing_mm", [(0.6, 0.7, 0.8), (1.5, 0.5, 1.3)])
def test_whole_numbers_are_rounded(kind: type, high: int, spacing_mm: tuple[float, float, float]) -> None:
    """As numbers with fractions come out, to the nearest; ITK alone cuts the fraction off, a bias towards zero."""
    image = image_of(kind, high)
    ours = sitk.GetArrayFromImage(resample(image, spacing_mm, 10**6))
    exact = sitk.GetArrayFromImage(resample(sitk.Cast(image, sitk.sitkFloat64), spacing_mm, 10**6))
    assert ours.dtype == kind
    assert np.abs(ours - exact).max() <= 0.5 + 1e-3
    assert abs(float((ours - exact).mean())) < 0.03
    assert (ours != np.trunc(exact)).any()


@pytest.mark.parametrize(
    ("own_mm", "wanted_mm", "times"), [(1.0, 4.0, 4), (0.4, 1.2, 3), (float(np.float32(0.4)), 1.2, 3)]
)
def test_a_voxel_that_is_whole_times_as_long_is_the_mean_of_those_in_it(
    own_mm: float, wanted_mm: float, times: int
) -> None:
    """All of them count, so that no pattern finer than the new grid shows on it; tolerance 1e-6.

    Also where 1.2 mm by 0.4 mm makes 2.9999999999999996 steps.
    """
    values = np.random.default_rng(0).random((2 * times, 3 * times, 4 * times)).astype(np.float32)
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((own_mm,) * 3)
    coarse = sitk.GetArrayFromImage(resample(image, (wanted_mm,) * 3, 10**6))
    means = values.reshape(2, times, 3, times, 4, times).mean(axis=(1, 3, 5))
    np.testing.assert_allclose(coarse, means, atol=1e-6)


def test_straightened_slices_get_no_row_that_holds_nothing() -> None:
    """Five steps of 0.14 mm shift the last slice by one row of 0.7 mm, whatever the last digit says."""
    image = sitk.Cast(image_of(np.int16, 3000), sitk.sitkFloat32)
    image.SetSpacing((0.7, 0.7, 1.0))
    assert straighten(image, (0.0, 0.14, 1.0)).GetSize() == (8, 7 + 1, 6)


def test_straightened_whole_numbers_are_rounded() -> None:
    """A tilted gantry's slices, too."""
    image = image_of(np.int16, 3000)
    step_mm = (0.0, 0.37, 1.0)
    ours = sitk.GetArrayFromImage(straighten(image, step_mm))
    exact = sitk.GetArrayFromImage(straighten(sitk.Cast(image_of(np.int16, 3000), sitk.sitkFloat64), step_mm))
    assert ours.dtype == np.int16
    assert np.abs(ours - exact).max() <= 0.5 + 1e-3
