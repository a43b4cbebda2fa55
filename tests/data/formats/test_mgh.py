"""FreeSurfer's volumes, against the library that wrote them."""

import builtins
import gzip
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from tests.data.scan_files import make_ct

from modelsgenesis.data.entries import one_source
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.reading import read_volume

TURN = np.radians(7)
OBLIQUE = np.array([[np.cos(TURN), -np.sin(TURN), 0], [np.sin(TURN), np.cos(TURN), 0], [0, 0, 1]])
AFFINES = {
    "as FreeSurfer conforms": [[-1, 0, 0], [0, 0, 1], [0, -1, 0]],
    "along RAS": np.diag([0.8, 1.2, 2.0]),
    "oblique": OBLIQUE @ np.array([[0, 0, -2.0], [-1.0, 0, 0], [0, 1.5, 0]]),
}


def write(path: Path, values: np.ndarray, turn: Any = AFFINES["along RAS"]) -> Path:
    """Write an array with its place in RAS."""
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn, (10, -20, 30)
    nib.MGHImage(values, affine).to_filename(path)
    return path


@pytest.mark.parametrize("ending", [".mgh", ".mgz"])
@pytest.mark.parametrize("turn", AFFINES)
def test_each_voxel_lies_where_nibabel_says(tmp_path: Path, ending: str, turn: str) -> None:
    """The place of a voxel in LPS is that of nibabel's affine in RAS, its first two coordinates turned round."""
    path = write(tmp_path / f"a{ending}", make_ct(), AFFINES[turn])
    volume = read_volume(one_source(path, tmp_path))
    image = nib.MGHImage.from_bytes(gzip.decompress(path.read_bytes()) if ending == ".mgz" else path.read_bytes())
    place = volume.geometry
    voxels = np.array([(0, 0, 0), (23, 0, 5), (3, 19, 17)])
    ours = np.array(place.origin_mm) + voxels * np.array(place.spacing_mm) @ place.frame.T
    theirs = nib.affines.apply_affine(image.affine, voxels) * (-1, -1, 1)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    np.testing.assert_array_equal(place.from_lps(volume.values[0]), np.asarray(image.dataobj))
    turned = nib.as_closest_canonical(image)  # RAS: X and Y run against ours
    np.testing.assert_array_equal(volume.values[0], np.asarray(turned.dataobj)[::-1, ::-1])
    np.testing.assert_allclose(volume.spacing_mm, turned.header.get_zooms(), rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32])
def test_each_type_keeps_its_values(tmp_path: Path, dtype: type) -> None:
    """MGH is big-endian; what is wider than 16 bits becomes float32, as of every format."""
    values = (make_ct() + 1000).clip(0, 250).astype(dtype)
    volume = read_volume(one_source(write(tmp_path / "a.mgz", values), tmp_path))
    assert volume.values.dtype == (dtype if np.dtype(dtype).itemsize <= 2 else np.float32)
    np.testing.assert_array_equal(volume.values[0], values[::-1, ::-1])


def test_volumes_of_a_series_are_named_one_by_one(tmp_path: Path) -> None:
    """A fourth axis counts frames; without a number it is refused."""
    path = write(tmp_path / "a.mgz", np.stack([make_ct(0), make_ct(1)], axis=-1))
    second = read_volume(one_source(tmp_path / "a.mgz#1", tmp_path))
    np.testing.assert_array_equal(second.values[0], make_ct(1)[::-1, ::-1])
    with pytest.raises(UnreadableError, match="4D"):
        read_volume(one_source(path, tmp_path))


def test_missing_library_is_named_with_its_install_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without nibabel an MGH is one problem among the scans; the rest goes on."""
    source = one_source(write(tmp_path / "a.mgz", make_ct()), tmp_path)
    real = builtins.__import__

    def without(name: str, *more: Any, **options: Any) -> Any:
        if name.startswith("nibabel"):
            raise ImportError(name)
        return real(name, *more, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    remedy = r"nibabel, which is missing; .* pip install -c constraints.txt '\.\[mgh\]'"
    with pytest.raises(UnreadableError, match=remedy):
        read_volume(source)
