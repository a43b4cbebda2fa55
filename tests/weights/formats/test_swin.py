"""Swin files of ImageNet, POPAR, PEAC and Ark, computed from their facts, predict as ours do after loading."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.nets.test_swin import window_by_window
from torch import Tensor

import modelsgenesis as mg
from modelsgenesis.core.errors import WeightsError
from modelsgenesis.nets.base.window_attention import padded_table, stretched_table
from modelsgenesis.nets.swin import Swin
from modelsgenesis.weights import load_weights
from modelsgenesis.weights.formats import LoadedWeights
from modelsgenesis.weights.transfer import network_for, network_with, transfer

EMBED, DEPTHS, HEADS = 4, (2, 1), (1, 2)  # 128, (2, 2, 18, 2) and (4, 8, 16, 32) as published
CHEST, IMAGENET = (0.5056, 0.252), (0.449, 0.226)
ARK6 = (14, 14, 14, 3, 6, 1)

State = dict[str, Tensor]


def draw(seed: int = 0, *, window: int = 7, mask: int | None = None) -> State:
    """Random tensors under the published names; a mask of so many windows as older programs keep."""
    generator = torch.Generator().manual_seed(seed)
    state: State = {}

    def put(name: str, *shape: int, bias: bool = True) -> None:
        state[f"{name}.weight"] = torch.randn(shape, generator=generator) / max(1, sum(shape[1:])) ** 0.5
        if bias:
            state[f"{name}.bias"] = torch.randn(shape[0], generator=generator) * 0.1

    put("patch_embed.proj", EMBED, 3, 4, 4)
    put("patch_embed.norm", EMBED)
    for stage, (depth, heads) in enumerate(zip(DEPTHS, HEADS, strict=True)):
        width = EMBED * 2**stage
        for block in range(depth):
            name = f"layers.{stage}.blocks.{block}"
            put(f"{name}.norm1", width)
            put(f"{name}.norm2", width)
            table = torch.randn((2 * window - 1) ** 2, heads, generator=generator)
            state[f"{name}.attn.relative_position_bias_table"] = table
            state[f"{name}.attn.relative_position_index"] = torch.zeros(window**2, window**2, dtype=torch.int64)
            put(f"{name}.attn.qkv", 3 * width, width)
            put(f"{name}.attn.proj", width, width)
            put(f"{name}.mlp.fc1", 4 * width, width)
            put(f"{name}.mlp.fc2", width, 4 * width)
            if mask and block % 2:
                state[f"{name}.attn_mask"] = torch.zeros(mask, window**2, window**2)
    put("layers.0.downsample.norm", 4 * EMBED)
    put("layers.0.downsample.reduction", 2 * EMBED, 4 * EMBED, bias=False)
    put("norm", 2 * EMBED)
    return state


def under(prefix: str, state: State) -> State:
    """The same under a prefix."""
    return {prefix + name: tensor for name, tensor in state.items()}


def popar(state: State, prefix: str) -> State:
    """POPAR's whole network: the order's bias stands twice, the decoder restores."""
    width = 2 * EMBED
    heads = {"bias": torch.rand(9), "head.weight": torch.rand(9, width), "head.bias": torch.rand(9)}
    decoder = {"decoder.0.weight": torch.rand(48, width, 1, 1), "decoder.0.bias": torch.rand(48)}
    return under(prefix, {**under("swin_model.", state), **heads, **decoder})


def peac(state: State, prefix: str) -> State:
    """PEAC's: POPAR's and two expanders."""
    expanders = {f"{mlp}.{layer}.weight": torch.rand(8, 8) for mlp in ("mlp", "mlp_local") for layer in (0, 3, 6)}
    return {**popar(state, prefix), **under(prefix, expanders)}


def ark(state: State, heads: tuple[int, ...] = ARK6, *, mlp: bool = False, prefix: str = "") -> State:
    """Ark's: a head of ImageNet that nobody uses, a projector, and a head for each data set."""
    layers = ("projector.0", "projector.2") if mlp else ("projector",)
    projector = {f"{layer}.weight": torch.rand(5, 2 * EMBED if k == 0 else 5) for k, layer in enumerate(layers)}
    projector |= {f"{layer}.bias": torch.rand(5) for layer in layers}
    omni = {f"omni_heads.{k}.weight": torch.rand(classes, 5) for k, classes in enumerate(heads)}
    omni |= {f"omni_heads.{k}.bias": torch.rand(classes) for k, classes in enumerate(heads)}
    return under(prefix, {**state, "head.weight": torch.rand(1000, 2 * EMBED), **projector, **omni})


