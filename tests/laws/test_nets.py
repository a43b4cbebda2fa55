"""What every backbone obeys."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from modelsgenesis.core.backbone import Backbone
from modelsgenesis.core.errors import ShapeError
from modelsgenesis.nets import ResidualUNet, UNet3D
from modelsgenesis.weights import load_network, save_network
from modelsgenesis.weights.files import distinct

BACKBONES: dict[str, Callable[[], Backbone]] = {
    "unet": lambda: UNet3D(width=4),
    "unet-official": lambda: UNet3D(width=4, norm="batch_stats"),
    "unet-keras": lambda: UNet3D(width=4, up="nearest"),
    "unet-instance": lambda: UNet3D(width=4, norm="instance", in_channels=2, out_channels=3, activation="identity"),
    "unet-group": lambda: UNet3D(width=4, norm="group"),
    "unet-2d": lambda: UNet3D(width=4, axes=2),
    "residual": lambda: ResidualUNet(features=(8, 16, 32), strides=(1, 2, (2, 2, 1)), blocks=(1, 1, 1)),
    "residual-2d": lambda: ResidualUNet(features=(8, 16), strides=(1, 2), blocks=(1, 1), axes=2),
    "residual-deep": lambda: ResidualUNet(
        features=(8, 16, 32), strides=(1, 2, 2), blocks=(1, 1, 1), out_channels=2, deep_supervision=True
    ),
}


@pytest.fixture(params=BACKBONES)
def backbone(request: pytest.FixtureRequest) -> Backbone:
    """One of the backbones, with the same weights each time."""
    torch.manual_seed(0)
    return BACKBONES[request.param]()


def images(backbone: Backbone) -> torch.Tensor:
    """A batch of two that the backbone takes, twice its stride a side."""
    sides = (2 * step for step in backbone.stride)
    return torch.rand(2, backbone.in_channels, *(max(side, 16) for side in sides))


def test_channels_and_order_of_features_are_as_declared(backbone: Backbone) -> None:
    """Features come finest first with the declared channels, and decoding gives the finest size."""
    x = images(backbone)
    features = backbone.encode(x)
    assert tuple(feature.shape[1] for feature in features) == backbone.channels
    assert features[0].shape[2:] == x.shape[2:]
    assert [f.shape[-2] for f in features] == sorted((f.shape[-2] for f in features), reverse=True)
    assert backbone.decode(features).shape == (2, backbone.channels[0], *x.shape[2:])


def test_stride_is_true(backbone: Backbone) -> None:
    """A side of the stride's multiple works; one voxel more is refused."""
    x = images(backbone)
    assert backbone(x).shape[2:] == x.shape[2:]
    with pytest.raises(ShapeError, match="divide by"):
        backbone(torch.rand(1, backbone.in_channels, x.shape[2] + 1, *x.shape[3:]))


def test_nothing_is_left_on_the_network(backbone: Backbone) -> None:
    """A pass leaves no activation behind."""
    before = set(vars(backbone))
    backbone(images(backbone))
    assert set(vars(backbone)) == before


def test_every_parameter_learns(backbone: Backbone) -> None:
    """Each parameter that asks for a gradient gets one from the answers; DDP waits for all of them."""
    torch.stack([answer.square().mean() for answer in backbone.answers(images(backbone))]).sum().backward()
    lazy = [name for name, p in backbone.named_parameters() if p.requires_grad and p.grad is None]
    assert lazy == []


def test_parts_hold_every_tensor_once(backbone: Backbone) -> None:
    """No parameter or buffer is in two parts or in none, so shares of the parts are shares of the network."""
    parts = [module for _, module in backbone.parts()]
    ours = [id(tensor) for module in parts for tensor in (*module.parameters(), *module.buffers())]
    whole = [id(tensor) for tensor in (*backbone.parameters(), *backbone.buffers())]
    assert sorted(ours) == sorted(whole)


def test_parts_come_in_the_order_of_the_image(backbone: Backbone) -> None:
    """The encoder is first and the head last, and an image passes the modules in their order."""
    words = [part for part, _ in backbone.parts()]
    assert words == sorted(words, key=["encoder", "decoder", "head"].index)
    assert set(words) == {"encoder", "decoder", "head"}
    passed: list[int] = []
    for depth, (_, module) in enumerate(backbone.parts()):
        for leaf in module.modules():
            if not list(leaf.children()):
                leaf.register_forward_hook(lambda *_, depth=depth: passed.append(depth))
    backbone(images(backbone))
    assert passed == sorted(passed)
    assert set(passed) == set(range(len(words)))


def test_first_answer_is_the_forward_pass(backbone: Backbone) -> None:
    """Deep supervision adds answers of coarser scales, finest first, and changes nothing of the finest."""
    backbone.eval()
    x = images(backbone)
    answers = backbone.answers(x)
    assert torch.equal(answers[0], backbone(x))
    sizes = [answer.shape[2:].numel() for answer in answers]
    assert sizes == sorted(set(sizes), reverse=True)
    assert {answer.shape[1] for answer in answers} == {answers[0].shape[1]}


def test_saved_network_rebuilds_alone_and_answers_the_same(backbone: Backbone, tmp_path: Path) -> None:
    """The file is enough: same class, same tensors, same answer."""
    save_network(tmp_path / "model.safetensors", backbone, {"step": 3})
    loaded = load_network(tmp_path / "model.safetensors")
    assert type(loaded) is type(backbone)
    assert not loaded.training
    ours, theirs = distinct(backbone), distinct(loaded)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    x = images(backbone)
    assert torch.equal(loaded(x), backbone.eval()(x))
