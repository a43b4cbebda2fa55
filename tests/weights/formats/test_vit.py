"""Files of Vision Transformers by POPAR, PEAC, Microsoft and HUST, computed from their facts, predict as ours do."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.nets.test_vit import token_by_token
from torch import Tensor

import modelsgenesis as mg
from modelsgenesis.core.errors import WeightsError
from modelsgenesis.nets.vit import ViT
from modelsgenesis.weights import load_weights
from modelsgenesis.weights.formats import LoadedWeights
from modelsgenesis.weights.transfer import network_for, transfer

CHEST, IMAGENET, RAD_DINO, EVA = (0.5056, 0.252), (0.449, 0.226), (0.5307, 0.2583), (0.49185243, 0.28509309)
EMBED, SHAPE = 128, {"in_channels": 3, "embed": 128, "depth": 2, "heads": 2, "patch": 4, "grid": 3}

State = dict[str, Tensor]


def draw(seed: int = 0, **kind: Any) -> tuple[ViT, State]:
    """A network, and its encoder's tensors, none at its plain beginning."""
    torch.manual_seed(seed)
    network = ViT(**SHAPE, **kind).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return network, dict(network.encoder.state_dict())


def under(prefix: str, state: State) -> State:
    """The same under a prefix."""
    return {prefix + name: tensor for name, tensor in state.items()}


def renamed(state: State, pairs: dict[str, str]) -> State:
    """The same with parts of the names exchanged."""
    changed = {}
    for name, tensor in state.items():
        for old, new in pairs.items():
            name = name.replace(old, new)
        changed[name] = tensor
    return changed


def split(state: State, names: dict[str, str]) -> State:
    """With queries, keys and values apart, under names such as "attn.q_proj."; a bias that has none is left out."""
    apart = dict(state)
    for name in [name for name in state if ".qkv." in name]:
        for part, tensor in zip("qkv", apart.pop(name).chunk(3), strict=True):
            apart[name.replace("attn.qkv.", names[part])] = tensor
    return {name: tensor for name, tensor in apart.items() if "None" not in name}


def transformers_names(state: State) -> State:
    """As published on the hub: the names of transformers before 5."""
    attention = {
        part: f"attention.attention.{word}." for part, word in zip("qkv", ("query", "key", "value"), strict=True)
    }
    pairs = {
        "attn.proj": "attention.output.dense", "blocks.": "encoder.layer.", "ls1.gamma": "layer_scale1.lambda1",
        "ls2.gamma": "layer_scale2.lambda1", "patch_embed.proj": "embeddings.patch_embeddings.projection",
        "cls_token": "embeddings.cls_token", "pos_embed": "embeddings.position_embeddings",
    }  # fmt: skip
    names = renamed(split(state, attention), pairs)
    names = {("layernorm." + name[5:] if name.startswith("norm.") else name): value for name, value in names.items()}
    return {**names, "embeddings.mask_token": torch.rand(1, EMBED)}


def eva_names(state: State, joined: bool) -> State:
    """As pre-training writes it, with what only it needs: a small network has its first two layers joined."""
    apart = {} if joined else split(state, {part: f"attn.{part}_proj." for part in "qkv"})
    made: State = {}
    for name, tensor in (apart or state).items():
        if name.endswith(("q_proj.bias", "v_proj.bias")):
            made[name.replace("_proj.bias", "_bias")] = tensor
        elif ".qkv.bias" in name:
            q, _, v = tensor.chunk(3)
            made |= {name.replace("qkv.bias", "q_bias"): q, name.replace("qkv.bias", "v_bias"): v}
        elif ".mlp.fc1." in name and not joined:
            for part, half in zip(("w1", "w2"), tensor.chunk(2), strict=True):
                made[name.replace("fc1", part)] = half
        elif not name.endswith("k_proj.bias"):
            made[name.replace("mlp.fc1", "mlp.w12").replace("mlp.fc2", "mlp.w3").replace("mlp.norm", "mlp.ffn_ln")] = (
                tensor
            )
    beside = {
        "mask_token": torch.rand(1, 1, EMBED),
        "lm_head.weight": torch.rand(7, EMBED),
        "lm_head.bias": torch.rand(7),
    }
    return {**made, **beside, "rope.freqs_cos": torch.rand(9, 64), "blocks.0.attn.rope.freqs_sin": torch.rand(9, 64)}


