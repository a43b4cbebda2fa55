"""The authors' PyTorch network, built anew from its facts, predicts as ours does after loading its file."""

from pathlib import Path

import pytest
import torch
from tests.weights.formats.official import Official, prefixed, scrambled, with_optimizer

import modelsgenesis as mg
from modelsgenesis.core.errors import WeightsError
from modelsgenesis.data.images import Reading
from modelsgenesis.data.intensity import Window
from modelsgenesis.nets import UNet3D
from modelsgenesis.weights import load_weights

LAYOUTS = {
    "published": with_optimizer,
    "without module": lambda network: {"epoch": 620, "state_dict": network.state_dict()},
    "bare": lambda network: network.state_dict(),
    "bare under module": lambda network: prefixed(network, "module."),
    "another prefix": lambda network: {"net": prefixed(network, "module.backbone."), "epoch": 620},
}
PREFIXES = dict(zip(LAYOUTS, ("module.", "", "", "module.", "module.backbone."), strict=True))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_predicts_as_the_original(layout: str, tmp_path: Path) -> None:
    """Equal to 1e-4 in evaluation, sigmoid and batch statistics included, and all of it is taken."""
    official = scrambled(Official())
    torch.save(LAYOUTS[layout](official), tmp_path / "weights.bin")
    x = torch.rand(2, 1, 16, 24, 8)
    torch.testing.assert_close(mg.load(tmp_path / "weights.bin")(x), official(x), atol=1e-4, rtol=0)
    opened = load_weights(tmp_path / "weights.bin")
    assert opened.format == "official Models Genesis, PyTorch"
    assert {row.how for row in opened.report.rows} == {"taken"}
    assert opened.report.unused == ()
    assert opened.notes["prefix"] == PREFIXES[layout]
    assert (opened.reading, opened.size) == (Reading(Window(-1000, 1000)), (64, 64, 32))
    assert not opened.network.training


def test_older_way_of_saving_is_read(tmp_path: Path) -> None:
    """The published file is of PyTorch 1.3, before torch.save wrote archives."""
    official = scrambled(Official())
    torch.save(with_optimizer(official), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    x = torch.rand(1, 1, 8, 8, 16)
    torch.testing.assert_close(mg.load(tmp_path / "old.pt")(x), official(x), atol=1e-4, rtol=0)


def test_running_statistics_are_kept_for_recalibration(tmp_path: Path) -> None:
    """They have no effect in this network, but another norm would use them."""
    official = scrambled(Official())
    torch.save(official.state_dict(), tmp_path / "weights.pt")
    network = mg.load(tmp_path / "weights.pt")
    assert torch.equal(network.state_dict()["down.0.1.running_var"], official.down_tr64.ops[0]["bn1"].running_var)


def test_width_channels_and_classes_are_those_of_the_shapes(tmp_path: Path) -> None:
    """A fine-tuned network of the same kind opens as well."""
    official = scrambled(Official(width=3, channels=2, classes=5))
    torch.save(official.state_dict(), tmp_path / "weights.pt")
    x = torch.rand(1, 2, 16, 8, 8)
    torch.testing.assert_close(mg.load(tmp_path / "weights.pt")(x), official(x), atol=1e-4, rtol=0)


def test_full_width_has_the_published_number_of_parameters(tmp_path: Path) -> None:
    """19,073,665, counted on a network without memory."""
    with torch.device("meta"):
        official = Official(width=32)
    assert sum(parameter.numel() for parameter in official.parameters()) == 19_073_665


def test_encoder_and_decoder_of_suprem_are_taken_and_its_head_is_left(tmp_path: Path) -> None:
    """Its words-steered head fits no other task: the report says what was not used, and what is at random."""
    official = scrambled(Official(last=False))
    head = {"module.precls_conv.2.weight": torch.rand(8, 4, 1, 1, 1), "module.organ_embedding": torch.rand(32, 512)}
    content = {"net": {**prefixed(official, "module.backbone."), **head}, "optimizer": {"state": {}}, "epoch": 790}
    torch.save(content, tmp_path / "supervised_suprem_unet_2100.pth")
    opened = load_weights(tmp_path / "supervised_suprem_unet_2100.pth")
    assert isinstance(opened.network, UNet3D)
    x = torch.rand(2, 1, 16, 16, 8)
    ours = opened.network.decode(opened.network.encode(x))
    torch.testing.assert_close(ours, official.features(x), atol=1e-4, rtol=0)
    assert opened.format.startswith("SuPreM's supervised U-Net")
    assert opened.report.shares == {"encoder": 1.0, "decoder": 1.0, "head": 0.0}
    assert opened.report.unused == tuple(head)
    assert opened.reading == Reading(Window(-175, 250), (1.5, 1.5, 1.5))
    assert opened.notes == {"prefix": "module.backbone.", "epoch": 790}


def test_missing_tensor_is_named(tmp_path: Path) -> None:
    """A cut-down file is no network."""
    state = Official().state_dict()
    del state["up_tr128.ops.1.bn1.weight"]
    torch.save(state, tmp_path / "weights.pt")
    with pytest.raises(WeightsError, match=r"weights\.pt: taken for official .* holds nothing for merge\.1\.4\.weight"):
        mg.load(tmp_path / "weights.pt")


def test_tensor_of_another_shape_is_named(tmp_path: Path) -> None:
    """Names of one network with the shapes of another."""
    state = {**Official().state_dict(), "down_tr256.ops.0.conv1.weight": torch.rand(8, 8, 1, 1, 1)}
    torch.save(state, tmp_path / "weights.pt")
    with pytest.raises(WeightsError, match=r"down\.2\.0\.weight would be \(8, 8, 1, 1, 1\)"):
        mg.load(tmp_path / "weights.pt")


def test_shape_that_asks_for_an_absurd_network_takes_no_memory(tmp_path: Path) -> None:
    """One wide tensor of some megabytes must not make a network of terabytes."""
    state = {**Official().state_dict(), "down_tr64.ops.0.conv1.weight": torch.rand(50_000, 1, 3, 3, 3)}
    torch.save(state, tmp_path / "weights.pt")
    with pytest.raises(WeightsError, match=r"shapes make a network of .* parameters"):
        mg.load(tmp_path / "weights.pt")


def test_values_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    """A diverged training predicts nothing."""
    official = Official()
    official.out_tr["final_conv"].bias.data.fill_(torch.nan)
    torch.save(official.state_dict(), tmp_path / "weights.pt")
    with pytest.raises(WeightsError, match=r"last\.bias holds values that are not finite"):
        mg.load(tmp_path / "weights.pt")
