"""The z-score as an intensity: nnU-Net's numbers, within its range, from what the manifest says."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from modelsgenesis.commands.prepare import prepare
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.data.channels import read_image
from modelsgenesis.data.images import Reading
from modelsgenesis.data.images import scaled as rescaled
from modelsgenesis.data.intensity import ZScore
from modelsgenesis.data.intensity_statistics import moments_of, sample_of, summarise
from modelsgenesis.data.sampling.cubes import CubeSampler, CubeSpec
from modelsgenesis.data.sources import find_sources
from modelsgenesis.data.store.scan import Scan
from modelsgenesis.data.store.store import Store


def head() -> np.ndarray:
    """An image of whole numbers with a wide border of zeros, a bay of them, and a hole."""
    rng = np.random.default_rng(5)
    image = np.zeros((40, 36, 30), np.int16)
    image[8:30, 6:30, 5:25] = rng.integers(40, 400, (22, 24, 20))
    image[8:12, 6:10, 5:25] = 0
    image[8, 6, 5] = 40
    image[14:20, 14:20, 10:16] = 0
    return image


def nnunet_zscore(image: np.ndarray, *, masked: bool) -> np.ndarray:
    """What nnU-Net feeds, re-derived: of the box of what is not 0, less the mean, over the deviation.

    Masked, all three are of what is not 0 in some channel, its holes filled, and the rest stays 0. The package's
    crop_to_nonzero and ZScoreNormalization (nnunetv2 2.8.1) give these numbers for these images to 1e-5.

    Args:
        image: (C, X, Y, Z).
        masked: `use_mask_for_norm`.
    """
    mask = ndimage.binary_fill_holes((image != 0).any(axis=0))
    if not masked:
        mask[ndimage.find_objects(mask.astype(np.uint8))[0]] = True
    fed = image.astype(np.float32)
    for channel in fed:
        channel[mask] = (channel[mask] - channel[mask].mean()) / channel[mask].std()
    return fed if masked else np.where(mask, fed, np.nan)


@pytest.mark.parametrize("masked", [False, True])
def test_scaled_values_are_the_z_score_within_the_range(masked: bool) -> None:
    """low + (high - low) * scaled is nnU-Net's z-score wherever that lies in the range, and its ends elsewhere."""
    image, intensity = head()[np.newaxis], ZScore(-1.0, 1.2, masked=masked)
    fed = -1.0 + 2.2 * intensity.scale(image, summarise(image, sample_of(image), "MR"))
    expected = np.clip(nnunet_zscore(image, masked=masked), -1.0, 1.2)
    np.testing.assert_allclose(fed[~np.isnan(expected)], expected[~np.isnan(expected)], atol=1e-4)


def test_mask_is_that_of_all_channels_and_the_numbers_each_channels_own() -> None:
    """A voxel that is 0 in one channel counts where another channel is not 0; images as checkpoints are fed."""
    image = np.stack([head(), 3 * head()])
    image[1, 2:9, 10:20, 10:20] = 77
    values, limits = ZScore(-9.0, 9.0, masked=True).measured(image)
    np.testing.assert_allclose(-9 + 18 * rescaled(values, limits), nnunet_zscore(image, masked=True), atol=1e-5)


def test_cubes_know_the_mask_of_their_whole_scan(tmp_path: Path) -> None:
    """A hole that a cube cuts through is no outside, and an empty corner is nnU-Net's 0, wherever the cube lies."""
    (tmp_path / "scans").mkdir()
    sitk.WriteImage(sitk.GetImageFromArray(head().transpose(2, 1, 0)), tmp_path / "scans" / "head.nii.gz")
    store = Store.open(prepare(tmp_path / "scans", tmp_path / "store", modality="MR", quiet=True))
    whole = nnunet_zscore(store.read(store.scans[0], (0, 0, 0), (40, 36, 30)), masked=True)
    sampler = CubeSampler(store, CubeSpec((8, 8, 8), ZScore(-9.0, 9.0, masked=True), "anywhere"))
    for index in range(40):
        cube = sampler.sample(generator_for(0, index))
        x, y, z = (slice(low, low + 8) for low in cube.lower)
        np.testing.assert_allclose(-9 + 18 * cube.image, whole[:, x, y, z], atol=1e-4)


