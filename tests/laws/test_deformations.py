"""What every deformation obeys, whatever it does: the laws are run over every file of the room."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modelsgenesis.core.deformation import Deformation
from modelsgenesis.core.errors import DataError, GenesisError, ShapeError
from modelsgenesis.core.naming import describe, members, rebuild
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.deformations import Percentiles, apply_batch, check_pixel_level, gallery

GALLERY = gallery()
SHAPES = [(1, 24, 20, 16), (3, 12, 31, 9), (1, 8, 8, 8), (2, 40, 33), (1, 8, 8)]
every_one = pytest.mark.parametrize("name", GALLERY)

Array = np.ndarray[Any, Any]


def image_of(shape: tuple[int, ...], seed: int = 0, low: float = 0.0, high: float = 1.0) -> Array:
    """A made-up image: a smooth gradient with noise on it, from `low` to `high`."""
    slope = np.add.reduce(np.meshgrid(*(np.linspace(0, 1, side) for side in shape), indexing="ij")) / len(shape)
    image = 0.5 * slope + 0.5 * np.random.default_rng(seed).random(shape)
    return (low + (high - low) * (image - image.min()) / np.ptp(image)).astype(np.float32)


def in_range(deformation: Deformation, range: Any) -> Deformation:
    """The same deformation, given another range."""
    data = describe(deformation)
    remade: Deformation = rebuild({**data, "range": describe(range)})
    return remade


def test_gallery_shows_every_file_but_the_combinations_and_flip() -> None:
    """A new file is under these laws by being there."""
    assert set(GALLERY) == set(members("deformations")) - {"compose", "flip"}


@every_one
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_same_generator_gives_same_image(name: str, shape: tuple[int, ...]) -> None:
    """All that is random is in the generator; shape and dtype are kept, and the input is untouched."""
    image = image_of(shape)
    before = image.copy()
    first, second = (GALLERY[name](image, generator_for(5, 6)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(image, before)
    assert first.shape == shape
    assert first.dtype == np.float32
    assert first is not image
    assert not np.shares_memory(first, image)


@every_one
def test_result_is_never_the_input(name: str) -> None:
    """Array, tensor or batch, whatever was drawn, and where there is nothing to deform: the result is new memory."""
    grey, image = np.full((1, 8, 8, 8), 7, np.float32), image_of((1, 8, 8, 8))
    cases = [(GALLERY[name], image, index) for index in range(40)]
    cases += [(in_range(GALLERY[name], Percentiles()), grey, index) for index in range(4)]
    for deformation, array, index in cases:
        before, tensor = array.copy(), torch.from_numpy(array)
        drawn = deformation.draw(array.shape, generator_for(7, index))
        assert not np.shares_memory(deformation.apply(array, drawn), array)
        assert not np.shares_memory(deformation.apply(tensor, drawn).numpy(), array)
        assert not np.shares_memory(apply_batch(deformation, tensor[None], [drawn]).numpy(), array)
        np.testing.assert_array_equal(array, before)


@every_one
def test_draws_replay(name: str) -> None:
    """What was drawn applies again and again, to this image and to another, and is not used up."""
    deformation = GALLERY[name]
    image, other = image_of((1, 16, 16, 12)), image_of((1, 16, 16, 12), seed=1)
    drawn = deformation.draw(image.shape, generator_for(0, 1))
    once = deformation.apply(image, drawn)
    deformation.apply(other, drawn)
    np.testing.assert_array_equal(once, deformation.apply(image, drawn))


@every_one
@pytest.mark.parametrize("range", [(0.0, 1.0), (-1000.0, 1000.0), (-0.2, 0.3), Percentiles(2, 98)], ids=str)
def test_output_stays_in_the_range(name: str, range: Any) -> None:
    """The output leaves neither the given range nor, where the image is wider, the image's."""
    low, high = {(0.0, 1.0): (0, 1), (-0.2, 0.3): (-3, 5)}.get(range, (-300, 500))
    image = image_of((1, 20, 18, 16), low=low, high=high)
    least, greatest = image.min(), image.max()
    if not isinstance(range, Percentiles):
        least, greatest = min(least, np.float32(range[0])), max(greatest, np.float32(range[1]))
    for index in [0, 1, 2, 3, 4, 5]:
        out = in_range(GALLERY[name], range)(image, generator_for(1, index))
        assert out.min() >= least
        assert out.max() <= greatest


@every_one
def test_range_is_mapped_to_the_unit_and_back(name: str) -> None:
    """HU deformed in their range are the [0, 1] image deformed in its own, to 1e-4 of the range."""
    unit = image_of((1, 20, 18, 16))
    hu = unit * 2000 - 1000
    for index in range(4):
        in_hu = in_range(GALLERY[name], (-1000.0, 1000.0))(hu, generator_for(2, index))
        plain = GALLERY[name](unit, generator_for(2, index))
        np.testing.assert_allclose((in_hu + 1000) / 2000, plain, atol=1e-4)


@every_one
def test_description_makes_it_again(name: str) -> None:
    """Through JSON and back it is the same deformation."""
    deformation = in_range(GALLERY[name], Percentiles(1, 99))
    assert rebuild(json.loads(json.dumps(describe(deformation)))) == deformation