def timm_names(state: State) -> State:
    """EVA-02's base in timm, as a classifier: its norm comes after the mean."""
    apart = split(state, {"q": "attn.q_proj.", "k": "attn.k_proj.", "v": "attn.v_proj."})
    made: State = {}
    for name, tensor in apart.items():
        if ".mlp.fc1." in name:
            for part, half in zip(("fc1_g", "fc1_x"), tensor.chunk(2), strict=True):
                made[name.replace("fc1", part)] = half
        elif not name.endswith("k_proj.bias"):
            made[f"fc_{name}" if name.startswith("norm.") else name] = tensor
    return {**made, "head.weight": torch.rand(5, EMBED), "head.bias": torch.rand(5)}


def keys_without_bias(state: State) -> State:
    """EVA-02 has biases for queries and values alone."""
    for name in [name for name in state if ".qkv.bias" in name]:
        q, k, v = state[name].chunk(3)
        state[name] = torch.cat([q, torch.zeros_like(k), v])
    return state


def popar(state: State, prefix: str) -> State:
    """POPAR-3's whole network: the order's bias stands twice, the decoder restores."""
    heads = {"bias": torch.rand(9), "head.weight": torch.rand(9, EMBED), "head.bias": torch.rand(9)}
    decoder = {"decoder.0.weight": torch.rand(48, EMBED, 1, 1), "decoder.0.bias": torch.rand(48)}
    return under(prefix, {**under("vit_model.", state), **heads, **decoder})


def peac(state: State, prefix: str) -> State:
    """PEAC-3's: POPAR's and two expanders."""
    expanders = {f"{mlp}.{layer}.weight": torch.rand(8, 8) for mlp in ("mlp", "mlp_local") for layer in (0, 3, 6)}
    return {**popar(state, prefix), **under(prefix, expanders)}


PLAIN, OTHER = draw()[1], draw(1)[1]
DINO = draw(layer_scale=True)[1]
SMALL = keys_without_bias(draw(gated=True, rotary=True, hidden=20)[1])
BASE = keys_without_bias(draw(gated=True, rotary=True, hidden=20, norm_hidden=True)[1])

FILES: dict[str, tuple[dict[str, Any], State, str, tuple[float, float]]] = {  # content, tensors, family, mean and std
    "timm": ({**PLAIN, "head.weight": torch.rand(5, EMBED)}, PLAIN, "ImageNet", IMAGENET),
    "several-gpus": ({"state_dict": under("module.", PLAIN), "epoch": 3}, PLAIN, "ImageNet", IMAGENET),
    "popar-flat": (under("vit_model.", PLAIN), PLAIN, "POPAR", CHEST),
    "popar-64": ({"model": {n: t.double() for n, t in popar(PLAIN, "module.").items()}}, PLAIN, "POPAR", CHEST),
    "peac": ({"student": peac(PLAIN, "module."), "teacher": peac(OTHER, ""), "epoch": 9}, PLAIN, "PEAC", CHEST),
    "rad-dino": (transformers_names(DINO), DINO, "RAD-DINO", RAD_DINO),
    "rad-dino-in-a-model": (under("dinov2.", transformers_names(DINO)), DINO, "RAD-DINO", RAD_DINO),
    "rad-dino-own": (under("backbone.", {**DINO, "mask_token": torch.rand(1, EMBED)}), DINO, "RAD-DINO", RAD_DINO),
    "eva-small": ({"model": eva_names(SMALL, joined=True)}, SMALL, "EVA-X", EVA),
    "eva-base": ({"module": eva_names(BASE, joined=False)}, BASE, "EVA-X", EVA),
    "eva-openclip": (under("visual.trunk.", eva_names(BASE, joined=False)), BASE, "EVA-X", EVA),
    "eva-timm": (timm_names(BASE), BASE, "EVA-X", EVA),
}  # fmt: skip


def opened(content: dict[str, Any], folder: Path) -> LoadedWeights:
    """What is made of a file with this content."""
    torch.save(content, folder / "weights.pt")
    return load_weights(folder / "weights.pt")


