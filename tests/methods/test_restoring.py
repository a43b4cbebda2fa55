"""De-noising, context restoration and the masked auto-encoder: what each hides, and what its error is of."""

import numpy as np
import pytest
import torch

from modelsgenesis.core.errors import GenesisError, ShapeError
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.deformations import PatchSwap
from modelsgenesis.methods.context_restoration import ContextRestoration
from modelsgenesis.methods.denoising import Denoising
from modelsgenesis.methods.genesis import Genesis
from modelsgenesis.methods.mae import MaskedAutoEncoder
from modelsgenesis.nets import UNet3D

SIZE = (32, 24, 16)


def cube(seed: int, size: tuple[int, ...] = SIZE) -> dict[str, np.ndarray]:
    """Noise in [0.1, 0.9], so that no voxel is black and none at the end of the range."""
    return {"image": 0.1 + 0.8 * generator_for(seed, 0, "cube").random((1, *size), dtype=np.float32)}


@pytest.mark.parametrize("method", [Genesis, Denoising, ContextRestoration, MaskedAutoEncoder])
def test_every_restoring_method_sees_the_same_originals(method: type) -> None:
    """One seed gives every rival the same cubes, flipped alike."""
    learner, usual = method(UNet3D(width=2)), Genesis(UNet3D(width=2))
    for index in range(5):
        one, two = (each.views(cube(index), generator_for(1, index))["original"] for each in (learner, usual))
        assert np.array_equal(one, two)


def test_noise_is_white_and_of_the_given_strength() -> None:
    """Its mean is 0 and its standard deviation within the span, to 10 % of it."""
    learner = Denoising(UNet3D(width=2), sd=(0.05, 0.1))
    strengths = []
    for index in range(20):
        grey = {"image": np.full((1, *SIZE), 0.5, np.float32)}
        views = learner.views(grey, generator_for(2, index))
        noise = views["deformed"] - views["original"]
        assert abs(noise.mean()) < 0.005
        strengths.append(noise.std())
    assert 0.045 < min(strengths) < 0.065
    assert 0.085 < max(strengths) < 0.11


@pytest.mark.parametrize("axes", [2, 3])
def test_as_much_changes_places_in_2d_as_in_3d(axes: int) -> None:
    """The voxels are all still there; about two in five, less what was swapped twice, are elsewhere."""
    learner = ContextRestoration(UNet3D(width=2, axes=axes), moved=0.4)
    moved = []
    for index in range(10):
        views = learner.views(cube(index, (48,) * axes), generator_for(3, index))
        assert np.array_equal(np.sort(views["deformed"].ravel()), np.sort(views["original"].ravel()))
        moved.append(np.mean(views["deformed"] != views["original"]))
    assert 0.25 < np.mean(moved) < 0.45


def test_swapping_the_patches_again_restores_the_context() -> None:
    """The same pairs in reverse order give the original back."""
    learner = ContextRestoration(UNet3D(width=2))
    swap = learner.deformation
    assert isinstance(swap, PatchSwap)
    image = cube(0)["image"]
    drawn = swap.draw(image.shape, generator_for(4, 0))
    assert np.array_equal(swap.apply(swap.apply(image, drawn), drawn[::-1]), image)


@pytest.mark.parametrize(
    ("moved", "side"), [(0.0, (0.1, 0.2)), (1.0, (0.1, 0.2)), (0.4, (0.3, 0.2)), (0.4, (0.0, 0.2))]
)
def test_parts_that_are_none_are_refused(moved: float, side: tuple[float, float]) -> None:
    """The message gives both numbers."""
    with pytest.raises(GenesisError, match="moved must be in"):
        ContextRestoration(UNet3D(width=2), moved=moved, side=side)


