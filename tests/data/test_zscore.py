"""The z-score as an intensity: nnU-Net's numbers, within its range, from what the manifest says."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from modelsgenesis.commands.prepare import prepare
from modelsgenesis.core.errors import DataError
from modelsgenesis.data.intensity import ZScore
from modelsgenesis.data.intensity_statistics import moments_of, sample_of, summarise
from modelsgenesis.data.store.scan import Scan
from modelsgenesis.data.store.store import Store


def head() -> np.ndarray:
    """An image of whole numbers with a wide border of zeros, and a few inside."""
    rng = np.random.default_rng(5)
    image = np.zeros((40, 36, 30), np.int16)
    image[8:30, 6:30, 5:25] = rng.integers(40, 400, (22, 24, 20))
    image[8:12, 6:10, 5:25] = 0
    image[8, 6, 5] = 40
    return image


def nnunet_zscore(image: np.ndarray, *, masked: bool) -> np.ndarray:
    """What nnU-Net feeds, re-derived: cropped to the box of what is not 0, less the mean, over the deviation."""
    box = image[8:30, 6:30, 5:25].astype(np.float32)
    counted = box[box != 0] if masked else box
    return (box - counted.mean()) / counted.std()


@pytest.mark.parametrize("masked", [False, True])
def test_scaled_values_are_the_z_score_within_the_range(masked: bool) -> None:
    """low + (high - low) * scaled is nnU-Net's z-score wherever that lies in the range, and its ends elsewhere."""
    image, intensity = head(), ZScore(-1.0, 1.2, masked=masked)
    scaled = intensity.scale(image[np.newaxis], summarise(image, sample_of(image), "MR"))[0, 8:30, 6:30, 5:25]
    expected = np.clip(nnunet_zscore(image, masked=masked), -1.0, 1.2)
    np.testing.assert_allclose(-1.0 + 2.2 * scaled, expected, atol=1e-4)


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