def modern(state: State) -> State:
    """As later timm writes it: nothing that can be computed, and what ends a stage with the next one."""
    renamed = {name.replace("layers.0.downsample", "layers.1.downsample"): tensor for name, tensor in state.items()}
    kept = {name: tensor for name, tensor in renamed.items() if not name.endswith(("_index", "_mask"))}
    return {**kept, "head.fc.weight": torch.rand(10, 2 * EMBED), "head.fc.bias": torch.rand(10)}


A, B = draw(0), draw(1)
BIG = draw(0, mask=256)
FILES: dict[str, tuple[Any, State, tuple[float, float], str]] = {
    "flat": ({**A, "head.weight": torch.rand(10, 8)}, A, IMAGENET, "ImageNet"),
    "model": ({"model": A}, A, IMAGENET, "ImageNet"),
    "timm": (modern(A), A, IMAGENET, "ImageNet"),
    "popar-64-bits": (
        {"model": {name: t.double() if t.is_floating_point() else t for name, t in popar(A, "module.").items()}},
        A, CHEST, "POPAR",
    ),
    "popar-flat": (BIG, A, CHEST, "POPAR"),
    "popar-backbone": (under("module.backbone.", BIG), A, CHEST, "POPAR"),
    "popar-swin-model": (under("swin_model.", A), A, CHEST, "POPAR"),
    "peac": ({"student": peac(A, "module."), "teacher": peac(B, "module."), "epoch": 9}, A, CHEST, "PEAC"),
    "peac-ddp": ({"student": peac(A, "module."), "teacher": peac(B, ""), "epoch": 9}, A, CHEST, "PEAC"),
    "peac-teacher-first": ({"teacher": peac(B, ""), "student": peac(A, "")}, A, CHEST, "PEAC"),
    "ark6": (ark(A, mlp=True), A, IMAGENET, "Ark"),
    "ark5": (ark(A, ARK6[1:]), A, IMAGENET, "Ark"),
    "ark-plus": ({"state_dict": ark(B, prefix="module."), "teacher": ark(A, prefix="module.")}, A, IMAGENET, "Ark"),
    "ark-plus-one-gpu": ({"epoch": 50, "state_dict": ark(B), "teacher": ark(A)}, A, IMAGENET, "Ark"),
}  # fmt: skip


def opened(content: Any, path: Path) -> LoadedWeights:
    """The network of a file with this content."""
    torch.save(content, path / "weights.pth")
    return load_weights(path / "weights.pth")


@pytest.mark.parametrize("name", FILES)
def test_file_of_every_layout_predicts_as_published(name: str, tmp_path: Path) -> None:
    """Prefix and container make no difference: features of the normalised picture are those of the file."""
    content, state, (mean, deviation), family = FILES[name]
    loaded = opened(content, tmp_path)
    torch.manual_seed(0)
    picture = torch.rand(1, 3, 56, 112)  # (rows, columns)
    with torch.no_grad():
        feature = loaded.network.encode(picture.mT)[-1].mT[0]
    expected = window_by_window(state, (picture[0] - mean) / deviation, DEPTHS, 7)
    torch.testing.assert_close(feature, expected.permute(2, 0, 1), atol=1e-4, rtol=1e-4)
    assert loaded.format == f"{family}'s Swin Transformer"
    assert loaded.report.shares["encoder"] == 1
    assert not any("_index" in tensor or "_mask" in tensor for tensor in loaded.report.unused)
    assert {parameter.dtype for parameter in loaded.network.parameters()} == {torch.float32}


@pytest.mark.parametrize("prefix", ["swin_model.", "module.swin_model.", "module.backbone."])
def test_second_version_is_read_whole(prefix: str, tmp_path: Path) -> None:
    """POPAR's SwinV2: what can be computed is left, and the features are those of the network it was written from."""
    torch.manual_seed(0)
    network = Swin(in_channels=3, embed=4, depths=(2, 1), heads=(1, 2), window=8, version=2).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    state = dict(network.encoder.state_dict())
    computed = {"layers.0.blocks.0.attn.relative_coords_table": torch.zeros(1, 15, 15, 2)}
    masks = {"layers.0.blocks.1.attn_mask": torch.zeros(256, 64, 64)}
    loaded = opened(under(prefix, {**state, **computed, **masks}), tmp_path)
    picture = torch.rand(1, 3, 64, 64)
    mean, deviation = CHEST if "swin_model" in prefix else IMAGENET
    with torch.no_grad():
        ours, theirs = loaded.network.encode(picture)[-1], network.encode((picture - mean) / deviation)[-1]
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    assert (loaded.size, loaded.report.shares["encoder"]) == ((512, 512), 1)
    assert loaded.report.unused == ()