def test_a_case_is_read_as_a_checkpoint_of_masked_plans_was_fed(tmp_path: Path) -> None:
    """Two files, a mask of both; what lies outside is the brain's mean."""
    files = []
    for number, image in enumerate((head(), head().clip(0, 300))):
        files.append(tmp_path / f"{number}.nii.gz")
        sitk.WriteImage(sitk.GetImageFromArray(image.transpose(2, 1, 0)), files[-1])
    sources = [find_sources(file)[0][0] for file in files]
    image = read_image(sources, Reading(ZScore(-9.0, 9.0, masked=True)))
    turned = np.stack([sitk.GetArrayFromImage(sitk.ReadImage(file)).T for file in files])
    np.testing.assert_allclose(-9 + 18 * image.scaled(), nnunet_zscore(turned, masked=True), atol=1e-5)


def test_moments_of_a_large_volume_come_from_a_sample_of_it() -> None:
    """Mean, deviation and zeros of many voxels are near the exact ones."""
    image = np.random.default_rng(0).normal(100, 20, (160, 150, 140)).astype(np.float32)
    image[:20] = 0
    image[20:, :30, :60] = 0
    mean, std, zeros = moments_of(image)
    box = image[20:]
    assert mean == pytest.approx(box.mean(), rel=0.02)
    assert std == pytest.approx(box.std(), rel=0.02)
    assert zeros == pytest.approx((box == 0).mean(), rel=0.05)


def test_enclosed_zeros_are_not_outside() -> None:
    """The share of zeros, of which the masked mean follows, counts no hole."""
    image = head()[8:30, 6:30, 5:25]
    assert moments_of(image)[2] == pytest.approx((4 * 4 * 20 - 1) / image.size)


def test_a_speck_that_thinning_misses_still_has_moments() -> None:
    """A volume that is zero but for one voxel is described by that voxel's box, or by the whole, never by nothing."""
    image = np.zeros((130, 130, 130), np.int16)
    image[1, 1, 1] = 7
    assert moments_of(image) == (7.0, 0.0, 0.0)


def test_manifest_keeps_the_moments(tmp_path: Path) -> None:
    """What was measured when the scan was prepared is what a store gives."""
    (tmp_path / "scans").mkdir()
    image = head()
    sitk.WriteImage(sitk.GetImageFromArray(image.transpose(2, 1, 0)), tmp_path / "scans" / "head.nii.gz")
    scan = Store.open(prepare(tmp_path / "scans", tmp_path / "store", modality="MR", quiet=True)).scans[0]
    assert (scan.mean, scan.std, scan.zeros) == pytest.approx(moments_of(image), rel=1e-12)


def test_older_stores_are_read_but_have_no_z_score(tmp_path: Path) -> None:
    """A manifest without the columns is read; asking for the z-score says to prepare again."""
    image = head()
    (tmp_path / "scans").mkdir()
    sitk.WriteImage(sitk.GetImageFromArray(image), tmp_path / "scans" / "head.nii.gz")
    scan = Store.open(prepare(tmp_path / "scans", tmp_path / "store", modality="MR", quiet=True)).scans[0]
    row = {name: text for name, text in scan.to_row().items() if name not in ("mean", "std", "zeros")}
    old = Scan.from_row(row)
    assert old == replace(scan, mean=0.0, std=0.0, zeros=0.0)
    with pytest.raises(DataError, match="prepare them again"):
        ZScore().limits(old)


def test_range_must_rise() -> None:
    """A range upside down is refused."""
    with pytest.raises(DataError, match="rise"):
        ZScore(2.0, -2.0)


def test_asking_for_the_spacing_there_is_changes_no_value(tmp_path: Path) -> None:
    """Integers would lose up to a grey level to an interpolation that moves nothing."""
    values = np.random.default_rng(1).integers(1, 255, (30, 31, 32)).astype(np.uint8)
    image = sitk.GetImageFromArray(values)
    image.SetOrigin((0.1, -7.3, 11.7))
    (tmp_path / "scans").mkdir()
    sitk.WriteImage(image, tmp_path / "scans" / "head.nii.gz")
    store = Store.open(prepare(tmp_path / "scans", tmp_path / "store", spacing=(1, 1, 1), modality="MR", quiet=True))
    there = store.read(store.scans[0], (0, 0, 0), store.scans[0].size)
    assert np.array_equal(np.sort(there, axis=None), np.sort(values, axis=None))
