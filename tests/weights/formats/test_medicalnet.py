"""MedicalNet's encoder, computed anew from its facts, predicts as ours does after loading its file."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from modelsgenesis.core.errors import WeightsError
from modelsgenesis.weights import load_weights
from modelsgenesis.weights.transfer import network_for, transfer

WIDTH = 4  # 64 as published
DEPTHS = {  # blocks a layer, whether with bottlenecks, and the shortcut that was published
    10: ((1, 1, 1, 1), False, "B"),
    18: ((2, 2, 2, 2), False, "A"),
    34: ((3, 4, 6, 3), False, "A"),
    50: ((3, 4, 6, 3), True, "B"),
}

State = dict[str, Tensor]


def draw(blocks: tuple[int, ...], bottleneck: bool, shortcut: str) -> State:
    """Random tensors under the published names."""
    torch.manual_seed(0)
    state: State = {}

    def convolution(name: str, out: int, channels: int, side: int) -> None:
        state[f"{name}.weight"] = torch.randn(out, channels, side, side, side) / (channels * side**3) ** 0.5

    def norm(name: str, channels: int) -> None:
        state[f"{name}.weight"], state[f"{name}.bias"] = torch.rand(channels) + 0.5, torch.randn(channels) * 0.1
        state[f"{name}.running_mean"], state[f"{name}.running_var"] = torch.randn(channels), torch.rand(channels) + 0.5
        state[f"{name}.num_batches_tracked"] = torch.tensor(7)

    convolution("conv1", WIDTH, 1, 7)
    norm("bn1", WIDTH)
    channels = WIDTH
    for layer, count in enumerate(blocks):
        inner = WIDTH * 2**layer
        out = inner * (4 if bottleneck else 1)
        for block in range(count):
            name = f"layer{layer + 1}.{block}"
            sides = (1, 3, 1) if bottleneck else (3, 3)
            ends = (inner, inner, out) if bottleneck else (inner, inner)
            if shortcut == "B" and block == 0 and (layer > 0 or channels != out):
                convolution(f"{name}.downsample.0", out, channels, 1)
                norm(f"{name}.downsample.1", out)
            for number, (side, end) in enumerate(zip(sides, ends, strict=True)):
                convolution(f"{name}.conv{number + 1}", end, channels, side)
                norm(f"{name}.bn{number + 1}", end)
                channels = end
    return state


def prediction(state: State, x: Tensor, blocks: tuple[int, ...], bottleneck: bool) -> Tensor:
    """The deepest features: layer 2 halves the size, layers 3 and 4 dilate by 2 and 4 instead."""

    def norm(name: str, x: Tensor) -> Tensor:
        mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        return functional.batch_norm(x, mean, variance, state[f"{name}.weight"], state[f"{name}.bias"])

    x = functional.relu(norm("bn1", functional.conv3d(x, state["conv1.weight"], stride=2, padding=3)))
    x = functional.max_pool3d(x, 3, stride=2, padding=1)
    for layer, (count, first, dilation) in enumerate(zip(blocks, (1, 2, 1, 1), (1, 1, 2, 4), strict=True)):
        for block in range(count):
            name, stride, y = f"layer{layer + 1}.{block}", first if block == 0 else 1, x
            moving = 2 if bottleneck else 1  # the convolution that strides
            for number in range(1, 4 if bottleneck else 3):
                weights = state[f"{name}.conv{number}.weight"]
                wide = dilation if weights.shape[2] == 3 else 1
                around = wide if weights.shape[2] == 3 else 0
                step = stride if number == moving else 1
                y = functional.conv3d(y, weights, stride=step, padding=around, dilation=wide)
                y = norm(f"{name}.bn{number}", y)
                if f"{name}.conv{number + 1}.weight" in state:
                    y = functional.relu(y)
            if f"{name}.downsample.0.weight" in state:
                x = norm(
                    f"{name}.downsample.1", functional.conv3d(x, state[f"{name}.downsample.0.weight"], stride=stride)
                )
            elif x.shape != y.shape:
                x = functional.avg_pool3d(x, 1, stride=stride)
                x = torch.cat([x, x.new_zeros(x.shape[0], y.shape[1] - x.shape[1], *x.shape[2:])], dim=1)
            x = functional.relu(x + y)
    return x


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("prefix", ["module.", ""])
def test_deepest_features_are_the_originals(depth: int, prefix: str, tmp_path: Path) -> None:
    """Equal to 1e-4 in evaluation, at every published depth up to 50, with or without the prefix."""
    blocks, bottleneck, shortcut = DEPTHS[depth]
    state = draw(blocks, bottleneck, shortcut)
    named = {prefix + name: tensor for name, tensor in state.items()}
    torch.save({"state_dict": named, "epoch": 3} if prefix else named, tmp_path / "resnet.pth")
    opened = load_weights(tmp_path / "resnet.pth")
    x = torch.rand(2, 1, 32, 48, 16)
    theirs = prediction(state, x, blocks, bottleneck)
    torch.testing.assert_close(opened.network.encode(x)[-1], theirs, atol=1e-4, rtol=0)
    assert float(theirs.std()) > 0.1
    assert opened.format == "MedicalNet"
    assert (opened.notes["depth"], opened.notes["shortcut"], opened.notes["prefix"]) == (depth, shortcut, prefix)


def test_report_says_that_the_decoder_is_fresh(tmp_path: Path) -> None:
    """The encoder is whole; what MedicalNet does not have is left at random, and what is of no use is named."""
    state = {**draw(*DEPTHS[10]), "conv_seg.0.weight": torch.rand(1)}
    torch.save({"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}}, tmp_path / "resnet.pth")
    report = load_weights(tmp_path / "resnet.pth").report
    assert report.shares == {"encoder": 1.0, "decoder": 0.0, "head": 0.0}
    assert report.unused == ("module.conv_seg.0.weight",)
    assert {row.why for row in report.rows if row.how == "random" and row.learned} == {
        "MedicalNet has an encoder alone"
    }


def test_a_task_starts_from_it(tmp_path: Path) -> None:
    """Two channels and three classes: enough of the encoder fits."""
    torch.save(draw(*DEPTHS[18]), tmp_path / "resnet.pth")
    pretrained = load_weights(tmp_path / "resnet.pth").network
    network = network_for(pretrained, in_channels=2, out_channels=3)
    assert transfer(pretrained, network).shares["encoder"] > 0.95
    assert network(torch.rand(1, 2, 16, 16, 16)).shape == (1, 3, 16, 16, 16)


def test_missing_layer_is_reported(tmp_path: Path) -> None:
    """Three of four layers are no MedicalNet."""
    state = {name: tensor for name, tensor in draw(*DEPTHS[10]).items() if not name.startswith("layer3")}
    torch.save(state, tmp_path / "resnet.pth")
    with pytest.raises(WeightsError, match=r"taken for MedicalNet, but four layers were expected.*\(1, 1, 0, 1\)"):
        load_weights(tmp_path / "resnet.pth")


@pytest.mark.parametrize(
    "other",
    [
        {"fc.weight": torch.rand(400, 32)},
        {"layer2.0.downsample.0.bias": torch.rand(8)},
        {"conv1.weight": torch.rand(WIDTH, 3, 7, 7, 7)},
        {"conv1.weight": torch.rand(WIDTH, 1, 3, 7, 7)},
    ],
    ids=["dense layer", "biased shortcut", "colour", "flat"],
)
def test_networks_of_the_same_names_are_not_taken_for_it(other: State, tmp_path: Path) -> None:
    """Networks of videos and MONAI's own shrink where MedicalNet dilates: the same weights would predict wrongly."""
    torch.save({**draw(*DEPTHS[10]), **other}, tmp_path / "resnet.pth")
    with pytest.raises(WeightsError, match="no layout known here"):
        load_weights(tmp_path / "resnet.pth")
