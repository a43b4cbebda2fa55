"""A case's channels, each from a file of its own."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from tests.data.scan_files import make_ct, make_image

from modelsgenesis.data.channels import read_image
from modelsgenesis.data.formats import classify
from modelsgenesis.data.images import Reading
from modelsgenesis.data.intensity import Percentiles
from modelsgenesis.data.sources import Source, describe_file

SIZE = (23, 20, 18)
SPACING_MM = (0.5, 2.0, 3.0)  # 11.5 x 40 x 54 mm


def saved(path: Path, image: sitk.Image) -> Source:
    """An image as a source."""
    sitk.WriteImage(image, str(path))
    return describe_file(path, classify(path), path.parent)


@pytest.mark.parametrize("code", ["LPS", "RAS", "LAI", "SAR", "PIR"])
@pytest.mark.parametrize("spacing_mm", [None, (1.0, 1.7, 4.1), (0.3, 0.9, 6.0)], ids=str)
def test_channels_whose_files_run_otherwise_lie_on_the_firsts_grid(
    tmp_path: Path, code: str, spacing_mm: tuple[float, float, float] | None
) -> None:
    """One image saved in two orientations is one image in both channels, to the bit, at any spacing."""
    image = make_image(make_ct(size=SIZE), SPACING_MM)
    first = saved(tmp_path / "first.nrrd", sitk.DICOMOrient(image, "LPS"))
    other = saved(tmp_path / "other.nrrd", sitk.DICOMOrient(image, code))
    for sources in ((first, other), (other, first)):
        reading = Reading(Percentiles(), spacing_mm=spacing_mm)
        read, alone = read_image(sources, reading), read_image(sources[:1], reading)
        np.testing.assert_array_equal(read.values[1], read.values[0])
        np.testing.assert_array_equal(read.values[0], alone.values[0])
        assert read.geometry == alone.geometry


def test_channels_whose_steps_differ_in_the_last_digits_lie_on_the_firsts_grid(tmp_path: Path) -> None:
    """11.5 mm are twelve voxels of 1 mm, and a little less is eleven: the first channel's twelve are taken."""
    image = make_image(make_ct(size=SIZE), SPACING_MM)
    first = saved(tmp_path / "first.nrrd", image)
    image.SetSpacing((0.5 - 1e-6, 2.0, 3.0))
    other = saved(tmp_path / "other.nrrd", image)
    read = read_image((first, other), Reading(Percentiles(), spacing_mm=(1.0, 2.0, 3.0)))
    assert read.size == (12, 20, 18)
    np.testing.assert_array_equal(read.values[1], read.values[0])
