"""The way back gives what resampling the whole volume gives, on the very voxels of the file."""

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modelsgenesis.data.resampling import resample
from modelsgenesis.data.volume import Geometry
from modelsgenesis.inference.resample_to_source import axes_back, make_axis, resample_to_source

AXES = st.permutations([0, 1, 2])
SIGNS = st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3)
SPACING = st.tuples(*[st.sampled_from([0.7, 1.0, 1.5, 2.2, 4.1])] * 3)


def turned(axes: list[int], signs: tuple[float, ...], degrees: float = 0.0) -> list[float]:
    """A direction: axes in some order, some against LPS, all turned by an angle."""
    a = np.radians(degrees)
    tilt = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    return list((tilt @ np.eye(3)[:, axes] * np.array(signs)).ravel())


def geometry_of(image: sitk.Image) -> Geometry:
    """Where an image's voxels lie."""
    return Geometry(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())


def grids(
    axes: list[int], signs: tuple[float, ...], degrees: float, spacing_mm: tuple[float, ...]
) -> tuple[sitk.Image, sitk.Image]:
    """A file's image, and noise on the grid that a network sees."""
    file = sitk.Image((13, 10, 9), sitk.sitkFloat32)
    file.SetSpacing((1.5, 2.0, 3.0))
    file.SetOrigin((5.0, -7.0, 11.0))
    file.SetDirection(turned(axes, signs, degrees))
    geometry = geometry_of(file)
    seen = resample(file, tuple(spacing_mm[geometry.order.index(axis)] for axis in range(3)), 10**6)
    noise = np.random.default_rng(0).random(seen.GetSize()[::-1], np.float32)
    values = sitk.GetImageFromArray(noise)
    values.CopyInformation(seen)
    return file, values


@settings(max_examples=40, deadline=None)
@given(axes=AXES, signs=SIGNS, degrees=st.sampled_from([0.0, 7.0]), spacing_mm=SPACING, rows=st.integers(1, 9))
def test_way_back_is_that_of_the_whole_volume(
    axes: list[int], signs: tuple[float, ...], degrees: float, spacing_mm: tuple[float, float, float], rows: int
) -> None:
    """However file and grid lie, streaming gives SimpleITK's linear interpolation at the file's own voxels, to 1e-5."""
    file, values = grids(axes, signs, degrees, spacing_mm)
    geometry, seen = geometry_of(file), geometry_of(values)
    interpolator = sitk.ResampleImageFilter()
    interpolator.SetReferenceImage(file)
    interpolator.SetInterpolator(sitk.sitkLinear)
    interpolator.UseNearestNeighborExtrapolatorOn()
    wanted = geometry.to_lps(sitk.GetArrayFromImage(interpolator.Execute(values)).T)
    lps = torch.from_numpy(np.ascontiguousarray(seen.to_lps(sitk.GetArrayFromImage(values).T)))[None]
    spacing = [seen.spacing_mm[axis] for axis in seen.order]
    back = torch.cat(
        list(resample_to_source(lps.split(rows, dim=1), axes_back(lps.shape[1:], spacing, geometry))), dim=1
    )
    np.testing.assert_allclose(back[0].numpy(), wanted, atol=1e-5)


def test_same_grid_passes_untouched() -> None:
    """Without resampling the rows go through as they are, whatever the file's axes."""
    geometry = Geometry((6, 5, 4), (1.5, 2.0, 3.0), (0, 0, 0), tuple(turned([2, 0, 1], (-1, 1, -1))))
    size = tuple(geometry.size[axis] for axis in geometry.order)
    spacing = [geometry.spacing_mm[axis] for axis in geometry.order]
    axes = axes_back(size, spacing, geometry)
    assert all(axis.is_identity for axis in axes)
    (part,) = resample_to_source([rows := torch.rand(2, *size)], axes)
    assert part is rows


@settings(max_examples=40, deadline=None)
@given(
    size=st.integers(1, 40), step=st.floats(0.3, 5), wanted=st.integers(1, 40), wanted_step=st.floats(0.3, 5),
    flipped=st.booleans(),
)  # fmt: skip
def test_axis_keeps_within_its_voxels(size: int, step: float, wanted: int, wanted_step: float, flipped: bool) -> None:
    """Neighbours lie inside, in order, and shares in [0, 1): probabilities stay probabilities."""
    axis = make_axis(size, step, wanted, wanted_step, flipped=flipped)
    assert len(axis.low) == len(axis.high) == len(axis.share) == wanted
    assert int(axis.low.min()) >= 0
    assert int(axis.high.max()) < size
    assert (axis.low.diff() >= 0).all()
    assert ((axis.high - axis.low) <= 1).all()
    assert ((axis.share >= 0) & (axis.share <= 1)).all()


@pytest.mark.parametrize("rows", [1, 3])
def test_few_rows_are_held(rows: int) -> None:
    """Of a grid much coarser than the file, and much finer, each part gives its rows at once."""
    for size, wanted in ((10, 100), (100, 10)):
        axis = make_axis(size, 100 / size, wanted, 100 / wanted)
        same = make_axis(2, 1.0, 2, 1.0)
        given = 0

        def parts(size: int = size) -> object:
            nonlocal given
            for _ in range(0, size, rows):
                given += 1
                yield torch.zeros(1, min(rows, size), 2, 2)

        first = next(resample_to_source(parts(), (axis, same, same)))  # type: ignore[arg-type]
        assert first.shape[1] <= 8
        assert given <= 8
