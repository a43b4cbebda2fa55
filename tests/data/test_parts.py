"""One volume of a 4D image, and one row of an array."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from tests.data.scan_files import SIZE, make_ct, make_image

from modelsgenesis.data.formats import classify
from modelsgenesis.data.formats.npz_row import names_in, open_array
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.reading import read_volume
from modelsgenesis.data.sources import describe_file


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_each_volume_of_a_4d_image_is_read(tmp_path: Path, ending: str) -> None:
    """In place, with its spacing, and NaN where the file has NaN; the whole image is still refused."""
    volumes = [make_ct(seed).astype(np.float32) for seed in range(3)]
    volumes[1][3, 4, 5] = np.nan
    path = tmp_path / f"all{ending}"
    sitk.WriteImage(sitk.JoinSeries([make_image(each, (1.0, 2.0, 3.0)) for each in volumes]), str(path))
    source = describe_file(path, classify(path), tmp_path)
    for index, wanted in enumerate(volumes):
        volume = read_volume(replace(source, index=index))
        np.testing.assert_array_equal(volume.values, wanted[np.newaxis])
        assert volume.spacing_mm == (1, 2, 3)
        assert volume.geometry.size == SIZE
    with pytest.raises(UnreadableError, match="channel 3 is wanted of an image of 3"):
        read_volume(replace(source, index=3))
    with pytest.raises(UnreadableError, match="4D"):
        read_volume(source)


def test_arrays_stay_in_memory_until_the_file_changes(tmp_path: Path) -> None:
    """Row after row the same array is handed out, and nobody may write to it; a new file is read anew."""
    path = tmp_path / "a.npz"
    np.savez_compressed(path, images=np.arange(24).reshape(2, 3, 4), labels=np.arange(2))
    assert names_in(path) == ["images", "labels"]
    first = open_array(path, "images")
    assert open_array(path, "images") is first
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 1
    np.savez_compressed(path, images=np.zeros((2, 3, 4)))
    assert not open_array(path, "images").any()
