"""Models Genesis restores the original cube, and compares its error with trivial ones."""

import numpy as np
import pytest
import torch

from modelsgenesis.core.errors import GenesisError
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.methods.genesis import Genesis
from modelsgenesis.nets import UNet3D


def cube(seed: int) -> np.ndarray:
    """Noise in [0, 1], so that any change of place shows."""
    return generator_for(seed, 0, "cube").random((1, 16, 16, 16), dtype=np.float32)


def test_arm_none_is_the_auto_encoder() -> None:
    """What the network sees is what it is asked for; flips alone differ from the image."""
    learner = Genesis(UNet3D(width=2), arm="none")
    views = learner.views({"image": cube(0)}, generator_for(0, 1))
    assert np.array_equal(views["deformed"], views["original"])


def test_flips_are_shared_and_nothing_else_moves_the_target() -> None:
    """The target is the image, some of its axes reversed; all three axes of space are reversed at some time."""
    learner = Genesis(UNet3D(width=2), flip_rate=0.5)
    image, seen = cube(0), set()
    for index in range(60):
        original = learner.views({"image": image}, generator_for(0, index))["original"]
        matches = [axes for axes in np.ndindex(2, 2, 2) if np.array_equal(_reverse(image, axes), original)]
        assert len(matches) == 1
        seen.add(matches[0])
    assert all(any(axes[axis] for axes in seen) for axis in range(3))


def _reverse(image: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    return image[(slice(None), *(slice(None, None, -1 if flipped else 1) for flipped in axes))]


def test_dropped_skips_are_shut_cube_by_cube_and_level_by_level() -> None:
    """As often as asked; open ones change nothing, all shut leave the deepest feature alone."""
    torch.manual_seed(0)
    network = UNet3D(width=2).eval()
    learner = Genesis(network, drop_skips=0.75).eval()
    views = [learner.views({"image": cube(0)}, generator_for(0, index)) for index in range(200)]
    kept = np.stack([view["kept"] for view in views])
    assert kept.shape == (200, 3)
    assert 0.2 < kept.mean() < 0.3
    plain = Genesis(network).views({"image": cube(0)}, generator_for(0, 5))
    assert np.array_equal(plain["deformed"], views[5]["deformed"])
    cubes = torch.from_numpy(np.stack([cube(1), cube(2), cube(3)]))
    wanted = torch.tensor([[True, True, True], [False, False, False], [False, True, False]])
    with torch.no_grad():
        prediction = learner.predict({"deformed": cubes, "original": cubes, "kept": wanted})
        features = network.encode(cubes)
        none = [torch.zeros_like(feature) for feature in features[:-1]]
        alone = network.head(network.decode([*none, features[-1]]))
        middle = network.head(network.decode([none[0], features[1], none[2], features[-1]]))
        torch.testing.assert_close(prediction, torch.stack([network(cubes)[0], alone[1], middle[2]]))


def test_rate_of_dropping_is_a_probability() -> None:
    """Anything else is refused."""
    with pytest.raises(GenesisError, match="drop_skips is a probability"):
        Genesis(UNet3D(width=2), drop_skips=1.5)


def test_errors_are_what_their_names_say() -> None:
    """Each figure is recomputed with NumPy."""

    class Half(Genesis):
        def predict(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
            return batch["deformed"] / 2

    batch = {"deformed": torch.rand(3, 1, 4, 4, 4), "original": torch.rand(3, 1, 4, 4, 4)}
    parts = Half(UNet3D(width=2)).losses(batch, 0.0)
    deformed, original = (batch[name].numpy().astype(np.float64).reshape(3, -1) for name in ("deformed", "original"))
    expected = {
        "total": np.mean((deformed / 2 - original) ** 2),
        "mae": np.mean(np.abs(deformed / 2 - original)),
        "identity_baseline": np.mean((deformed - original) ** 2),
        "identity_baseline_mae": np.mean(np.abs(deformed - original)),
        "mean_baseline": np.mean(original.var(axis=1)),
        "std_ratio": (deformed / 2).std(axis=1, ddof=1).mean() / original.std(axis=1, ddof=1).mean(),
    }
    assert {name: float(part) for name, part in parts.items()} == pytest.approx(expected, rel=1e-5)


def test_unknown_arm_is_refused() -> None:
    """The error lists the arms."""
    with pytest.raises(GenesisError, match="no arm 'rotation'; there are: all, none"):
        Genesis(UNet3D(width=2), arm="rotation")
