"""A fingerprint is of an image, however it is saved; many are looked up as one by one."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from modelsgenesis.core.errors import DataError
from modelsgenesis.data.fingerprints import ALIKE, NEAR, Fingerprint, Fingerprints, fingerprint_of
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.reading import read_both, read_volume
from modelsgenesis.data.sources import find_sources


def noise(seed: int) -> np.ndarray:
    """A grey image, (1, X, Y, Z)."""
    return np.random.default_rng(seed).gamma(2.0, 50.0, (1, 9, 7, 8)).astype(np.float32)


def test_print_hangs_on_no_axis_and_no_unit() -> None:
    """Turned, shifted and scaled it is the same; written and read too."""
    image = noise(0)
    one = fingerprint_of(image)
    assert one.size == (7, 8, 9)
    for other in (image[:, ::-1].transpose(0, 2, 3, 1), image * 3 - 1000, image.astype(np.float64)):
        assert Fingerprints([one]).hold(fingerprint_of(other))
        np.testing.assert_allclose(fingerprint_of(other).levels, one.levels, atol=2 / 4095)
        np.testing.assert_allclose(fingerprint_of(other).positions, one.positions, atol=1e-6)
    for written, known in (
        (Fingerprint.read(str(one)).levels, one.levels),
        (Fingerprint.read(str(one)).positions, one.positions),
    ):
        np.testing.assert_allclose(written, known, atol=1e-5)
    assert not Fingerprints([one]).hold(fingerprint_of(noise(1)))


def test_fingerprint_of_a_mask_is_its_shape() -> None:
    """Its levels do not identify it; where it lies does, whichever way the axes run."""
    mask = (noise(1) > 120).astype(np.uint8)
    one = fingerprint_of(mask)
    assert (
        one
        == fingerprint_of(mask * 255)
        == fingerprint_of(mask[:, :, ::-1].transpose(0, 3, 1, 2))
        == Fingerprint.read(str(one))
    )
    assert one != fingerprint_of((noise(2) > 120).astype(np.uint8))


def test_image_of_one_value_has_no_print() -> None:
    """As nothing can be learned from it."""
    with pytest.raises(UnreadableError, match="every voxel is 3"):
        fingerprint_of(np.full((1, 4, 4), 3))


@pytest.mark.parametrize("text", ["7x8", "x 0.1", "7x8x9 0.0 1.0", "7x8x9 " + "a " * 11])
def test_broken_print_is_refused(text: str) -> None:
    """In one line that says what to do."""
    with pytest.raises(DataError, match="prepare again"):
        Fingerprint.read(text)


def test_many_are_looked_up_as_one_by_one() -> None:
    """By size and middle first; the definition is the greatest difference of any level, and of any place."""
    rng = np.random.default_rng(3)
    levels = np.sort(rng.random((400, 9)) * 0.02 + np.linspace(0.1, 0.9, 9), axis=1)
    positions = [tuple(row) for row in (rng.random((400, 6)) * 0.002).tolist()]
    sizes = [((4, 5, 6), (4, 5, 7))[k % 2] for k in range(400)]
    known = [
        Fingerprint(size, (0.0, *row, 1.0), at) for size, row, at in zip(sizes, levels.tolist(), positions, strict=True)
    ]
    fingerprints = Fingerprints(known[:200])

    def same(one: Fingerprint, other: Fingerprint) -> bool:
        levels, positions = (
            np.abs(np.subtract(*each)) for each in ((one.levels, other.levels), (one.positions, other.positions))
        )
        return one.size == other.size and levels.max() < ALIKE and bool((positions < NEAR).all())

    found = [fingerprints.hold(each) for each in known[200:]]
    assert found == [any(same(one, each) for one in known[:200]) for each in known[200:]]
    assert 0 < sum(found) < len(found)
    assert all(fingerprints.hold(one) for one in known[:200])


def test_both_volumes_are_those_that_are_read_alone(tmp_path: Path) -> None:
    """Read once, as it is and resampled, down to the notes."""
    image = sitk.Flip(sitk.GetImageFromArray(noise(4)[0]), [True, False, False])
    image.SetSpacing((1.0, 1.2, 2.0))
    sitk.WriteImage(image, tmp_path / "scan.nii.gz")
    (source,) = find_sources(tmp_path)[0]
    for spacing in (None, (1.5, 1.5, 1.5)):
        for one, other in zip(
            read_both(source, spacing_mm=spacing),
            (read_volume(source), read_volume(source, spacing_mm=spacing)),
            strict=True,
        ):
            np.testing.assert_array_equal(one.values, other.values)
            assert (one.spacing_mm, one.geometry, one.notes) == (other.spacing_mm, other.geometry, other.notes)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16"])
@pytest.mark.parametrize("layout", ["C", "F", "turned"])
def test_whole_numbers_have_the_fingerprint_of_the_same_in_fractions(dtype: str, layout: str) -> None:
    """However they lie in memory, and whether many or none can be added up in their own type."""
    limits, rng = np.iinfo(dtype), np.random.default_rng(0)
    for low, high in ((0, 9), (limits.min // 7, limits.max // 7), (limits.min, limits.max)):
        values = rng.integers(low, high, (1, 13, 30, 21), dtype, endpoint=True)
        values[0, :4] = low
        values = {"C": values, "F": np.asfortranarray(values), "turned": values[:, ::-1].transpose(0, 2, 1, 3)}[layout]
        assert str(fingerprint_of(values)) == str(fingerprint_of(values.astype(np.float64)))
