"""MONAI's own SegResNetDS and SegResEncoder, CT-FM's among them, predict as ours do after loading their files."""

from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from monai.networks.nets.segresnet_ds import SegResEncoder, SegResNetDS
from torch import Tensor, nn

from modelsgenesis.core.errors import WeightsError
from modelsgenesis.data.images import Reading
from modelsgenesis.data.intensity import Window
from modelsgenesis.nets import SegResNet
from modelsgenesis.weights import load_weights
from modelsgenesis.weights.transfer import network_for, transfer

CT_FM: dict[str, Any] = {"spatial_dims": 3, "in_channels": 1, "init_filters": 4, "blocks_down": (1, 2, 2, 4, 4)}
# init_filters is 32 as published


def shaken(network: nn.Module) -> nn.Module:
    """Every tensor at random, running statistics too, so that one in the wrong place or turned wrongly shows."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                noise = torch.rand(tensor.shape, generator=generator) * 0.2
                tensor.add_(noise if name.endswith("running_var") else noise - 0.1)
    return network.eval()


def turned(x: Tensor) -> Tensor:
    """(B, C, X, Y, Z) as CT-FM's authors feed it: superior, posterior and left in this order, and back."""
    return x.permute(0, 1, 4, 3, 2)


def test_published_encoder_gives_the_originals_features(tmp_path: Path) -> None:
    """ct_fm_feature_extractor: bare names in safetensors; every level's features equal to 1e-4, in our axes."""
    reference = shaken(SegResEncoder(**CT_FM))
    safetensors.torch.save_file(reference.state_dict(), tmp_path / "model.safetensors")
    opened = load_weights(tmp_path / "model.safetensors")
    image = torch.rand(2, 1, 48, 16, 32)
    with torch.no_grad():
        theirs, ours = reference(turned(image)), opened.network.encode(image)
    for theirs_one, ours_one in zip(theirs, ours, strict=True):
        assert float(theirs_one.std()) > 0.01
        torch.testing.assert_close(turned(ours_one), theirs_one, atol=1e-4, rtol=1e-4)
    assert opened.reading == Reading(Window(-1024.0, 2048.0))
    assert (opened.format, opened.notes["family"]) == ("SegResNet of MONAI", "CT-FM")
    assert opened.report.shares == {"encoder": 1.0, "decoder": 0.0, "head": 0.0}
    assert opened.report.unused == ()


@pytest.mark.parametrize("prefix", ["", "model."])
def test_whole_network_predicts_as_the_original(prefix: str, tmp_path: Path) -> None:
    """ct_fm_segresnet and whole_body_segmentation: the encoder under its name, and all of the decoder."""
    reference = shaken(SegResNetDS(**CT_FM, out_channels=3))
    state = {prefix + name: tensor for name, tensor in reference.state_dict().items()}
    safetensors.torch.save_file(state, tmp_path / "model.safetensors")
    opened = load_weights(tmp_path / "model.safetensors")
    image = torch.rand(1, 1, 32, 16, 48)
    with torch.no_grad():
        theirs = reference(turned(image))
        torch.testing.assert_close(turned(opened.network(image)), theirs, atol=1e-4, rtol=1e-4)
    assert theirs.std() > 0.01
    assert opened.report.shares == {"encoder": 1.0, "decoder": 1.0, "head": 1.0}
    assert opened.report.unused == ()


def test_other_networks_of_the_family_keep_their_axes(tmp_path: Path) -> None:
    """Deep supervision, instance norm, more blocks up: logits in the axes they were given; other heads are named."""
    made: dict[str, Any] = {"in_channels": 2, "init_filters": 4, "blocks_down": (1, 2, 1), "blocks_up": (2, 1)}
    reference = shaken(SegResNetDS(**made, out_channels=3, norm="instance", dsdepth=2))
    torch.save({"state_dict": reference.state_dict(), "epoch": 9}, tmp_path / "model.pt")
    opened = load_weights(tmp_path / "model.pt")
    image = torch.rand(2, 2, 8, 12, 16)
    with torch.no_grad():
        theirs = reference(image)
        torch.testing.assert_close(opened.network(image), theirs, atol=1e-4, rtol=1e-4)
    assert opened.reading is None
    assert (opened.notes["family"], opened.notes["epoch"]) == ("unknown", 9)
    assert opened.report.unused == ("up_layers.0.head.weight", "up_layers.0.head.bias")
    assert isinstance(opened.network, SegResNet)
    assert (opened.network.blocks_up, opened.network.norm) == ((2, 1), "instance")


def test_a_task_starts_from_ct_fm(tmp_path: Path) -> None:
    """Two channels and three classes: the encoder fits."""
    reference = SegResEncoder(**CT_FM)
    torch.save({f"backbone.{name}": tensor for name, tensor in reference.state_dict().items()}, tmp_path / "last.ckpt")
    pretrained = load_weights(tmp_path / "last.ckpt").network
    network = network_for(pretrained, in_channels=2, out_channels=3)
    assert transfer(pretrained, network).shares["encoder"] > 0.95
    assert network(torch.rand(2, 2, 16, 16, 16)).shape == (2, 3, 16, 16, 16)


def test_uneven_kernels_and_missing_tensors_are_refused(tmp_path: Path) -> None:
    """MONAI's network for a resolution has flat kernels and other strides; a file cut down lacks tensors."""
    torch.save(SegResNetDS(**CT_FM, resolution=(1, 1, 5)).state_dict(), tmp_path / "flat.pt")
    with pytest.raises(
        WeightsError, match=r"conv_init.weight would be \(4, 1, .*but the network's is \(4, 1, 3, 3, 3\)"
    ):
        load_weights(tmp_path / "flat.pt")
    state = SegResEncoder(**CT_FM).state_dict()
    del state["layers.2.downsample.weight"]
    torch.save(state, tmp_path / "cut.pt")
    with pytest.raises(WeightsError, match=r"holds nothing for encoder\.layers\.2\.downsample\.weight"):
        load_weights(tmp_path / "cut.pt")
