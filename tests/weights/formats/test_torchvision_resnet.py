"""torchvision's residual networks, computed anew from their facts, predict as ours do after loading their files."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from modelsgenesis.core.errors import WeightsError
from modelsgenesis.nets import UNet3D
from modelsgenesis.nets.resnet import ResNet
from modelsgenesis.weights import load_weights
from modelsgenesis.weights.formats import LoadedWeights
from modelsgenesis.weights.lifting import inflated
from modelsgenesis.weights.transfer import network_for, transfer, whole

WIDTH = 4  # 64 as published
DEPTHS = {18: ((2, 2, 2, 2), False), 34: ((3, 4, 6, 3), False), 50: ((3, 4, 6, 3), True)}

State = dict[str, Tensor]


def draw(blocks: tuple[int, ...], bottleneck: bool, *, classes: int = 10) -> State:
    """Random tensors under the published names."""
    torch.manual_seed(0)
    state: State = {}

    def convolution(name: str, out: int, channels: int, side: int) -> None:
        state[f"{name}.weight"] = torch.randn(out, channels, side, side) / (channels * side**2) ** 0.5

    def norm(name: str, channels: int) -> None:
        state[f"{name}.weight"], state[f"{name}.bias"] = torch.rand(channels) + 0.5, torch.randn(channels) * 0.1
        state[f"{name}.running_mean"] = torch.randn(channels) * 0.1
        state[f"{name}.running_var"] = torch.rand(channels) + 0.5
        state[f"{name}.num_batches_tracked"] = torch.tensor(7)

    convolution("conv1", WIDTH, 3, 7)
    norm("bn1", WIDTH)
    channels = WIDTH
    for layer, count in enumerate(blocks):
        inner = WIDTH * 2**layer
        out = inner * (4 if bottleneck else 1)
        for block in range(count):
            name = f"layer{layer + 1}.{block}"
            sides = (1, 3, 1) if bottleneck else (3, 3)
            ends = (inner, inner, out) if bottleneck else (inner, inner)
            if block == 0 and (layer > 0 or channels != out):
                convolution(f"{name}.downsample.0", out, channels, 1)
                norm(f"{name}.downsample.1", out)
            for number, (side, end) in enumerate(zip(sides, ends, strict=True)):
                convolution(f"{name}.conv{number + 1}", end, channels, side)
                norm(f"{name}.bn{number + 1}", end)
                channels = end
    state["fc.weight"], state["fc.bias"] = torch.randn(classes, channels), torch.randn(classes)
    return state


def deepest(state: State, x: Tensor) -> Tensor:
    """The last feature of the published network, of normalised pictures (B, 3, rows, columns): a 32nd of the size."""

    def norm(name: str, x: Tensor) -> Tensor:
        mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        return functional.batch_norm(x, mean, variance, state[f"{name}.weight"], state[f"{name}.bias"])

    x = functional.relu(norm("bn1", functional.conv2d(x, state["conv1.weight"], stride=2, padding=3)))
    x = functional.max_pool2d(x, 3, stride=2, padding=1)
    names = dict.fromkeys(".".join(name.split(".")[:2]) for name in state if name.startswith("layer"))
    for name in names:
        stride = 2 if name.endswith(".0") and not name.startswith("layer1") else 1
        last = 3 if f"{name}.conv3.weight" in state else 2
        y = x
        for number in range(1, last + 1):
            weights = state[f"{name}.conv{number}.weight"]
            step = stride if number == last - 1 else 1  # the first of two, the middle of three
            y = norm(f"{name}.bn{number}", functional.conv2d(y, weights, stride=step, padding=weights.shape[2] // 2))
            y = functional.relu(y) if number < last else y
        if f"{name}.downsample.0.weight" in state:
            shorter = functional.conv2d(x, state[f"{name}.downsample.0.weight"], stride=stride)
            x = norm(f"{name}.downsample.1", shorter)
        x = functional.relu(x + y)
    return x


def normalised(x: Tensor) -> Tensor:
    """From [0, 1] to what the network was trained on."""
    return (x - 0.449) / 0.226


def opened(path: Path, depth: int = 18) -> tuple[State, LoadedWeights]:
    """A file as torchvision has it, opened."""
    state = draw(*DEPTHS[depth])
    torch.save(state, path / "resnet.pth")
    return state, load_weights(path / "resnet.pth")


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("prefix", ["module.", ""])
def test_deepest_features_are_the_originals(depth: int, prefix: str, tmp_path: Path) -> None:
    """Equal to 1e-4 in evaluation, at every depth, with or without a prefix; the dense layer is named as unused."""
    state = draw(*DEPTHS[depth])
    torch.save({prefix + name: tensor for name, tensor in state.items()}, tmp_path / "resnet.pth")
    there = load_weights(tmp_path / "resnet.pth")
    rows_and_columns = torch.rand(2, 3, 64, 96)
    theirs = deepest(state, normalised(rows_and_columns))
    ours = there.network.encode(rows_and_columns.mT)[-1]  # our pictures are (X, Y), X along the rows
    torch.testing.assert_close(ours.mT, theirs, atol=1e-4, rtol=0)
    assert float(theirs.std()) > 0.1
    assert there.format == "torchvision ResNet"
    assert (there.notes["depth"], there.notes["prefix"], there.size) == (depth, prefix, (224, 224))
    assert there.report.shares == {"encoder": 1.0, "decoder": 0.0, "head": 0.0}
    assert there.report.unused == (f"{prefix}fc.weight", f"{prefix}fc.bias")


def test_grey_task_gets_the_predictions_of_three_equal_colours(tmp_path: Path) -> None:
    """A task of one channel sums the colours of the first convolution; nothing else of the encoder changes."""
    state, there = opened(tmp_path)
    network = network_for(there.network, in_channels=1, out_channels=2)
    report = transfer(there.network, network, loading=there.report)
    assert [row.tensor for row in report.rows if row.how == "adapted"] == ["encoder.conv1.weight"]
    assert report.shares["encoder"] == 1.0
    grey = torch.rand(2, 1, 64, 64)
    theirs = deepest(state, normalised(grey.expand(-1, 3, -1, -1)))
    torch.testing.assert_close(network.eval().encode(grey.mT)[-1].mT, theirs, atol=1e-4, rtol=0)


@pytest.mark.parametrize("depth", [18, 50])
def test_inflated_network_predicts_a_constant_volume_as_its_slice(depth: int, tmp_path: Path) -> None:
    """Of a volume that is constant along Z every feature in its middle is the slice's, to 1e-4.

    The deepest ones see some 500 voxels along Z, so the ends lie farther off than half of that.
    """
    _, there = opened(tmp_path, depth)
    volumes = inflated(there, 3)
    flat = torch.rand(1, 3, 32, 32)
    thick = flat[..., None].expand(-1, -1, -1, -1, 640)
    with torch.no_grad():
        slices, solid = there.network.encode(flat), volumes.network.encode(thick)
    assert len(slices) == 6
    for one, other in zip(slices, solid, strict=True):
        torch.testing.assert_close(other[..., other.shape[-1] // 2], one, atol=1e-4, rtol=0)
    assert volumes.network.axes == 3
    assert volumes.report.shares["encoder"] == 1.0
    reasons = {row.tensor: row.why for row in volumes.report.rows if row.how == "adapted"}
    assert reasons["encoder.conv1.weight"] == "repeated along Z, each / 7"


def test_flat_unet_is_inflated_whole(tmp_path: Path) -> None:
    """A U-Net's decoder too: its transposed convolutions reach every voxel once, and are not divided."""
    torch.manual_seed(1)
    network = UNet3D(width=2, axes=2, norm="batch").eval()
    volumes = inflated(LoadedWeights(network, whole(network), "modelsgenesis"), 3).network
    flat = torch.rand(1, 1, 16, 16)
    thick = flat[..., None].expand(-1, -1, -1, -1, 160)
    with torch.no_grad():
        torch.testing.assert_close(volumes(thick)[..., 80], network(flat), atol=1e-5, rtol=0)