def test_sizes_are_those_of_the_training(tmp_path: Path) -> None:
    """By the masks where a file has them, else by the family and the window."""
    sizes = {"flat": 224, "popar-flat": 448, "peac": 448, "ark6": 224}
    assert {name: opened(FILES[name][0], tmp_path).size for name in sizes} == {
        name: (side, side) for name, side in sizes.items()
    }
    assert opened(ark(draw(window=12)), tmp_path).size == (768, 768)
    assert opened(draw(window=12), tmp_path).size == (384, 384)


@pytest.mark.parametrize(("name", "other"), [("peac", "teacher"), ("ark-plus", "state_dict")])
def test_other_network_of_a_file_is_taken_by_its_key(name: str, other: str, tmp_path: Path) -> None:
    """FILE#KEY: the teacher of PEAC, the student of Ark; a key that is not there is named with those that are."""
    torch.save(FILES[name][0], tmp_path / "weights.pth")
    network = mg.load(f"{tmp_path / 'weights.pth'}#{other}")
    assert isinstance(network, Swin)
    assert torch.equal(network.encoder.norm.weight, B["norm.weight"])
    with pytest.raises(WeightsError, match=f"nothing to load under 'expert'; its parts are: .*{other}"):
        mg.load(f"{tmp_path / 'weights.pth'}#expert")


def test_heads_keep_their_names_and_columns(tmp_path: Path) -> None:
    """By their sizes and places; MIMIC's columns are alphabetical, RSNA's first is normal; others are numbered."""
    six, five = opened(ark(A, mlp=True), tmp_path).notes, opened(ark(A, ARK6[1:]), tmp_path).notes
    assert list(six["heads"]) == ["MIMIC", "CheXpert", "ChestXray14", "RSNAPneumonia", "VinDrCXR", "Shenzhen"]
    assert list(five["heads"]) == list(six["heads"])[1:]
    assert [len(columns) for columns in six["heads"].values()] == list(ARK6)
    assert six["heads"]["MIMIC"][:5] == [
        "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Enlarged Cardiomediastinum"
    ]  # fmt: skip
    assert six["heads"]["CheXpert"][0] == "No Finding"
    assert six["heads"]["RSNAPneumonia"][0] == "Normal"
    assert (six["projector"], five["projector"]) == ("mlp", "linear")
    assert list(opened(ark(A, (*ARK6, 3)), tmp_path).notes["heads"])[-1] == "COVIDx"
    assert opened(ark(A, (2, 5)), tmp_path).notes["heads"] == {"head-0": [], "head-1": []}


@pytest.mark.parametrize("mlp", [False, True])
def test_heads_answer_as_the_files_tensors_do(mlp: bool, tmp_path: Path) -> None:
    """The mean of the tokens through the projector and each head; a file that lacks a bias is refused."""
    content = ark(A, mlp=mlp, prefix="module.")
    loaded = opened({"teacher": content}, tmp_path)
    assert loaded.heads is not None
    assert all(parameter.requires_grad for parameter in loaded.network.parameters())
    picture = torch.rand(2, 3, 56, 56)
    with torch.no_grad():
        x, answers = loaded.network.encode(picture)[-1].mean(dim=(2, 3)), loaded.heads.eval()(picture)
        for number, layer in enumerate(("projector.0", "projector.2") if mlp else ("projector",)):
            x = torch.relu(x) if number else x
            x = x @ content[f"module.{layer}.weight"].T + content[f"module.{layer}.bias"]
        for number, answer in enumerate(answers.values()):
            head = f"module.omni_heads.{number}"
            torch.testing.assert_close(answer, x @ content[f"{head}.weight"].T + content[f"{head}.bias"])
    assert list(answers) == list(loaded.notes["heads"])
    del content["module.omni_heads.3.bias"]
    with pytest.raises(WeightsError, match=r"lacks what is outputs\.3\.bias"):
        opened({"teacher": content}, tmp_path)