@pytest.mark.parametrize("name", FILES)
def test_every_prefix_and_container_gives_the_files_features(name: str, tmp_path: Path) -> None:
    """Pictures in [0, 1] give what the file's tensors compute of normalised ones, larger than the grid as well."""
    content, state, family, (mean, deviation) = FILES[name]
    loaded = opened(content, tmp_path)
    assert isinstance(loaded.network, ViT)
    pictures = torch.rand(1, 3, 12, 20)  # (rows, columns)
    with torch.no_grad():
        feature = loaded.network.encode(pictures.mT)[-1].mT[0]
        expected = token_by_token(loaded.network, state, (pictures[0] - mean) / deviation)
    torch.testing.assert_close(feature, expected, atol=1e-4, rtol=1e-4)
    assert loaded.format == f"{family}'s Vision Transformer"
    assert loaded.report.shares["encoder"] == 1
    assert loaded.size == (12, 12)
    assert not any(tensor.endswith("proj.weight") or ".rope" in tensor for tensor in loaded.report.unused)
    assert {parameter.dtype for parameter in loaded.network.parameters()} == {torch.float32}


def test_safetensors_of_the_hub_are_read(tmp_path: Path) -> None:
    """RAD-DINO's file: the same features as of the same tensors from a torch file."""
    content, state, _, (mean, deviation) = FILES["rad-dino"]
    save_file(
        {name: tensor.contiguous() for name, tensor in content.items()}, tmp_path / "a.safetensors", {"format": "pt"}
    )
    loaded = load_weights(tmp_path / "a.safetensors")
    picture = torch.rand(1, 3, 12, 12)
    with torch.no_grad():
        expected = token_by_token(loaded.network, state, (picture[0] - mean) / deviation)  # type: ignore[arg-type]
        torch.testing.assert_close(loaded.network.encode(picture.mT)[-1].mT[0], expected, atol=1e-4, rtol=1e-4)


def test_teacher_is_taken_by_its_key(tmp_path: Path) -> None:
    """FILE#teacher gives PEAC's other network."""
    torch.save(FILES["peac"][0], tmp_path / "weights.pth")
    network = mg.load(f"{tmp_path / 'weights.pth'}#teacher")
    assert isinstance(network, ViT)
    assert torch.equal(network.encoder.norm.weight, OTHER["norm.weight"])


def test_grey_pictures_give_what_three_equal_colours_give(tmp_path: Path) -> None:
    """A task of one channel sums the colours of the first convolution; the rest is taken whole."""
    loaded = opened(FILES["rad-dino"][0], tmp_path)
    network = network_for(loaded.network, in_channels=1, out_channels=2).eval()
    loading = transfer(loaded.network, network, loading=loaded.report)
    assert loading.shares["encoder"] == 1
    grey = torch.rand(1, 1, 12, 12)
    with torch.no_grad():
        ours, theirs = network.encode(grey)[-1], loaded.network.encode(grey.expand(-1, 3, -1, -1))[-1]
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("timm", {"blocks.1.mlp.fc1.weight": None}, "file holds nothing for encoder.blocks.1.mlp.fc1.weight"),
        ("timm", {"blocks.0.mlp.fc2.weight": None}, "no blocks.0.mlp.fc2.weight"),
        ("timm", {"patch_embed.proj.weight": torch.rand(8, 3, 4, 2)}, "must be of squares"),
        ("timm", {"pos_embed": torch.rand(1, 9, EMBED)}, r"row for each patch of a square, and 1 before .*\(1, 9"),
        ("timm", {"pos_embed": None}, "pos_embed must have a row"),
        ("timm", {"blocks.1.norm1.weight": torch.rand(7)}, r"norm1.weight would be \(7,\)"),
        ("timm", {"norm.weight": torch.full((EMBED,), float("nan"))}, "not finite"),
        ("timm", {"dist_token": torch.rand(1, 1, EMBED)}, "holds dist_token too"),
        ("timm", {"blocks.0.attn.gate": torch.rand(1)}, "attn.gate too"),
        ("eva-timm", {"blocks.1.attn.k_proj.weight": None}, r"nothing for blocks\.1\.attn\.k_proj\.weight"),
        ("eva-timm", {"blocks.0.mlp.fc1_x.weight": None}, r"nothing for blocks\.0\.mlp\.fc1_x\.weight"),
        ("eva-timm", {"blocks.0.attn.q_proj.weight": torch.rand(3, 4)}, "do not fit each other"),
        ("rad-dino", {"embeddings.register_tokens": torch.rand(1, 4, EMBED)}, "register_tokens too"),
    ],
)
def test_file_that_does_not_fit_whole_is_refused(name: str, change: dict[str, Any], says: str, tmp_path: Path) -> None:
    """Nothing of an encoder is silently left out, on either side."""
    state = {key: tensor for key, tensor in {**FILES[name][0], **change}.items() if tensor is not None}
    with pytest.raises(WeightsError, match=f"taken for Vision Transformer, but .*{says}"):
        opened(state, tmp_path)
