"""Resampling: voxels that grow are averages, whole numbers are rounded, not cut, and sheared axes are straightened."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from modelsgenesis.core.labels import Label
from modelsgenesis.data.case import Case
from modelsgenesis.data.entries import one_source
from modelsgenesis.data.formats.base.itk import placed
from modelsgenesis.data.images import farthest_corner_voxels
from modelsgenesis.data.masks import read_classes
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.reading import read_volume
from modelsgenesis.data.resampling import resample, straighten
from modelsgenesis.data.sources import Source
from modelsgenesis.data.volume import Geometry
from modelsgenesis.data.writing import write_mask
from modelsgenesis.targets.segmentation import Segmentation


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


SIDES, STEPS_MM = (30, 32, 14), (0.8, 0.9, 2.5)


def tilted(degrees: float, order: tuple[int, ...]) -> Geometry:
    """A stack whose slices each lie further back than the one below, its axes in some order in the file."""
    a = np.radians(degrees)
    frame = np.array([[1, 0, 0], [0, 1, np.sin(a)], [0, 0, np.cos(a)]])[:, order]
    size, spacing = (tuple(numbers[axis] for axis in order) for numbers in (SIDES, STEPS_MM))
    return Geometry(size, spacing, (-12.0, 5.0, 40.0), tuple(frame.ravel().tolist()))


def depth_mm(geometry: Geometry) -> np.ndarray:
    """How far back each voxel of a file lies."""
    index = np.stack(np.meshgrid(*map(np.arange, geometry.size), indexing="ij"), axis=-1)
    lps: np.ndarray = (index * geometry.spacing_mm) @ geometry.frame.T + geometry.origin_mm
    return lps[..., 1]


def write_tilted(path: Path, geometry: Geometry) -> Source:
    """A sheared scan whose values are tenths of a millimetre from front to back."""
    values = (10 * depth_mm(geometry)).astype(np.float32)
    if path.name.endswith(".nii.gz"):
        affine = np.eye(4)
        affine[:3] = np.diag([-1, -1, 1]) @ np.column_stack([geometry.frame * geometry.spacing_mm, geometry.origin_mm])
        image = nib.Nifti1Image(values, affine)
        image.set_sform(affine, 1)
        nib.save(image, path)
    else:
        sitk.WriteImage(placed(sitk.GetImageFromArray(np.ascontiguousarray(values.T)), geometry), str(path))
    return one_source(path, path.parent)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
def test_sheared_axes_are_straightened_and_masks_come_back(ending: str, order: tuple[int, ...], tmp_path: Path) -> None:
    """Values lie where the header says, slices stay slices, and a mask lies on the sheared voxels of its image."""
    sheared = tilted(12, order)
    source = write_tilted(tmp_path / f"a{ending}", sheared)
    volume = read_volume(source)
    assert volume.notes == (
        "its axes miss right angles by 12 degrees, as of a tilted gantry; straightened by resampling",
    )
    np.testing.assert_allclose(volume.spacing_mm, (0.8, 0.9, 2.5 * np.cos(np.radians(12))), rtol=1e-5)
    meant = 10 * volume.geometry.to_lps(depth_mm(volume.geometry))
    near = np.abs(volume.values[0] - meant) < 0.05
    assert near.mean() > np.prod(SIDES) / near.size * 0.93  # all but the corners that were filled, and their borders
    middle = float(np.median(volume.values))
    write_mask(
        tmp_path / f"mask{ending}",
        volume.geometry.from_lps((volume.values[0] > middle).astype(np.uint8)),
        volume.geometry,
        source,
    )
    truth = 10 * depth_mm(sheared) > middle
    if ending == ".nii.gz":
        image, mask = nib.load(source.path), nib.load(tmp_path / "mask.nii.gz")
        np.testing.assert_array_equal(image.header.get_sform(), mask.header.get_sform())
        brought = np.asarray(mask.dataobj)
    else:
        image, mask = (sitk.ReadImage(str(path)) for path in (source.path, tmp_path / f"mask{ending}"))
        np.testing.assert_allclose(image.GetDirection(), mask.GetDirection(), atol=1e-12)
        brought = sitk.GetArrayFromImage(mask).T
    assert (brought == truth).mean() > 0.985
    case = Case("a", (source,), (one_source(tmp_path / f"mask{ending}", tmp_path),))
    classes = read_classes(case, Segmentation((Label("back", (1,)),)).label_map, volume.geometry)
    assert set(np.unique(classes)) == {0, 1}
    assert (classes[0] == (volume.values[0] > middle)).mean() > 0.97


def test_sheared_nrrd_has_its_mask_in_nifti_too(tmp_path: Path) -> None:
    """By a sform of the sheared axes."""
    source = write_tilted(tmp_path / "a.nrrd", tilted(12, (0, 1, 2)))
    volume = read_volume(source)
    deep = volume.geometry.from_lps((volume.values[0] > 150).astype(np.uint8))
    write_mask(tmp_path / "mask.nii.gz", deep, volume.geometry, source)
    again = write_tilted(tmp_path / "b.nii.gz", tilted(12, (0, 1, 2)))
    np.testing.assert_allclose(nib.load(tmp_path / "mask.nii.gz").affine, nib.load(again.path).affine, atol=1e-5)
    assert np.asarray(nib.load(tmp_path / "mask.nii.gz").dataobj).shape == SIDES


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize(
    ("degrees", "told"), [(0.00001, ""), (0.001, ""), (0.01, "by 0.01 degrees"), (1, "by 1 degrees")]
)
def test_nearly_right_angles_are_taken_for_such(ending: str, degrees: float, told: str, tmp_path: Path) -> None:
    """No voxel is resampled where no corner moves by half a voxel, and the mask has the very axes of its image."""
    sheared = tilted(degrees, (0, 1, 2))
    source = write_tilted(tmp_path / f"a{ending}", sheared)
    volume = read_volume(source)
    assert bool(volume.notes) == bool(told)
    assert told in "".join(volume.notes)
    own = volume.geometry.from_lps(volume.values[0])
    np.testing.assert_allclose(own, 10 * depth_mm(sheared), atol=1e-2)
    assert volume.geometry.shear_degrees < 1e-4
    assert farthest_corner_voxels(sheared, volume.geometry) < 0.5
    write_mask(tmp_path / f"mask{ending}", (own > 150).astype(np.uint8), volume.geometry, source)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(tmp_path / f"mask{ending}"))
    if ending != ".nii.gz":
        reader.ReadImageInformation()
        np.testing.assert_allclose(reader.GetDirection(), sheared.direction, atol=1e-9)


def test_axes_that_cannot_be_meant_are_refused(tmp_path: Path) -> None:
    """A box ten times the scan is no straightening."""
    with pytest.raises(UnreadableError, match="miss a right angle by 60 degrees; correct its header"):
        read_volume(write_tilted(tmp_path / "a.nrrd", tilted(60, (0, 1, 2))))