def test_table_of_a_stage_smaller_than_a_window_keeps_its_biases(tmp_path: Path) -> None:
    """A file whose last stage was one window of 3 has a table of 3: at that size, predictions are those of the file."""
    state, small = draw(), draw(window=3)
    last = "layers.1.blocks.0.attn.relative_position_bias_table"
    loaded = opened({**state, last: small[last]}, tmp_path)
    bias = padded_table(small[last], 7).reshape(13, 13, 2)
    assert torch.equal(bias[4:9, 4:9].reshape(25, 2), small[last])
    assert torch.equal(bias[0, 0], bias[4, 4])
    torch.manual_seed(0)
    picture = torch.rand(1, 3, 24, 24)
    with torch.no_grad():
        feature = loaded.network.encode(picture.mT)[-1].mT[0]
    for name in list(state):
        if name.startswith("layers.0") and name.endswith("_table"):
            state[name] = state[name].reshape(13, 13, 1)[1:12, 1:12].reshape(121, 1)  # 6 tokens are a window of 6
    expected = window_by_window({**state, last: small[last]}, (picture[0] - 0.449) / 0.226, DEPTHS, 6)
    torch.testing.assert_close(feature, expected.permute(2, 0, 1), atol=1e-4, rtol=1e-4)


def test_other_window_stretches_the_tables(tmp_path: Path) -> None:
    """On request: even biases stay even, mirrored ones mirrored, the centre the centre; the rest is taken as it is."""
    table = torch.randn(169, 2)
    assert torch.equal(stretched_table(table, 7), table)
    torch.testing.assert_close(stretched_table(torch.full((169, 2), 3.0), 12), torch.full((529, 2), 3.0))
    torch.testing.assert_close(stretched_table(table.flip(0), 12), stretched_table(table, 12).flip(0))
    torch.testing.assert_close(stretched_table(table, 12)[264], table[84])
    loaded = opened(A, tmp_path)
    other = network_with(loaded.network, window=12)
    loading = transfer(loaded.network, other, loading=loaded.report)
    assert loading.shares["encoder"] == 1
    assert {row.why for row in loading.rows if row.how == "adapted"} == {"biases of windows of 7 stretched to 12"}
    assert isinstance(other, Swin)
    assert torch.equal(other.encoder.norm.weight, A["norm.weight"])


def test_grey_pictures_give_what_three_equal_colours_give(tmp_path: Path) -> None:
    """A task of one channel sums the colours of the first convolution."""
    loaded = opened(FILES["ark6"][0], tmp_path)
    network = network_for(loaded.network, in_channels=1, out_channels=2).eval()
    transfer(loaded.network, network, loading=loaded.report)
    torch.manual_seed(0)
    grey = torch.rand(1, 1, 56, 56)
    with torch.no_grad():
        ours, theirs = network.encode(grey)[-1], loaded.network.encode(grey.expand(-1, 3, -1, -1))[-1]
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"layers.0.blocks.1.mlp.fc1.weight": None}, "file holds nothing for encoder.layers.0.blocks.1.mlp.fc1.weight"),
        ({"patch_embed.proj.weight": None}, "patch_embed.proj.weight must be there, of side 4"),
        ({"patch_embed.proj.weight": torch.rand(4, 3, 2, 2)}, "of side 4, got"),
        ({"layers.1.blocks.0.norm1.weight": torch.rand(7)}, r"norm1.weight would be \(7,\)"),
        (
            {"layers.1.blocks.0.attn.relative_position_bias_table": torch.rand(168, 2)},
            r"a table of biases .*\(168, 2\)",
        ),
        ({"layers.0.blocks.0.attn.relative_position_bias_table": torch.rand(169)}, r"a table of biases .*\(169,\)"),
        ({"norm.weight": torch.full((8,), float("nan"))}, "not finite"),
        ({"absolute_pos_embed": torch.rand(1, 9, 4)}, "holds absolute_pos_embed too"),
        ({"layers.0.blocks.0.attn.gate": torch.rand(1)}, "attn.gate too"),
    ],
)
def test_file_that_does_not_fit_whole_is_refused(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    """Nothing of an encoder is silently left out, on either side."""
    state = {name: tensor for name, tensor in {**A, **change}.items() if tensor is not None}
    with pytest.raises(WeightsError, match=f"taken for Swin Transformer, but .*{says}"):
        opened(state, tmp_path)
