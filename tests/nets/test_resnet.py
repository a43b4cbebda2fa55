"""The residual network is MedicalNet's, in size and in what its settings mean."""

from typing import Any

import pytest
import torch

from modelsgenesis.core.errors import ShapeError
from modelsgenesis.nets.resnet import ResNet


@pytest.mark.parametrize(
    ("settings", "millions"),
    [
        ({"blocks": (1, 1, 1, 1)}, 14.36),
        ({"blocks": (2, 2, 2, 2), "shortcut": "A"}, 32.99),
        ({"blocks": (3, 4, 6, 3), "shortcut": "A"}, 63.31),
        ({"blocks": (3, 4, 6, 3), "bottleneck": True}, 46.21),
    ],
    ids=["10", "18", "34", "50"],
)
def test_encoders_have_the_published_sizes(settings: dict[str, Any], millions: float) -> None:
    """Depths 10, 18, 34 and 50 have 14.36, 32.99, 63.31 and 46.21 million numbers, running statistics included."""
    with torch.device("meta"):
        encoder = ResNet(**settings).encoder
    numbers = sum(tensor.numel() for tensor in encoder.state_dict().values())
    assert numbers / 1e6 == pytest.approx(millions, abs=0.005)


def test_features_shrink_by_two_down_to_an_eighth() -> None:
    """Layers 3 and 4 keep the size; the skip at full size is the decoder's own."""
    network = ResNet(blocks=(1, 1, 1, 1), width=4)
    sizes = [tuple(feature.shape[2:]) for feature in network.encode(torch.rand(1, 1, 32, 16, 24))]
    assert sizes == [(32, 16, 24), (16, 8, 12), (8, 4, 6), (4, 2, 3)]
    assert [part for part, module in network.parts() if module is network.finest] == ["decoder"]


def test_undilated_features_shrink_down_to_a_32nd_in_2d() -> None:
    """As ImageNet's do; a picture must divide by 32, and the prediction is of its size."""
    network = ResNet(blocks=(1, 1, 1, 1), width=4, axes=2, dilated=False)
    x = torch.rand(1, 1, 64, 96)
    sizes = [tuple(feature.shape[2:]) for feature in network.encode(x)]
    assert sizes == [(64, 96), (32, 48), (16, 24), (8, 12), (4, 6), (2, 3)]
    assert network.stride == (32, 32)
    assert network(x).shape == (1, 1, 64, 96)


def test_units_are_of_the_encoder_alone() -> None:
    """The encoder sees image * scale + shift; the decoder's own convolution sees the image."""
    torch.manual_seed(0)
    one = ResNet(blocks=(1, 1, 1, 1), width=4, axes=2).eval()
    other = ResNet(blocks=(1, 1, 1, 1), width=4, axes=2, units=(3.0, -1.0)).eval()
    other.load_state_dict(one.state_dict())
    x = torch.rand(1, 1, 16, 16)
    torch.testing.assert_close(other.encode(x)[-1], one.encode(3 * x - 1)[-1])
    torch.testing.assert_close(other.encode(x)[0], one.encode(x)[0])


def test_shortcut_without_weights_lets_the_gradient_through() -> None:
    """A block whose convolutions are zero still passes every other voxel on, and learns through it."""
    network = ResNet(blocks=(1, 1, 1, 1), width=4, shortcut="A")
    block = network.encoder.layer2[0]
    torch.nn.init.zeros_(block.bn2.weight)
    x = torch.rand(1, 4, 4, 4, 4, requires_grad=True)
    y = block(x)
    assert torch.equal(y[:, :4], x[:, :, ::2, ::2, ::2])
    assert not y[:, 4:].any()
    y.sum().backward()
    assert x.grad is not None
    assert float(x.grad.sum()) == 4 * 8


@pytest.mark.parametrize(
    ("argument", "error"),
    [({"blocks": (1, 1, 1)}, ShapeError), ({"blocks": (1, 0, 1, 1)}, ShapeError), ({"width": 0}, ShapeError),
     ({"shortcut": "C"}, ValueError), ({"axes": 4}, ValueError)],
)  # fmt: skip
def test_unknown_settings_are_refused(argument: dict[str, Any], error: type[Exception]) -> None:
    """What was given is named."""
    with pytest.raises(error, match="must be"):
        ResNet(**argument)
