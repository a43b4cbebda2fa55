"""The U-Net is the published one, in 3D and 2D."""

import pytest
import torch

from modelsgenesis.core.errors import ShapeError
from modelsgenesis.nets import UNet3D


def test_official_settings_have_the_official_number_of_parameters() -> None:
    """Width 32, batch statistics and transposed convolutions: the authors' PyTorch network has 19,073,665."""
    network = UNet3D(width=32, norm="batch_stats", up="transposed")
    assert sum(parameter.numel() for parameter in network.parameters()) == 19_073_665


def test_nearest_upsampling_leaves_out_the_transposed_convolutions_alone() -> None:
    """The authors' Keras network has no parameters for going up: 2^3 * c^2 + c fewer at c = 512, 256 and 128."""
    fewer = sum(8 * channels**2 + channels for channels in (512, 256, 128))
    keras = UNet3D(width=32, norm="batch", up="nearest")
    assert sum(parameter.numel() for parameter in keras.parameters()) == 19_073_665 - fewer


def test_batch_statistics_make_a_prediction_depend_on_its_company() -> None:
    """The authors' norm gives other predictions in other batches even in evaluation; the ordinary norm does not."""
    torch.manual_seed(0)
    cubes = torch.rand(2, 1, 16, 16, 16)
    for norm, depends in (("batch_stats", True), ("batch", False)):
        network = UNet3D(width=4, norm=norm).eval()  # type: ignore[arg-type]
        alone, together = network(cubes[:1]), network(cubes)[:1]
        assert torch.allclose(alone, together, atol=1e-5) is not depends


def test_norms_follow_the_same_running_statistics() -> None:
    """One training pass moves the running mean and variance as PyTorch's own batch norm does."""
    from modelsgenesis.nets.norms import BatchNorm

    torch.manual_seed(0)
    x = torch.randn(3, 4, 5, 6, 7)
    ours, theirs = BatchNorm(4, always_batch_stats=True), torch.nn.BatchNorm3d(4)
    assert torch.equal(ours(x), theirs(x))
    assert torch.equal(ours.running_var, theirs.running_var)


def test_an_evaluation_leaves_running_statistics_alone() -> None:
    """A prediction changes no network: with batch statistics it normalises by the batch, and keeps nothing of it."""
    torch.manual_seed(0)
    cubes = 5 + 3 * torch.rand(2, 1, 16, 16, 16)
    for norm in ("batch_stats", "batch"):
        network = UNet3D(width=4, norm=norm)  # type: ignore[arg-type]
        trained = network(cubes)
        before = {name: tensor.clone() for name, tensor in network.named_buffers()}
        predicted = network.eval()(cubes)
        assert before
        assert all(torch.equal(before[name], tensor) for name, tensor in network.named_buffers())
        assert torch.equal(predicted, trained) is (norm == "batch_stats")


def test_two_dimensional_twin_comes_from_the_same_code() -> None:
    """axes=2 takes (B, C, X, Y)."""
    network = UNet3D(width=4, axes=2)
    assert network(torch.rand(2, 1, 24, 16)).shape == (2, 1, 24, 16)
    assert network.stride == (8, 8)


def test_size_that_does_not_divide_is_refused_with_one_that_does() -> None:
    """The error names the size to use."""
    with pytest.raises(ShapeError, match=r"\(60, 64, 32\).*divide by 8; use --size 64 64 32"):
        UNet3D(width=4)(torch.rand(1, 1, 60, 64, 32))


def test_wrong_number_of_channels_or_axes_is_refused() -> None:
    """The error says what the network takes."""
    with pytest.raises(ShapeError, match=r"takes \(B, 1, X, Y, Z\), got \(1, 2, 16, 16, 16\)"):
        UNet3D(width=4)(torch.rand(1, 2, 16, 16, 16))
    with pytest.raises(ShapeError, match="takes"):
        UNet3D(width=4)(torch.rand(1, 1, 16, 16))


@pytest.mark.parametrize(
    "argument", [{"norm": "layer"}, {"up": "linear"}, {"activation": "tanh"}, {"axes": 4}, {"width": 0}]
)
def test_unknown_settings_are_refused(argument: dict[str, object]) -> None:
    """An unknown word is named."""
    with pytest.raises(ValueError, match="must be"):
        UNet3D(**{"width": 4, **argument})  # type: ignore[arg-type]