@pytest.mark.parametrize("hidden", [0.6, 0.75])
def test_mask_hides_whole_blocks_and_says_which(hidden: float) -> None:
    """Hidden voxels are 0, the others untouched; each block of a grid is hidden or not, and as many as wanted."""
    learner = MaskedAutoEncoder(UNet3D(width=2), block=8, hidden=hidden)
    views = learner.views(cube(0), generator_for(5, 0))
    mask = views["hidden"]
    assert np.array_equal(views["deformed"], np.where(mask, 0, views["original"]))
    blocks = mask.reshape(4, 8, 3, 8, 2, 8)
    shares = blocks.mean(axis=(1, 3, 5))
    assert set(np.unique(shares)) == {0.0, 1.0}
    assert shares.sum() == round(hidden * 24)


def test_masked_error_is_that_of_hidden_voxels_alone() -> None:
    """Each figure is recomputed with NumPy over the hidden voxels of two channels."""
    learner = MaskedAutoEncoder(UNet3D(width=2, in_channels=2, out_channels=2))
    learner.backbone.forward = lambda x: 0.5 * x + 0.3  # type: ignore[method-assign]
    hidden = torch.rand(3, 1, 4, 4, 4) < 0.7
    original = torch.rand(3, 2, 4, 4, 4)
    batch = {"original": original, "deformed": torch.where(hidden, 0.0, original), "hidden": hidden}
    parts = learner.losses(batch, 0.0)
    there, out_of = hidden.expand_as(original).numpy(), original.numpy().astype(np.float64)
    means = out_of.reshape(3, -1).mean(axis=1).reshape(3, 1, 1, 1, 1)
    expected = {
        "total": np.mean((0.3 - out_of[there]) ** 2),
        "mae": np.mean(np.abs(0.3 - out_of[there])),
        "identity_baseline": np.mean(out_of[there] ** 2),
        "identity_baseline_mae": np.mean(out_of[there]),
        "mean_baseline": np.mean((out_of - means)[there] ** 2),
        "std_ratio": 0.0,  # one grey value in all that is hidden: collapsed, whatever is visible
    }
    assert {name: float(part) for name, part in parts.items()} == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_visible_voxels_do_not_train_a_masked_auto_encoder() -> None:
    """Other targets where nothing is hidden change neither loss nor gradient, unless all voxels count."""
    torch.manual_seed(0)
    made = MaskedAutoEncoder(UNet3D(width=2)).views(cube(0, (16, 16, 16)), generator_for(6, 0))
    batch = {name: torch.from_numpy(view)[None] for name, view in made.items()}
    other = {**batch, "original": torch.where(batch["hidden"], batch["original"], 0.0)}
    for hidden_only in (True, False):
        learner = MaskedAutoEncoder(UNet3D(width=2), hidden_only=hidden_only)
        losses = [learner.losses(views, 0.0)["total"] for views in (batch, other)]
        first = next(learner.parameters())
        one, two = (torch.autograd.grad(loss, first, retain_graph=True)[0] for loss in losses)
        assert torch.equal(one, two) == hidden_only
        assert (losses[0] == losses[1]) == hidden_only


def test_masked_auto_encoder_predicts_what_was_hidden_and_keeps_the_rest() -> None:
    """Visible voxels come back as they came, so that pictures show its work alone."""
    learner = MaskedAutoEncoder(UNet3D(width=2)).eval()
    made = learner.views(cube(0), generator_for(7, 0))
    batch = {name: torch.from_numpy(view)[None] for name, view in made.items()}
    prediction, mask = learner.predict(batch), batch["hidden"]
    assert torch.equal(prediction[~mask], batch["original"][~mask])
    assert torch.equal(prediction[mask], learner.backbone(batch["deformed"])[mask])


def test_cubes_of_too_few_blocks_are_refused() -> None:
    """One block, all of it hidden, would leave nothing to go by."""
    learner = MaskedAutoEncoder(UNet3D(width=2), block=16)
    learner.check((32, 32, 32))
    with pytest.raises(ShapeError, match="1 blocks of side 16, too few to hide"):
        learner.check((16, 16, 16))
