"""torchvision's ConvNeXt, computed anew from its facts, predicts as ours does after loading its file."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from modelsgenesis.core.errors import ShapeError, WeightsError
from modelsgenesis.nets import ConvNeXt
from modelsgenesis.weights import load_weights
from modelsgenesis.weights.lifting import inflated
from modelsgenesis.weights.transfer import network_for, transfer

TINY = (3, 3, 9, 3)
WIDTH = 8  # 96 as published

State = dict[str, Tensor]


def draw(blocks: tuple[int, ...] = TINY, width: int = WIDTH) -> State:
    """Random tensors under the published names, with scales large enough for every block to count."""
    torch.manual_seed(0)
    state: State = {}

    def put(name: str, *shape: int, around: float = 0.0) -> None:
        fan = max(1, torch.Size(shape[1:]).numel())
        state[f"{name}.weight"] = around + torch.randn(shape) / fan**0.5
        state[f"{name}.bias"] = torch.randn(shape[0]) * 0.1

    put("features.0.0", width, 3, 4, 4)
    put("features.0.1", width, around=1.0)
    for stage, count in enumerate(blocks):
        channels = width * 2**stage
        if stage:
            put(f"features.{2 * stage}.0", channels // 2, around=1.0)
            put(f"features.{2 * stage}.1", channels, channels // 2, 2, 2)
        for block in range(count):
            name = f"features.{2 * stage + 1}.{block}"
            state[f"{name}.layer_scale"] = 0.5 + torch.rand(channels, 1, 1)
            put(f"{name}.block.0", channels, 1, 7, 7)
            put(f"{name}.block.2", channels, around=1.0)
            put(f"{name}.block.3", 4 * channels, channels)
            put(f"{name}.block.5", channels, 4 * channels)
    put("classifier.0", channels, around=1.0)
    put("classifier.2", 10, channels)
    return state


def features(state: State, x: Tensor) -> list[Tensor]:
    """What the published stages give of normalised pictures (B, 3, rows, columns), a quarter of their size first."""

    def pair(name: str) -> tuple[Tensor, Tensor]:
        return state[f"{name}.weight"], state[f"{name}.bias"]

    def norm(name: str, x: Tensor) -> Tensor:
        mean, variance = x.mean(1, keepdim=True), x.var(1, keepdim=True, unbiased=False)
        weight, bias = (value[:, None, None] for value in pair(name))
        return (x - mean) / torch.sqrt(variance + 1e-6) * weight + bias

    def dense(name: str, x: Tensor) -> Tensor:
        weight, bias = pair(name)
        return torch.einsum("bchw,dc->bdhw", x, weight) + bias[:, None, None]

    found = []
    x = norm("features.0.1", functional.conv2d(x, *pair("features.0.0"), stride=4))
    for stage in range(4):
        if stage:
            x = norm(f"features.{2 * stage}.0", x)
            x = functional.conv2d(x, *pair(f"features.{2 * stage}.1"), stride=2)
        block = 0
        while f"features.{2 * stage + 1}.{block}.layer_scale" in state:
            name = f"features.{2 * stage + 1}.{block}"
            y = functional.conv2d(x, *pair(f"{name}.block.0"), padding=3, groups=x.shape[1])
            y = dense(f"{name}.block.3", norm(f"{name}.block.2", y))
            y = 0.5 * y * (1 + torch.erf(y / 2**0.5))
            x = x + state[f"{name}.layer_scale"] * dense(f"{name}.block.5", y)
            block += 1
        found.append(x)
    return found


@pytest.fixture
def state(tmp_path: Path) -> State:
    """The tensors of a file as torchvision has it, in tmp_path."""
    state = draw()
    torch.save(state, tmp_path / "convnext.pth")
    return state


@pytest.mark.parametrize("prefix", ["module.", ""])
def test_features_are_the_originals(prefix: str, state: State, tmp_path: Path) -> None:
    """Equal to 1e-5 of their spread after every stage; the classifier is named as unused."""
    torch.save({prefix + name: tensor for name, tensor in state.items()}, tmp_path / "other.pth")
    there = load_weights(tmp_path / "other.pth")
    x = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        # ours are (X, Y), X along the rows
        ours, theirs = there.network.encode(x.mT)[1:], features(state, (x - 0.449) / 0.226)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.mT, other, atol=1e-5 * float(other.std()), rtol=1e-5)
    assert there.format == "torchvision ConvNeXt"
    assert (there.notes["prefix"], there.size) == (prefix, (224, 224))
    assert there.report.shares == {"encoder": 1.0, "decoder": 0.0, "head": 0.0}
    assert there.report.unused == tuple(prefix + name for name in state if name.startswith("classifier"))


def test_features_are_those_of_transformers() -> None:
    """The same as another implementation, of Hugging Face, gives from the same tensors, to 1e-5."""
    transformers = pytest.importorskip("transformers", reason="transformers, no requirement of ours, is not installed")
    config = transformers.ConvNextConfig(hidden_sizes=[WIDTH * 2**stage for stage in range(4)], depths=list(TINY))
    theirs = transformers.ConvNextModel(config).eval()
    state, renamed = draw(), {}
    for name, tensor in state.items():
        match name.split("."):
            case ["features", "0", "0", end]:
                renamed[f"embeddings.patch_embeddings.{end}"] = tensor
            case ["features", "0", "1", end]:
                renamed[f"embeddings.layernorm.{end}"] = tensor
            case ["features", stage, block, "layer_scale"]:
                place = f"encoder.stages.{int(stage) // 2}.layers.{block}"
                renamed[f"{place}.layer_scale_parameter"] = tensor.flatten()
            case ["features", stage, block, "block", layer, end]:
                called = {"0": "dwconv", "2": "layernorm", "3": "pwconv1", "5": "pwconv2"}[layer]
                renamed[f"encoder.stages.{int(stage) // 2}.layers.{block}.{called}.{end}"] = tensor
            case ["features", stage, layer, end]:
                renamed[f"encoder.stages.{int(stage) // 2}.downsampling_layer.{layer}.{end}"] = tensor
            case ["classifier", "0", end]:
                renamed[f"layernorm.{end}"] = tensor
    theirs.load_state_dict(renamed)
    ours = ConvNeXt(in_channels=3, width=WIDTH).eval()
    ours.encoder.load_state_dict({name: tensor for name, tensor in state.items() if name.startswith("features")})
    x = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        expected = theirs(x).last_hidden_state
        torch.testing.assert_close(ours.encode(x)[-1], expected, atol=1e-5 * float(expected.std()), rtol=1e-5)


def test_published_size() -> None:
    """With its classifier, a layer norm and a dense layer, ConvNeXt-Tiny has 28,589,128 parameters, as published."""
    with torch.device("meta"):
        encoder = ConvNeXt(in_channels=3).encoder
        classifier = nn.Sequential(nn.LayerNorm(768), nn.Linear(768, 1000))
    assert sum(p.numel() for module in (encoder, classifier) for p in module.parameters()) == 28_589_128


def test_grey_task_gets_the_predictions_of_three_equal_colours(state: State, tmp_path: Path) -> None:
    """A task of one channel sums the colours of the first convolution; nothing else of the encoder changes."""
    there = load_weights(tmp_path / "convnext.pth")
    network = network_for(there.network, in_channels=1, out_channels=2)
    report = transfer(there.network, network, loading=there.report)
    assert [row.tensor for row in report.rows if row.how == "adapted"] == ["encoder.features.0.0.weight"]
    grey = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        theirs = features(state, ((grey - 0.449) / 0.226).expand(-1, 3, -1, -1))[-1]
        ours = network.eval().encode(grey.mT)[-1].mT
        torch.testing.assert_close(ours, theirs, atol=1e-4 * float(theirs.std()), rtol=1e-4)


def test_decoder_learns(state: State, tmp_path: Path) -> None:
    """Thirty steps on one batch bring the error of a restoration to less than a third."""
    torch.manual_seed(0)
    network = ConvNeXt(width=8, blocks=(1, 1, 1, 1))
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    x = torch.rand(4, 1, 1, 1) * torch.ones(4, 1, 32, 32)
    errors = []
    for _ in range(30):
        loss = functional.mse_loss(network(x), x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        errors.append(float(loss.detach()))
    assert errors[-1] < errors[0] / 3


def test_volumes_are_refused(state: State, tmp_path: Path) -> None:
    """There is no ConvNeXt of three axes, neither from a file nor new."""
    with pytest.raises(WeightsError, match="ConvNeXt is for pictures"):
        inflated(load_weights(tmp_path / "convnext.pth"), 3)
    with pytest.raises(ShapeError, match="use resnet"):
        ConvNeXt(axes=3)


def test_missing_stage_is_reported(state: State, tmp_path: Path) -> None:
    """Three of four stages are no such network."""
    kept = {name: tensor for name, tensor in state.items() if not name.startswith("features.5")}
    torch.save(kept, tmp_path / "cut.pth")
    with pytest.raises(WeightsError, match=r"taken for torchvision ConvNeXt, but four stages .*\(3, 3, 0, 3\)"):
        load_weights(tmp_path / "cut.pth")
