"""The residual-encoder U-Net predicts at one scale, or at all where it is supervised deeply."""

import torch
from torch import nn

from modelsgenesis.nets import ResidualUNet


def small(*, deep_supervision: bool) -> ResidualUNet:
    """Three stages, the same weights each time."""
    torch.manual_seed(0)
    return ResidualUNet(
        out_channels=2,
        features=(8, 16, 32),
        strides=(1, 2, (2, 2, 1)),
        blocks=(1, 1, 1),
        activation="identity",
        deep_supervision=deep_supervision,
    )


def heads(network: ResidualUNet) -> list[nn.Parameter]:
    """The parameters of all heads, coarsest first."""
    (head,) = [module for part, module in network.parts() if part == "head"]
    return list(head.parameters())


def test_deep_supervision_predicts_at_every_scale_of_the_decoder() -> None:
    """Two rises give two predictions, the finest at the image's size, the next at half of it."""
    predictions = small(deep_supervision=True).predict_scales(torch.rand(1, 1, 16, 16, 8))
    assert [tuple(prediction.shape) for prediction in predictions] == [(1, 2, 16, 16, 8), (1, 2, 8, 8, 4)]


def test_coarser_heads_learn_only_under_deep_supervision() -> None:
    """Without it they are frozen, there is one prediction, and the finest head alone gets a gradient."""
    x = torch.rand(1, 1, 16, 16, 8)
    for deep in (False, True):
        network = small(deep_supervision=deep)
        predictions = network.predict_scales(x)
        assert len(predictions) == (2 if deep else 1)
        torch.stack([prediction.square().mean() for prediction in predictions]).sum().backward()
        assert [parameter.grad is not None for parameter in heads(network)] == [deep, deep, True, True]


def test_deep_supervision_changes_no_weight_and_no_finest_prediction() -> None:
    """The same network predicts the same with and without it."""
    x = torch.rand(1, 1, 16, 16, 8)
    assert torch.equal(small(deep_supervision=True)(x), small(deep_supervision=False)(x))