def test_network_of_volumes_is_refused_for_pictures(tmp_path: Path) -> None:
    """There is no honest way back."""
    network = UNet3D(width=2)
    with pytest.raises(WeightsError, match="of volumes, 3 axes, and the images are 2D pictures"):
        inflated(LoadedWeights(network, whole(network), "modelsgenesis"), 2)


def test_missing_layer_is_reported(tmp_path: Path) -> None:
    """Three of four layers are no such network."""
    state = {name: tensor for name, tensor in draw(*DEPTHS[18]).items() if not name.startswith("layer3")}
    torch.save(state, tmp_path / "resnet.pth")
    with pytest.raises(WeightsError, match=r"taken for torchvision ResNet, but four layers were .*\(2, 2, 0, 2\)"):
        load_weights(tmp_path / "resnet.pth")


def test_grouped_blocks_are_refused(tmp_path: Path) -> None:
    """A ResNeXt has the same names and other shapes; its weights in our blocks would be another network."""
    state = draw(*DEPTHS[50])
    state["layer1.0.conv2.weight"] = state["layer1.0.conv2.weight"][:, :2]
    torch.save(state, tmp_path / "resnext.pth")
    with pytest.raises(WeightsError, match=r"encoder\.layer1\.0\.conv2\.weight would be \(4, 2, 3, 3\)"):
        load_weights(tmp_path / "resnext.pth")


def test_published_sizes() -> None:
    """Depths 18, 34 and 50 without the dense layer have 11.18, 21.28 and 23.51 million parameters, as published."""
    for depth, millions in ((18, 11.18), (34, 21.28), (50, 23.51)):
        blocks, bottleneck = DEPTHS[depth]
        with torch.device("meta"):
            encoder = ResNet(3, blocks=blocks, bottleneck=bottleneck, axes=2, dilated=False).encoder
        assert sum(p.numel() for p in encoder.parameters()) / 1e6 == pytest.approx(millions, abs=0.005)
