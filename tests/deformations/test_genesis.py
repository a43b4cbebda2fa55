"""The paper's recipe in one walk."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from modelsgenesis.core.errors import DataError, GenesisError, ShapeError
from modelsgenesis.core.naming import find_class
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.deformations import (
    Deformation,
    Genesis,
    InPainting,
    LocalShuffling,
    NonLinear,
    OutPainting,
    apply_batch,
    genesis,
)

CUBE = np.random.default_rng(0).random((2, 32, 40, 24), dtype=np.float32)


@pytest.mark.parametrize("range", [(0.0, 1.0), (0.2, 0.7)], ids=str)
def test_one_walk_equals_one_law_after_another(range: tuple[float, float]) -> None:
    """Shuffled, mapped and painted at once, as by the single laws from the same draws: bit for bit.

    With grey levels beyond the range, to 1e-4: the single map sees the extremes that the shuffling has left.
    """
    recipe = genesis(range=range)
    for index in np.arange(30):
        plan = recipe.draw(CUBE.shape, generator_for(0, int(index)))
        step = CUBE
        if plan.windows is not None:
            step = LocalShuffling(range=range).apply(step, plan.windows)
        if plan.curve is not None:
            step = NonLinear(range=range).apply(step, plan.curve)
        if plan.paint is not None:
            painting = OutPainting(range=range) if plan.paint.keep else InPainting(range=range)
            step = painting.apply(step, plan.paint)
        np.testing.assert_allclose(recipe.apply(CUBE, plan), step, rtol=0, atol=0 if range == (0, 1) else 1e-4)


@pytest.mark.parametrize("kind", [LocalShuffling, NonLinear, OutPainting, InPainting])
def test_an_arm_is_its_law_alone_and_always(kind: type[Deformation]) -> None:
    """From one generator, the arm gives what the deformation of that name gives."""
    arm = {"LocalShuffling": "local_shuffling", "NonLinear": "non_linear"}.get(kind.__name__)
    arm = arm or ("out_painting" if kind is OutPainting else "in_painting")
    for index in range(5):
        alone, by_arm = (d(CUBE, generator_for(1, index)) for d in (kind(), genesis(arm=arm)))
        np.testing.assert_array_equal(alone, by_arm)


@pytest.mark.parametrize(
    ("arm", "left_out"), [("non_linear", "curve"), ("local_shuffling", "windows"), ("painting", "paint")]
)
def test_an_arm_without_a_law_keeps_the_others(arm: str, left_out: str) -> None:
    """What is left out never happens; what stays happens as often as in the whole recipe, and to the same images."""
    whole = [genesis().draw(CUBE.shape, generator_for(4, index)) for index in range(200)]
    without = [genesis(arm=f"without_{arm}").draw(CUBE.shape, generator_for(4, index)) for index in range(200)]
    for law in ("windows", "curve", "paint"):
        happens = [getattr(plan, law) is not None for plan in without]
        wanted = [law != left_out and getattr(plan, law) is not None for plan in whole]
        assert happens == wanted
        assert any(wanted) == (law != left_out)


def test_arm_none_changes_nothing() -> None:
    """The autoencoder's arm returns an equal copy."""
    out = genesis(arm="none")(CUBE, generator_for(2, 0))
    np.testing.assert_array_equal(out, CUBE)
    assert not np.shares_memory(out, CUBE)


@pytest.mark.parametrize("variant", ["exact", "tiled"])
@pytest.mark.parametrize("shape", [(5, 1, 64, 64, 32), (4, 3, 17, 33, 41), (4, 2, 50, 41)], ids=str)
def test_device_shuffles_and_paints_bit_for_bit(variant: str, shape: tuple[int, ...]) -> None:
    """With the same draws, torch gives the compiled loop's result to the last bit where no curve is applied."""
    recipe = genesis(p_local_shuffling=0.8, p_non_linear=0, variant=variant)
    images = torch.rand(shape)
    drawn = [recipe.draw(shape[1:], generator_for(3, index)) for index in range(shape[0])]
    alone = torch.stack([recipe.apply(*pair) for pair in zip(images, drawn, strict=True)])
    assert torch.equal(apply_batch(recipe, images, drawn), alone)


@pytest.mark.parametrize("range", [(0.0, 1.0), (0.2, 0.7)], ids=str)
def test_device_maps_to_a_millionth(range: tuple[float, float]) -> None:
    """The whole recipe agrees to 1e-6 of the range, outliers among them or not."""
    recipe, images = genesis(range=range), torch.rand(12, 1, 32, 32, 16)
    drawn = [recipe.draw(images.shape[1:], generator_for(4, index)) for index in np.arange(12).tolist()]
    alone = torch.stack([recipe.apply(*pair) for pair in zip(images, drawn, strict=True)])
    torch.testing.assert_close(apply_batch(recipe, images, drawn), alone, atol=1e-6 * (range[1] - range[0]), rtol=0)