@every_one
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int16", "uint8"])
def test_array_and_tensor_alike_in_every_dtype(name: str, dtype: str) -> None:
    """A tensor gives what the array gives, and comes back as a tensor of its dtype."""
    image = image_of((2, 14, 12, 10), high=1 if dtype.startswith("float") else 200).astype(dtype)
    deformation = GALLERY[name] if dtype.startswith("float") else in_range(GALLERY[name], (0.0, 200.0))
    array = deformation(image, generator_for(3, 1))
    tensor = deformation(torch.from_numpy(image), generator_for(3, 1))
    assert array.dtype == np.dtype(dtype)
    assert str(tensor.dtype) == f"torch.{dtype}"
    np.testing.assert_array_equal(array, tensor.numpy())
    assert array.min() >= 0
    assert array.max() <= (1 if dtype.startswith("float") else 200)


@every_one
def test_layout_in_memory_does_not_matter(name: str) -> None:
    """A view with other strides is deformed as its copy is."""
    wide = image_of((1, 32, 20, 24))
    view = wide[:, ::2, :, ::-1]
    deformed, copied = (GALLERY[name](x, generator_for(4, 2)) for x in (view, view.copy()))
    np.testing.assert_array_equal(deformed, copied)


@every_one
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_refused(name: str, value: float) -> None:
    """One bad voxel is refused, with a remedy, as array and in a batch."""
    image = image_of((1, 12, 12, 12))
    image[0, 3, 4, 5] = value
    with pytest.raises(DataError, match="NaN or infinity"):
        GALLERY[name](image, generator_for(0, 0))
    drawn = GALLERY[name].draw(image.shape, generator_for(0, 0))
    with pytest.raises(DataError, match="NaN or infinity"):
        apply_batch(GALLERY[name], torch.from_numpy(image)[None], [drawn])


@every_one
@pytest.mark.parametrize("shape", [(8, 8), (8,), (1, 1, 8, 8, 8), (1, 0, 8, 8)])
def test_wrong_axes_are_refused(name: str, shape: tuple[int, ...]) -> None:
    """Neither (X, Y) nor (B, C, X, Y, Z) nor an empty side passes; the message names the shape or side."""
    with pytest.raises((ShapeError, DataError), match=r"shape|side|empty|axes"):
        GALLERY[name](np.zeros(shape, np.float32), generator_for(0, 0))


@every_one
def test_lists_are_refused(name: str) -> None:
    """What is neither array nor tensor gets a clear error."""
    drawn = GALLERY[name].draw((1, 8, 8, 8), generator_for(0, 0))
    with pytest.raises(DataError, match="NumPy array or a tensor"):
        GALLERY[name].apply([[1.0]], drawn)


@every_one
@pytest.mark.parametrize("range", [(1.0, 0.0), (0.0, 0.0), (0.0, float("nan")), (0.0,)], ids=str)
def test_a_range_that_does_not_rise_is_refused(name: str, range: Any) -> None:
    """A swapped or broken range is refused when the deformation is made."""
    with pytest.raises(GenesisError, match=r"range must|no finite number"):
        in_range(GALLERY[name], range)


@every_one
def test_constant_image_in_its_own_percentiles_is_left_alone(name: str) -> None:
    """Where percentiles coincide there is no range to work in."""
    image = np.full((1, 12, 12, 12), 7, np.float32)
    out = in_range(GALLERY[name], Percentiles())(image, generator_for(0, 3))
    np.testing.assert_array_equal(out, image)


@every_one
def test_content_stays_where_it_is(name: str) -> None:
    """Every one of ours is pixel-level."""
    check_pixel_level(GALLERY[name])


@every_one
def test_batch_equals_one_by_one(name: str) -> None:
    """A batch on the device is each image by itself: to 1e-6 of the range, and mostly to the bit."""
    deformation = GALLERY[name]
    for shape in [(4, 2, 24, 20, 16), (3, 1, 26, 30)]:
        images = torch.from_numpy(np.stack([image_of(shape[1:], seed) for seed in range(shape[0])]))
        drawn = [deformation.draw(shape[1:], generator_for(0, index)) for index in range(shape[0])]
        alone = torch.stack([deformation.apply(*pair) for pair in zip(images, drawn, strict=True)])
        torch.testing.assert_close(apply_batch(deformation, images, drawn), alone, atol=1e-6, rtol=0)


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(sorted(GALLERY)),
    channels=st.integers(1, 8),
    sides=st.lists(st.integers(8, 512), min_size=2, max_size=3),
    seed=st.integers(0, 2**32),
)
def test_sides_from_8_to_512_are_taken(name: str, channels: int, sides: list[int], seed: int) -> None:
    """Anisotropic, 2D or 3D, one to eight channels: same shape, finite, in range, input untouched."""
    while channels * np.prod(sides) > 2e5:  # keep the test short: halve the longest side
        sides[int(np.argmax(sides))] = max(8, max(sides) // 2)
    image = np.random.default_rng(seed).random((channels, *sides), dtype=np.float32)
    before = image.copy()
    out = GALLERY[name](image, generator_for(0, seed))
    assert out.shape == image.shape
    assert np.isfinite(out).all()
    assert 0 <= out.min() <= out.max() <= 1
    np.testing.assert_array_equal(image, before)
