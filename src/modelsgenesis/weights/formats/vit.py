"""Vision Transformers: POPAR's and PEAC's of chest X-rays, RAD-DINO, EVA-X, and others under their names.

Layouts, and where each is known from:
- timm's names, flat or under "model" and the like, of pictures of the world (DeiT's and MAE's units are taken).
- POPAR-3 and PEAC-3: the same under "vit_model.", with their heads beside it, as for the Swin files of both.
- RAD-DINO: safetensors with the names of transformers' Dinov2, or with DINOv2's own (the model's page; transformers
  5.24, run). DINOv2 of photographs has the same names and shapes and other units: it is taken for RAD-DINO.
- EVA-X: {"model" or "module": ...} with EVA-02's names, or timm's of it (its page and timm 1.0, run): the dense layers
  are "w1", "w2" and "w3", or "w12" and "w3", or "fc1_g", "fc1_x" and "fc2"; keys have no bias, and "rope" is computed.

The number of heads shows in no tensor: all of these have heads of 64 channels. Of PEAC's two networks the student is
taken; FILE#teacher takes the other. The network turns pictures itself, so tensors stay as they are.
"""

import functools
import math
import re
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from modelsgenesis.core.errors import WeightsError
from modelsgenesis.nets.vit import ViT
from modelsgenesis.weights.formats import Content, LoadedWeights
from modelsgenesis.weights.formats.filling import plain_values, prefix_of, without_prefix
from modelsgenesis.weights.formats.resnets import count_blocks, fill_encoder
from modelsgenesis.weights.formats.swin import CHEST_UNITS, check_whole, chosen, networks_in
from modelsgenesis.weights.formats.torchvision_resnet import UNITS

FORMAT = "Vision Transformer"
READS = "torch"

Family = Literal["ImageNet", "POPAR", "PEAC", "RAD-DINO", "EVA-X"]

STEMS = ("patch_embed.proj.weight", "embeddings.patch_embeddings.projection.weight")
FIRST = "blocks.0.norm1.weight"
OF_ENCODER = (
    "patch_embed.",
    "blocks.",
    "norm.",
    "cls_token",
    "pos_embed",
    "dist_token",
    "reg_token",
    "register_",
    "norm_pre.",
)
HEAD = 64  # channels of a head of the attention
DROP_PATH = 0.1
FRESH = "a published Vision Transformer has an encoder alone"
UNITS_OF: dict[Family, tuple[float, float]] = {  # (1 / deviation, -mean / deviation) of the pictures
    "ImageNet": UNITS,
    "POPAR": CHEST_UNITS,
    "PEAC": CHEST_UNITS,
    "RAD-DINO": (1 / 0.2583, -0.5307 / 0.2583),
    "EVA-X": (1 / 0.28509309, -0.49185243 / 0.28509309),
}
NAMES = (  # of transformers, and of EVA-02, and timm's
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^embeddings\.position_embeddings$", "pos_embed"),
    (r"^embeddings\.(cls_token|register_tokens)$", r"\1"),
    (r"^(encoder\.layer|layers)\.", "blocks."),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
    (r"\.attention\.(attention\.)?query\.", ".attn.q_proj."),
    (r"\.attention\.(attention\.)?key\.", ".attn.k_proj."),
    (r"\.attention\.(attention\.)?value\.", ".attn.v_proj."),
    (r"\.attention\.(output\.dense|o_proj)\.", ".attn.proj."),
    (r"\.attention\.([qkv]_proj)\.", r".attn.\1."),
    (r"\.layer_scale([12])\.lambda1$", r".ls\1.gamma"),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"\.output\.dense\.", ".mlp.fc2."),
    (r"^layernorm\.", "norm."),
    (r"\.attn\.([qv])_bias$", r".attn.\1_proj.bias"),
    (r"\.mlp\.(w12|weights_in)\.", ".mlp.fc1."),
    (r"\.mlp\.(w1|gate_proj)\.", ".mlp.fc1_g."),
    (r"\.mlp\.(w2|up_proj)\.", ".mlp.fc1_x."),
    (r"\.mlp\.(w3|weights_out|down_proj)\.", ".mlp.fc2."),
    (r"\.mlp\.ffn_ln\.", ".mlp.norm."),
)


def recognises(content: Content) -> bool:
    """Recognise the first layer and blocks that are in no stages, by one of the publishers' names."""
    return any(_is_vit(tensors, stem) for stem in STEMS for tensors in networks_in(content, stem).values())


def _is_vit(tensors: Mapping[str, Tensor], stem: str) -> bool:
    prefix = prefix_of(tensors, stem) or ""
    return FIRST in _timm_names(without_prefix(tensors, prefix)[0])