def test_half_precision_batch_keeps_its_dtype() -> None:
    """A bfloat16 batch comes back as one."""
    images = torch.rand(3, 1, 16, 16, 16).bfloat16()
    drawn = [genesis().draw(images.shape[1:], generator_for(5, index)) for index in range(3)]
    assert apply_batch(genesis(), images, drawn).dtype == torch.bfloat16
    assert len(apply_batch(genesis(), images[:0], [])) == 0


def test_threads_give_what_one_thread_gives() -> None:
    """The compiled loop lets other threads run, and they do not disturb each other."""

    def deform(index: int) -> np.ndarray:
        return genesis()(CUBE, generator_for(6, index))

    with ThreadPoolExecutor(4) as pool:
        for index, out in enumerate(pool.map(deform, range(24))):
            np.testing.assert_array_equal(out, deform(index))


@pytest.mark.parametrize(
    ("deformation", "least"),
    [
        (LocalShuffling(match_official=True), 10),
        (OutPainting(match_official=True), 14),
        (InPainting(match_official=True), 8),
        (genesis(arm="out_painting", match_official=True), 14),
        (OutPainting(), 4),
        (InPainting(), 4),
    ],
)
def test_least_sides(deformation: Deformation, least: int) -> None:
    """A side under the least is refused by a message that states it; from the least on all sides work."""
    with pytest.raises(ShapeError, match=f"at least {least} voxels"):
        deformation(np.zeros((1, 32, 32, least - 1), np.float32), generator_for(0, 0))
    for side in range(least, least + 30):
        for index in range(5):
            deformation.draw((1, side, 32, side), generator_for(index, side))


@pytest.mark.parametrize("kind", [LocalShuffling, OutPainting, InPainting, Genesis])
def test_faithful_draws_the_same_where_the_authors_code_works(kind: type[Deformation]) -> None:
    """The margins and counts are the authors' from the start; `match_official` only refuses what theirs cannot do."""
    draws = [
        kind(match_official=match_official).draw((1, 64, 64, 32), generator_for(7, 1))
        for match_official in (True, False)
    ]
    assert draws[0] == draws[1]


@pytest.mark.parametrize("kind", [OutPainting, InPainting, LocalShuffling])
def test_draw_for_another_image_is_refused(kind: type[Deformation]) -> None:
    """A draw that reaches out of the image is an error, not a crash; a shuffle fits any."""
    drawn = kind().draw((1, 64, 64, 64), generator_for(8, 3))
    small = np.zeros((1, 12, 12, 12), np.float32)
    if kind is LocalShuffling:
        kind().apply(small, drawn)
    else:
        with pytest.raises(ShapeError, match="draw again"):
            kind().apply(small, drawn)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: genesis(arm="blur"), "no arm 'blur'; there are: all, none"),
        (lambda: genesis(p_non_linear=9), "probability"),
        (lambda: LocalShuffling(num_windows=0), "num_windows"),
        (lambda: LocalShuffling(variant="fast"), "no variant 'fast'"),
    ],
)
def test_wrong_settings_are_refused(make, words: str) -> None:
    """The message names the setting and what it may be."""
    with pytest.raises(GenesisError, match=words):
        make()


@pytest.mark.parametrize("deformation", [genesis(), NonLinear(), InPainting()])
def test_hounsfield_units_without_their_range_are_refused(deformation: Deformation) -> None:
    """Else all of a CT below 0 and above 1 HU is lost; with the range it is what [0, 1] gives, stretched."""
    hu = CUBE[:1] * 2000 - 1000
    drawn = deformation.draw(hu.shape, generator_for(0, 3))
    with pytest.raises(DataError, match=r"values span 2000, and the range given is 0 to 1; .*range=\(-1000, 1000\)"):
        deformation.apply(hu, drawn)
    with pytest.raises(DataError, match="values span 2000"):
        apply_batch(deformation, torch.from_numpy(hu)[None], [drawn])
    in_hu = replace(deformation, range=(-1000.0, 1000.0)).apply(hu, drawn)
    np.testing.assert_allclose(in_hu, deformation.apply(CUBE[:1], drawn) * 2000 - 1000, atol=0.01)
    metal = np.where(CUBE[:1] > 0.99, np.float32(30_000), hu)  # a few voxels beyond the range are no other units
    assert replace(deformation, range=(-1000.0, 1000.0)).apply(metal, drawn).shape == hu.shape
    LocalShuffling()(hu, generator_for(0, 0))  # any range will do


def test_recipe_is_found_by_its_file() -> None:
    """`--deformation genesis` and the other files' names lead to their classes."""
    assert find_class("deformations", "genesis", Deformation) is Genesis
    assert find_class("deformations", "local-shuffling", Deformation) is LocalShuffling


def test_importing_deformations_does_not_import_torch() -> None:
    """A loader worker that only deforms arrays starts without it."""
    code = (
        "import sys, numpy as np; from modelsgenesis.deformations import genesis;"
        "genesis()(np.zeros((1, 16, 16, 16), np.float32), np.random.default_rng(0));"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0
