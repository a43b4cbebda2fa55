"""What a weights file is, is decided by what it holds; what is none, is refused with words."""

import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.weights.formats.official import Official, scrambled

import modelsgenesis as mg
from modelsgenesis.core.backbone import Backbone
from modelsgenesis.core.errors import WeightsError
from modelsgenesis.nets import Classifier, UNet3D
from modelsgenesis.weights import load_backbone, load_weights, save_network
from modelsgenesis.weights.formats import adapters
from modelsgenesis.weights.loading import OURS

NOTHING: list[dict[str, Any]] = [{}, {"state_dict": {}}, {"state_dict": 3}, {"net": {"a": torch.ones(1)}}, {"x": None}]


def test_every_adapter_offers_what_an_adapter_must() -> None:
    """A name of its own, how it reads, and two functions that refuse what is none of theirs."""
    formats = [adapter.FORMAT for adapter in adapters()]
    assert {"official Models Genesis, PyTorch", "official Models Genesis, Keras", "MedicalNet"} <= set(formats)
    assert len(set(formats)) == len(formats)
    for adapter in adapters():
        assert adapter.READS in ("torch", "hdf5")
        for content in (
            {},
            {"state_dict": {}},
            {"state_dict": 3},
            {"network_weights": {"a": torch.ones(1)}},
            {"x": None},
        ):
            assert adapter.recognises(content) is False


@pytest.mark.parametrize("name", ["weights", "weights.h5", "weights.safetensors", "weights.onnx"])
def test_name_of_a_file_does_not_matter(name: str, tmp_path: Path) -> None:
    """A torch file by any name."""
    torch.save(Official().state_dict(), tmp_path / name)
    assert isinstance(mg.load(tmp_path / name), UNet3D)


def test_our_own_file_is_opened_the_same_way(tmp_path: Path) -> None:
    """All of it is taken, and its notes come along; of a classifier, the backbone."""
    backbone = UNet3D(width=2)
    save_network(tmp_path / "backbone.safetensors", backbone, {"step": 7})
    save_network(tmp_path / "classifier.safetensors", Classifier(backbone, 3))
    opened = load_weights(tmp_path / "backbone.safetensors")
    assert opened.format == OURS
    assert opened.notes == {"step": 7}
    assert {row.how for row in opened.report.rows} == {"taken"}
    assert opened.report.shares == {"encoder": 1.0, "decoder": 1.0, "head": 1.0}
    assert isinstance(load_weights(tmp_path / "classifier.safetensors").network, Backbone)
    assert isinstance(mg.load(tmp_path / "classifier.safetensors"), Classifier)
    assert isinstance(load_backbone(tmp_path / "classifier.safetensors"), UNet3D)


def test_tensors_of_another_program_in_safetensors_are_opened(tmp_path: Path) -> None:
    """The same adapters read them as read torch's files."""
    official = scrambled(Official())
    save_file(official.state_dict(), tmp_path / "weights.safetensors")
    x = torch.rand(1, 1, 8, 16, 8)
    torch.testing.assert_close(mg.load(tmp_path / "weights.safetensors")(x), official(x), atol=1e-4, rtol=0)


@pytest.mark.parametrize("begins", [b"PK", b"\x80\x02", b"\x80\x03"])
def test_safetensors_file_whose_length_looks_like_another_format_is_read(begins: bytes, tmp_path: Path) -> None:
    """The first bytes are the length of the header, which may spell a zip archive's or a pickle's."""
    save_network(tmp_path / "weights.safetensors", UNet3D(width=2))
    content = (tmp_path / "weights.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    wanted = int.from_bytes(begins, "little")
    while wanted < length:
        wanted += 1 << 16
    header = content[8 : 8 + length].ljust(wanted)
    (tmp_path / "weights.safetensors").write_bytes(struct.pack("<Q", wanted) + header + content[8 + length :])
    assert (tmp_path / "weights.safetensors").read_bytes().startswith(begins)
    assert isinstance(mg.load(tmp_path / "weights.safetensors"), UNet3D)


def test_unknown_layout_is_refused_with_a_glimpse_of_it(tmp_path: Path) -> None:
    """The error shows its first names and what is known."""
    torch.save({"model": {"patch_embed.weight": torch.ones(2)}, "epoch": 3}, tmp_path / "weights.pt")
    with pytest.raises(WeightsError, match=r"model, epoch \(the first with patch_embed\.weight, \.\.\.\), which is no"):
        mg.load(tmp_path / "weights.pt")
    save_file({f"layer{n}": torch.ones(1) for n in range(5)}, tmp_path / "weights.safetensors")
    with pytest.raises(WeightsError, match=r"holds layer0, layer1, layer2 and 2 more, .* known are: .*MedicalNet; "):
        mg.load(tmp_path / "weights.safetensors")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>", "begins with b'<!DOCTYPE html><'"),
        (b"version https://git-lfs", "begins with b'version https://'"),
        (struct.pack("<Q", 10) + b'{"a":', "cannot be read as a safetensors file"),
        (struct.pack("<Q", 2) + b"{}" + b"xx", "cannot be read as a safetensors file"),
        (struct.pack("<Q", 10**12) + b"{}", "its header claims 1000000000000 bytes"),
    ],
)
def test_what_is_no_weights_file_is_refused(content: bytes, words: str, tmp_path: Path) -> None:
    """In one line with the file's name."""
    (tmp_path / "weights.pt").write_bytes(content)
    with pytest.raises(WeightsError) as caught:
        mg.load(tmp_path / "weights.pt")
    assert str(caught.value).startswith(f"{tmp_path / 'weights.pt'}: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_cut_off_tensors_of_another_program_are_refused(tmp_path: Path) -> None:
    """The header promises more than there is."""
    save_file(Official().state_dict(), tmp_path / "weights.safetensors")
    content = (tmp_path / "weights.safetensors").read_bytes()
    (tmp_path / "weights.safetensors").write_bytes(content[:-100])
    with pytest.raises(WeightsError, match="it may be cut off"):
        mg.load(tmp_path / "weights.safetensors")


def test_missing_file_is_refused(tmp_path: Path) -> None:
    """The error says where a run keeps its network."""
    with pytest.raises(WeightsError, match=r"no such file; a finished run holds a model\.safetensors"):
        mg.load(tmp_path / "weights.pt")
