"""Numbers as the store keeps them, and what follows from the values of a scan."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.data.scan_files import make_ct

from modelsgenesis.commands.prepare import prepare
from modelsgenesis.data.intensity_statistics import guess_modality, refuse_labels, sample_of, summarise
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.store.scan import choose_encoding
from modelsgenesis.data.store.store import Store

FINITE = st.floats(-1e30, 1e30).filter(lambda value: value == 0 or abs(value) > 1e-30)


@given(FINITE, FINITE)
def test_float16_never_overflows_and_keeps_precision(one: float, other: float) -> None:
    """Whatever the range, from 1e-30 to 1e30: no infinity, and an error under a thousandth of the range."""
    low, high = min(one, other), max(one, other)
    if high - low < 1e-6 * max(abs(low), abs(high)) or high - low < 1e-30:
        return
    values = np.linspace(low, high, 200, dtype=np.float64)
    encoding = choose_encoding("MR", low, high)
    stored = encoding.encode(values)
    assert stored.dtype == np.float16
    assert np.isfinite(stored).all()
    back = stored.astype(np.float64) * encoding.slope + encoding.intercept
    assert np.abs(back - values).max() <= (high - low) / 1000


def test_outlier_does_not_cost_the_rest_its_precision() -> None:
    """One voxel at 1.7e6 among hundreds leaves these with eleven bits."""
    values = np.array([0, 3.25, 112, 500.5, 1.7e6])
    encoding = choose_encoding("MR", 0, 1.7e6)
    back = encoding.encode(values).astype(np.float64) * encoding.slope
    np.testing.assert_allclose(back, values, rtol=2**-11)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16, np.float32])
def test_ct_is_rounded_to_int16(dtype: type) -> None:
    """From every type a file may have."""
    values = np.array([0, 1, 100], dtype)
    np.testing.assert_array_equal(choose_encoding("CT", 0, 100).encode(values), np.array([0, 1, 100], np.int16))
    rounded = choose_encoding("CT", -1000.4, 3000).encode(np.array([-1000.4, 3000], np.float32))
    np.testing.assert_array_equal(rounded, np.array([-1000, 3000], np.int16))


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([-1000, 0, 3071], "int16"),
        ([-33792, -1000, 0, 3071], "int16"),  # padding -32,768 with intercept -1,024
        ([-40, 0, 50400], "int16"),  # signed 16 bits times a slope of 40
        ([0, 1000, 65535], "int16"),
        ([-1000, 0, 65535], "float32"),
        ([-1e6, -1000.5, 1e6], "float32"),
        ([0.0, 0.25, 0.5], "float16"),  # no HU, whatever the header says
    ],
)
def test_ct_comes_back_whatever_its_range(tmp_path: Path, values: list[float], dtype: str) -> None:
    """The true range chooses the encoding; nothing wraps around, and nothing is clipped."""
    grid = np.resize(np.array(values, np.float32), (8, 8, 8))
    nib.save(nib.Nifti1Image(grid, np.eye(4)), tmp_path / "a.nii")
    (tmp_path / "scans.csv").write_text("image,modality\na.nii,CT\n")
    store = Store.open(prepare(tmp_path / "scans.csv", tmp_path / "store", workers=0, quiet=True))
    (scan,) = store.scans
    assert scan.dtype == dtype
    back = store.read(scan, (0, 0, 0), (8, 8, 8))[0]
    np.testing.assert_array_equal(np.sort(back, axis=None), np.sort(grid, axis=None))


def test_padding_of_the_least_float_costs_the_rest_nothing(tmp_path: Path) -> None:
    """Values from 0 to 511 beside -3.4e38 are not flushed to 0."""
    grid = np.arange(512, dtype=np.float32).reshape(8, 8, 8)
    grid[:3] = -3.4e38
    nib.save(nib.Nifti1Image(grid, np.eye(4)), tmp_path / "a.nii")
    (tmp_path / "scans.csv").write_text("image,modality\na.nii,MR\n")
    store = Store.open(prepare(tmp_path / "scans.csv", tmp_path / "store", workers=0, quiet=True))
    (scan,) = store.scans
    back = store.read(scan, (0, 0, 0), (8, 8, 8))[0]
    np.testing.assert_array_equal(np.sort(back, axis=None), np.sort(grid, axis=None))


def test_modality_is_guessed_from_values() -> None:
    """CT reaches far below zero, MRI never does, and a z-scored image is neither."""
    assert guess_modality(np.array([-1024, 0, 900])) == "CT"
    assert guess_modality(np.array([0, 50, 900])) == "MR"
    assert guess_modality(np.array([-2.5, 0, 3.1])) == "unknown"


@pytest.mark.parametrize("values", [[0, 1], [0, 1, 2, 500, 501], list(range(32))])
def test_few_whole_numbers_are_labels(values: list[int]) -> None:
    """Of any type, whatever the name."""
    for dtype in (np.uint16, np.int32, np.float32):
        sample = np.sort(np.resize(np.array(values, dtype), 5000))
        with pytest.raises(UnreadableError, match="a label map"):
            refuse_labels(sample, Path("image.nii.gz"))


def test_names_tell_labels_only_with_values_that_agree() -> None:
    """117 organs under a name that says so are labels; a scan in a folder called masks is none."""
    organs = np.sort(np.resize(np.arange(118), 50000))
    with pytest.raises(UnreadableError, match="called 'labels'"):
        refuse_labels(organs, Path("labels/a.nii.gz"))
    refuse_labels(organs, Path("images/a.nii.gz"))
    refuse_labels(np.sort(make_ct(), axis=None), Path("masks/a.nii.gz"))
    refuse_labels(np.linspace(0, 1, 5000), Path("seg.nii.gz"))


def test_foreground_leaves_out_air_and_padding() -> None:
    """Percentiles of a CT whose corners hold -2048 are those of the body."""
    values = np.concatenate([np.full(5000, -2048), np.full(3000, -1000), np.linspace(-800, 400, 2000)]).astype(np.int16)
    summary = summarise(values, np.sort(values), "CT")
    assert summary.minimum == -2048
    assert -1000 < summary.foreground < -850
    assert summary.percentiles[0] == -800
    assert summary.percentiles[100] == 400


def test_sample_is_bounded_and_spread() -> None:
    """At most a million voxels of any volume, its percentiles near the whole's."""
    values = np.broadcast_to(np.arange(300, dtype=np.int16)[:, None, None], (300, 200, 100))[None]
    sample = sample_of(values)
    assert 100_000 < sample.size <= 1_000_000
    assert abs(np.median(sample) - 150) <= 3
