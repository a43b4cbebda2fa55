"""Reading: one volume in LPS from every format and orientation, and the way back."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from tests.data.scan_files import make_ct, make_image, write_ct

from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.reading import read_volume
from modelsgenesis.data.sources import find_sources

FORMATS = ("a.nii", "a.nii.gz", "a.nrrd", "a.nhdr", "a.mha", "a.mhd", "a.hdr")


def read(path: Path, **options: object):
    """Read the one scan of a path."""
    sources, problems = find_sources(path)
    assert problems == []
    (source,) = sources
    return read_volume(source, **options)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_volume(tmp_path: Path, name: str) -> None:
    """Values, spacing and axes are those that were written."""
    volume = read(write_ct(tmp_path / name, spacing_mm=(0.7, 0.8, 2.5)))
    np.testing.assert_array_equal(volume.values[0], make_ct())
    np.testing.assert_allclose(volume.spacing_mm, (0.7, 0.8, 2.5), rtol=1e-6)


@pytest.mark.parametrize("code", ["RAS", "LAS", "LPI", "SAR", "PIR", "ILA"])
def test_every_orientation_is_turned_to_lps_and_back(tmp_path: Path, code: str) -> None:
    """However the file's axes run, the volume is the same, and what is made of it finds its way back."""
    image = sitk.DICOMOrient(make_image(make_ct(), (1, 2, 3)), code)
    sitk.WriteImage(image, str(tmp_path / "a.nrrd"))
    volume = read(tmp_path / "a.nrrd")
    np.testing.assert_array_equal(volume.values[0], make_ct())
    assert volume.spacing_mm == (1, 2, 3)
    back = volume.geometry.from_lps(volume.values[0])
    np.testing.assert_array_equal(back.transpose(), sitk.GetArrayFromImage(image))


def test_turning_is_undone_for_all_orders_and_flips() -> None:
    """from_lps undoes to_lps for each of the 48 ways axes can run."""
    from modelsgenesis.data.volume import Geometry

    values = np.arange(24).reshape(2, 3, 4)
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            direction = np.zeros((3, 3))
            direction[order, range(3)] = signs
            geometry = Geometry((2, 3, 4), (1, 1, 1), (0, 0, 0), tuple(direction.ravel()))
            np.testing.assert_array_equal(geometry.from_lps(geometry.to_lps(values)), values)


def test_rescaled_nifti_is_in_hu(tmp_path: Path) -> None:
    """Slope and intercept of a NIfTI header are honoured."""
    import struct

    path = write_ct(tmp_path / "a.nii")
    data = bytearray(path.read_bytes())
    struct.pack_into("<2f", data, 112, 0.5, -24.0)
    path.write_bytes(data)
    np.testing.assert_allclose(read(path).values[0], make_ct() * 0.5 - 24.0, atol=1e-3)


def test_resampling_keeps_place_and_values(tmp_path: Path) -> None:
    """A ramp resampled to other voxels is the same ramp, its size in mm unchanged."""
    ramp = np.broadcast_to(np.arange(40, dtype=np.float32)[:, None, None] * 10, (40, 20, 20))
    sitk.WriteImage(make_image(ramp, (1, 1, 1)), str(tmp_path / "a.nrrd"))
    for spacing in ((2.0, 1.0, 1.0), (0.5, 2.0, 4.0), (1.3, 1.0, 1.0)):
        volume = read(tmp_path / "a.nrrd", spacing_mm=spacing)
        np.testing.assert_allclose(volume.spacing_mm, spacing)
        sides_mm = np.array(volume.values.shape[1:]) * spacing
        np.testing.assert_allclose(sides_mm, (40, 20, 20), atol=0.7 * max(spacing))
        centres = (np.arange(volume.values.shape[1]) + 0.5) * spacing[0] - 0.5
        inner = slice(2, -2)
        np.testing.assert_allclose(volume.values[0, inner, 2, 2], (centres * 10)[inner], atol=1e-2)


def test_resampling_follows_turned_axes(tmp_path: Path) -> None:
    """Spacing is given along X, Y, Z, whatever the order of the file's axes."""
    image = sitk.DICOMOrient(make_image(make_ct(), (1, 2, 3)), "SAR")
    sitk.WriteImage(image, str(tmp_path / "a.nrrd"))
    volume = read(tmp_path / "a.nrrd", spacing_mm=(2.0, 2.0, 2.0))
    assert volume.values.shape == (1, 12, 20, 27)


def test_plain_npy_is_read_with_a_note(tmp_path: Path) -> None:
    """A bare array has neither spacing nor orientation; a note says so."""
    np.save(tmp_path / "a.npy", make_ct().astype(np.float64))
    volume = read(tmp_path / "a.npy")
    np.testing.assert_array_equal(volume.values[0], make_ct())
    assert "1 mm" in volume.notes[0]


def test_oblique_scan_takes_the_nearest_axes_with_a_note(tmp_path: Path) -> None:
    """A scan turned by 20 degrees keeps its voxels."""
    image = make_image(make_ct())
    turn = np.radians(20)
    image.SetDirection([np.cos(turn), -np.sin(turn), 0, np.sin(turn), np.cos(turn), 0, 0, 0, 1])
    sitk.WriteImage(image, str(tmp_path / "a.nrrd"))
    volume = read(tmp_path / "a.nrrd")
    np.testing.assert_array_equal(volume.values[0], make_ct())
    assert "20 degrees" in volume.notes[0]


def test_too_large_a_claim_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    """The limit on voxels holds for resampling too."""
    path = write_ct(tmp_path / "a.nii.gz")
    (source,), _ = find_sources(path)
    with pytest.raises(UnreadableError, match="limit of 1000"):
        read_volume(source, max_voxels=1000)
    with pytest.raises(UnreadableError, match="voxels"):
        read_volume(source, spacing_mm=(0.001, 0.001, 0.001))
