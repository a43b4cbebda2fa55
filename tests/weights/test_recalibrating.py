"""A network of batch statistics becomes one whose predictions do not depend on the company of a cube."""

import pytest
import torch
from torch import Tensor

from modelsgenesis.core.errors import WeightsError
from modelsgenesis.nets import ResidualUNet, UNet3D
from modelsgenesis.nets.norms import BatchNorm
from modelsgenesis.weights.recalibrating import Difference, compare_networks, recalibrate


def cubes(num: int, seed: int = 0) -> Tensor:
    """Cubes of 16 voxels a side, each of another brightness."""
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(num, 1, 16, 16, 16, generator=rng) * torch.rand(num, 1, 1, 1, 1, generator=rng)


@pytest.fixture
def network() -> UNet3D:
    """A small network of batch statistics, with weights that make its predictions differ."""
    torch.manual_seed(0)
    network = UNet3D(width=2, norm="batch_stats")
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return network.eval()


def state(network: torch.nn.Module) -> dict[str, Tensor]:
    """A copy of all tensors."""
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def test_predictions_no_longer_depend_on_the_batch(network: UNet3D) -> None:
    """Before they do, by far more than rounding."""
    new = recalibrate(network, cubes(24).split(8))
    measured = compare_networks(network, new, cubes(6, seed=1))
    assert measured.before.largest > 0.05
    assert measured.before.mean > 0.005
    assert measured.after.largest < 1e-5
    assert not new.training
    assert new.norm == "batch"


def test_nothing_is_changed_in_the_network_it_is_made_from(network: UNet3D) -> None:
    """Neither weights nor running statistics."""
    before = state(network)
    compare_networks(network, recalibrate(network, cubes(4).split(2)), cubes(2))
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert not network.training


def test_weights_are_taken_and_statistics_are_not(network: UNet3D) -> None:
    """What was stored as running statistics has no influence."""
    twin = UNet3D(width=2, norm="batch_stats").eval()
    twin.load_state_dict(network.state_dict())
    for layer in twin.modules():
        if isinstance(layer, BatchNorm):
            assert layer.running_mean is not None
            layer.running_mean.fill_(7.0)
    ours, theirs = (state(recalibrate(one, cubes(4).split(2))) for one in (network, twin))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert all(torch.equal(ours[name], network.state_dict()[name]) for name, _ in network.named_parameters())


def test_statistics_are_the_plain_means_over_the_batches(network: UNet3D) -> None:
    """Re-derived for the first layer, whose input is the convolved cubes alone; every batch counts the same."""
    batches = cubes(12).split(4)
    layer = recalibrate(network, batches).down[0][1]
    convolved = [network.down[0][0](batch).transpose(0, 1).flatten(1) for batch in batches]  # (C, values)
    assert isinstance(layer, BatchNorm)
    assert layer.running_mean is not None
    assert layer.running_var is not None
    torch.testing.assert_close(layer.running_mean, torch.stack([values.mean(1) for values in convolved]).mean(0))
    torch.testing.assert_close(layer.running_var, torch.stack([values.var(1) for values in convolved]).mean(0))
    assert layer.num_batches_tracked == 3
    assert layer.momentum == 0.1


def test_one_batch_gives_the_predictions_of_that_batch(network: UNet3D) -> None:
    """The new network predicts as the old one does in that very company, but for the unbiased variance."""
    batch = cubes(4)
    new = recalibrate(network, [batch])
    measured = compare_networks(network, new, batch)
    assert measured.moved.largest < 0.02
    assert measured.moved.largest < measured.before.largest / 10


def test_ordinary_batch_norm_can_be_recalibrated_too(network: UNet3D) -> None:
    """For scans of another kind than it was trained on; alone or in a batch it predicts the same all along."""
    ordinary = UNet3D(width=2, norm="batch").eval()
    new = recalibrate(ordinary, cubes(8).split(4))
    measured = compare_networks(ordinary, new, cubes(3, seed=1))
    assert measured.before.largest < 1e-5
    assert measured.after.largest < 1e-5
    assert measured.moved.mean > 1e-4


def test_networks_without_such_a_norm_are_refused() -> None:
    """They keep no statistics."""
    with pytest.raises(WeightsError, match="its norm is instance, which keeps no statistics"):
        recalibrate(UNet3D(width=2, norm="instance"), [cubes(2)])
    with pytest.raises(WeightsError, match="ResidualUNet has a norm of its own kind"):
        recalibrate(ResidualUNet(features=(4, 8), strides=(1, 2), blocks=(1, 1)), [cubes(2)])


def test_no_batch_and_no_numbers_are_refused(network: UNet3D) -> None:
    """A network without statistics, or with statistics that are no numbers, is never given back."""
    with pytest.raises(WeightsError, match="no batch was given"):
        recalibrate(network, [])
    with pytest.raises(WeightsError, match="predicts no numbers"):
        recalibrate(network, [cubes(2) * float("nan")])


def test_difference_is_the_largest_and_the_mean() -> None:
    """Absolute, over all values."""
    assert Difference.between(torch.tensor([0.0, 1.0]), torch.tensor([0.5, -1.0])) == Difference(2.0, 1.25)