def adapt(content: Content) -> LoadedWeights:
    """Make a network with this encoder; its decoder is left at random.

    Raises:
        WeightsError: a tensor is missing or of another shape, or the encoder is of another kind.
    """
    stem, networks = next(
        (stem, found)
        for stem in STEMS
        if (found := {key: own for key, own in networks_in(content, stem).items() if _is_vit(own, stem)})
    )
    key = chosen(networks)
    prefix = prefix_of(networks[key], stem) or ""
    inside, outside = without_prefix(networks[key], prefix)
    inside = _timm_names({name: value for name, value in inside.items() if ".rope." not in f".{name}"})
    made = joined(inside)
    family = _family_of(made, {*outside, *(prefix + name for name in inside)}, prefix)
    shape = _shape_of(made)
    make = functools.partial(ViT, **shape, drop_path=DROP_PATH, units=UNITS_OF[family])
    network, report = fill_encoder(make, made, prefix, outside, FRESH)
    check_whole(report.unused, prefix, OF_ENCODER)
    side = shape["grid"] * shape["patch"]
    notes = {"key": key, "prefix": prefix, "family": family, **plain_values(content)}
    return LoadedWeights(network, report, f"{family}'s {FORMAT}", size=(side, side), notes=notes)


def _timm_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of any publisher under timm's names; those that timm does not know keep theirs."""
    renamed = {}
    for name, tensor in tensors.items():
        for theirs, ours in NAMES:
            name = re.sub(theirs, ours, name)
        renamed[name] = tensor
    return renamed


def joined(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with queries, keys and values in one, a gate before what it gates, and a last norm.

    Keys without a bias get one of zeros.

    Raises:
        WeightsError: a tensor of those to be joined is missing or does not fit the others.
    """
    made = dict(tensors)
    try:
        for start in {name.rpartition("attn.")[0] + "attn." for name in made if ".attn." in name}:
            if f"{start}q_proj.weight" in made:
                made[f"{start}qkv.weight"] = torch.cat([made.pop(f"{start}{part}_proj.weight") for part in "qkv"])
            if f"{start}q_proj.bias" in made:
                q, v = made.pop(f"{start}q_proj.bias"), made.pop(f"{start}v_proj.bias")
                k = made.pop(f"{start}k_proj.bias", made.pop(f"{start}k_bias", torch.zeros_like(q)))
                made[f"{start}qkv.bias"] = torch.cat([q, k, v])
        for name in [name for name in made if ".mlp.fc1_g." in name]:
            pair = made.pop(name), made.pop(name.replace("fc1_g", "fc1_x"))
            made[name.replace("fc1_g", "fc1")] = torch.cat(pair)
    except KeyError as error:
        raise WeightsError(
            f"the file holds nothing for {error.args[0]}; it is cut down, or of another network"
        ) from error
    except RuntimeError as error:
        raise WeightsError(f"tensors that belong together do not fit each other: {error}") from error
    if "norm.weight" not in made:  # a classifier's, that norms the mean of the patches
        made |= {f"norm.{end}": made.pop(f"fc_norm.{end}") for end in ("weight", "bias") if f"fc_norm.{end}" in made}
    return made


def _family_of(inside: Mapping[str, Tensor], names: set[str], prefix: str) -> Family:
    """Whose file this is, by the kind of its blocks and by what stands beside the encoder."""
    if "blocks.0.ls1.gamma" in inside:
        return "RAD-DINO"
    if _is_gated(inside):
        return "EVA-X"
    if prefix_of(names, "mlp.0.weight") is not None:
        return "PEAC"
    restores = prefix_of(names, "decoder.0.weight") is not None or prefix.endswith("vit_model.")
    return "POPAR" if restores else "ImageNet"


def _is_gated(tensors: Mapping[str, Tensor]) -> bool:
    first, second = tensors.get("blocks.0.mlp.fc1.weight"), tensors.get("blocks.0.mlp.fc2.weight")
    matrices = first is not None and second is not None and first.dim() == second.dim() == 2
    return bool(matrices and first.shape[0] == 2 * second.shape[1])  # type: ignore[union-attr]


def _shape_of(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """The arguments of `ViT` that follow from the names and shapes of a state.

    Raises:
        WeightsError: there are no square patches, no embedding of a square grid of them, or no dense layers.
    """
    stem, places, second = (tensors.get(name) for name in (STEMS[0], "pos_embed", "blocks.0.mlp.fc2.weight"))
    if stem is None or stem.dim() != 4 or stem.shape[2] != stem.shape[3]:
        raise WeightsError(f"{STEMS[0]} must be of squares, got {None if stem is None else tuple(stem.shape)}")
    if second is None or second.dim() != 2:
        raise WeightsError(
            "the file holds no blocks.0.mlp.fc2.weight of two axes; it is cut down, or of another network"
        )
    first = 1 if "cls_token" in tensors else 0
    count = places.shape[1] - first if places is not None and places.dim() == 3 else 0
    grid = math.isqrt(max(count, 0))
    if grid < 1 or grid**2 != count:
        shape = None if places is None else tuple(places.shape)
        raise WeightsError(
            f"pos_embed must have a row for each patch of a square, and {first} before them, got {shape}"
        )
    embed, gated = stem.shape[0], _is_gated(tensors)
    has_scale = "blocks.0.ls1.gamma" in tensors
    return {
        "in_channels": stem.shape[1],
        "embed": embed,
        "depth": count_blocks(tensors, "blocks."),
        "heads": max(1, embed // HEAD),
        "patch": stem.shape[2],
        "grid": grid,
        "hidden": second.shape[1],
        "class_token": first == 1,
        "layer_scale": has_scale,
        "gated": gated,
        "norm_hidden": "blocks.0.mlp.norm.weight" in tensors,
        "rotary": gated and not has_scale,
    }
