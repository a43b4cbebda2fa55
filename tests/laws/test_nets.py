"""What every backbone obeys."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from modelsgenesis.core.backbone import Backbone
from modelsgenesis.core.errors import ShapeError
from modelsgenesis.nets import (
    ConvNeXt,
    PlannedUNet,
    Primus,
    ResidualUNet,
    ResNet,
    SegResNet,
    SliceWise,
    Swin,
    UNet3D,
    ViT,
)
from modelsgenesis.weights import load_network, save_network
from modelsgenesis.weights.files import distinct


def planned(
    kind: str, blocks: str, axes: int = 3, strides: tuple[tuple[int, ...], ...] = ((1, 1, 1), (1, 2, 2))
) -> Any:
    """An architecture of two or more stages as nnU-Net's plans have it."""
    return {
        "network_class_name": f"dynamic_network_architectures.architectures.unet.{kind}",
        "arch_kwargs": {
            "n_stages": len(strides),
            "features_per_stage": [8 * 2**stage for stage in range(len(strides))],
            "conv_op": f"torch.nn.modules.conv.Conv{axes}d",
            "kernel_sizes": [[1, 3, 3][-axes:], *([[3] * axes] * (len(strides) - 1))],
            "strides": [list(step) for step in strides],
            blocks: [2] * len(strides),
            "n_conv_per_stage_decoder": [2] * (len(strides) - 1),
            "conv_bias": True,
            "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{axes}d",
            "norm_op_kwargs": {"eps": 1e-05, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }


PLAIN = planned("PlainConvUNet", "n_conv_per_stage", strides=((1, 1, 1), (1, 2, 2), (2, 2, 2)))
RESIDUAL = planned("ResidualEncoderUNet", "n_blocks_per_stage")

BACKBONES: dict[str, Callable[[], Backbone]] = {
    "unet": lambda: UNet3D(width=4),
    "unet-official": lambda: UNet3D(width=4, norm="batch_stats"),
    "unet-keras": lambda: UNet3D(width=4, up="nearest", eps=1e-3),
    "unet-instance": lambda: UNet3D(width=4, norm="instance", in_channels=2, out_channels=3, activation="identity"),
    "unet-group": lambda: UNet3D(width=4, norm="group"),
    "unet-2d": lambda: UNet3D(width=4, axes=2),
    "residual": lambda: ResidualUNet(features=(8, 16, 32), strides=(1, 2, (2, 2, 1)), blocks=(1, 1, 1)),
    "residual-2d": lambda: ResidualUNet(features=(8, 16), strides=(1, 2), blocks=(1, 1), axes=2),
    "resnet": lambda: ResNet(blocks=(1, 2, 1, 1), width=4, shortcut="A"),
    "resnet-bottleneck": lambda: ResNet(blocks=(1, 1, 1, 1), width=4, bottleneck=True, in_channels=2, out_channels=3),
    "resnet-2d": lambda: ResNet(blocks=(1, 2, 1, 1), width=4, axes=2, dilated=False, in_channels=3, units=(4.4, -2.0)),
    "segresnet": lambda: SegResNet(width=4, blocks=(1, 2, 1), blocks_up=(2, 1), in_channels=2, out_channels=3),
    "segresnet-2d": lambda: SegResNet(width=4, blocks=(1, 1, 1), axes=2, norm="instance", activation="identity"),
    "convnext": lambda: ConvNeXt(blocks=(1, 2, 1, 1), width=4, in_channels=3, units=(4.4, -2.0)),
    "swin": lambda: Swin(embed=8, depths=(2, 1), heads=(1, 2), window=2, width=8, units=(4.0, -2.0)),
    "swin-2": lambda: Swin(embed=8, depths=(2, 1), heads=(1, 2), window=2, width=8, version=2),
    "vit": lambda: ViT(embed=8, depth=4, heads=2, patch=4, grid=3, width=8, units=(4.0, -2.0)),
    "vit-rotary": lambda: ViT(
        embed=8,
        depth=2,
        heads=2,
        patch=4,
        grid=3,
        hidden=12,
        width=8,
        class_token=False,
        layer_scale=True,
        gated=True,
        norm_hidden=True,
        rotary=True,
    ),
    "primus": lambda: Primus(embed=24, depth=2, heads=2, patch=4, grid=(2, 3, 2), units=(9.0, -3.0)),
    "primus-plain": lambda: Primus(
        embed=12, depth=1, heads=1, patch=8, grid=(2, 2, 2), hidden=16, layer_scale=False, norm_inner=False
    ),
    "residual-deep": lambda: ResidualUNet(
        features=(8, 16, 32), strides=(1, 2, 2), blocks=(1, 1, 1), out_channels=2, deep_supervision=True
    ),
    "planned-plain": lambda: PlannedUNet(PLAIN, units=(3.0, -1.5)),
    "planned-residual": lambda: PlannedUNet(RESIDUAL, in_channels=2, axis_order=(1, 2, 0)),
    "planned-deep": lambda: PlannedUNet(PLAIN, out_channels=2, activation="identity", deep_supervision=True),
    "axial-slices": lambda: SliceWise(UNet3D(2, width=4, axes=2)),
    "coronal-slices": lambda: SliceWise(UNet3D(3, 2, width=4, axes=2), across=1, neighbours=1),
    "planned-slices": lambda: SliceWise(
        PlannedUNet(planned("PlainConvUNet", "n_conv_per_stage", 2, ((1, 1), (1, 2), (2, 2))), deep_supervision=True)
    ),
    "planned-2d": lambda: PlannedUNet(planned("PlainConvUNet", "n_conv_per_stage", 2, ((1, 1), (1, 2)))),
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
    """Each parameter that asks for a gradient gets one from the predictions; DDP waits for all of them."""
    torch.stack(
        [prediction.square().mean() for prediction in backbone.predict_scales(images(backbone))]
    ).sum().backward()
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


def test_first_prediction_is_the_forward_pass(backbone: Backbone) -> None:
    """Deep supervision adds predictions of coarser scales, finest first, and changes nothing of the finest."""
    backbone.eval()
    x = images(backbone)
    predictions = backbone.predict_scales(x)
    assert torch.equal(predictions[0], backbone(x))
    sizes = [prediction.shape[2:].numel() for prediction in predictions]
    assert sizes == sorted(set(sizes), reverse=True)
    assert {prediction.shape[1] for prediction in predictions} == {predictions[0].shape[1]}


def test_saved_network_rebuilds_alone_and_predicts_the_same(backbone: Backbone, tmp_path: Path) -> None:
    """The file is enough: same class, same tensors, same prediction."""
    save_network(tmp_path / "model.safetensors", backbone, {"step": 3})
    loaded = load_network(tmp_path / "model.safetensors")
    assert type(loaded) is type(backbone)
    assert not loaded.training
    ours, theirs = distinct(backbone), distinct(loaded)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    x = images(backbone)
    assert torch.equal(loaded(x), backbone.eval()(x))
