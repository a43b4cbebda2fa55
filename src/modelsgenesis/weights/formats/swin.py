"""Swin Transformers: those of ImageNet, and POPAR's, PEAC's and Ark's of chest X-rays.

Layouts, and where each is known from:
- ImageNet's: a flat state dict, or one under "model", with a dense layer "head" (the authors' release, timm 0.5).
  Later timm keeps "downsample" with the stage that it leads to, and calls the dense layer "head.fc" (timm 1.0, run).
- POPAR: flat, or under "model" in 64 bits, names under "module.swin_model." or with less before them (its code).
  Its second version has "logit_scale" in the attention, and compares tokens by their angle.
- PEAC: {"student", "teacher", "optimizer", "epoch"}, names under "module.swin_model."; beside the encoder the expanders
  "mlp" and "mlp_local", the "head" that tells the order of cells, and the restoring "decoder" (its code).
- Ark-5 and Ark-6: the teacher's flat state dict; Ark+: {"state_dict", "teacher", ...}, names under "module."; beside
  the encoder a "projector" and one of "omni_heads" for each data set (its code, and programs that load the files).

Of PEAC's two networks the student is taken, of Ark's the teacher, as their authors do; FILE#teacher takes the other.
Masks and indices of windows are computed, never loaded. The network turns pictures itself, so tensors stay as they are.
"""

import functools
import math
from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor

from modelsgenesis.core.errors import ShapeError, WeightsError
from modelsgenesis.nets.base.window_attention import TABLE, padded_table, window_of
from modelsgenesis.nets.swin import PATCH, Swin
from modelsgenesis.weights.formats import Content, LoadedWeights
from modelsgenesis.weights.formats.ark_heads import described_heads, heads_of
from modelsgenesis.weights.formats.filling import plain_values, prefix_of, without_prefix
from modelsgenesis.weights.formats.resnets import count_blocks, fill_encoder
from modelsgenesis.weights.formats.torchvision_resnet import UNITS

FORMAT = "Swin Transformer"
READS = "torch"

Family = Literal["ImageNet", "POPAR", "PEAC", "Ark"]

STEM, FIRST = "patch_embed.proj.weight", "layers.0.blocks.0.attn.proj.weight"
SCALE = "logit_scale"  # in the attention of the second version, which has no tables
COMPUTED = ("relative_position_index", "relative_coords_table", "attn_mask")
OF_ENCODER = ("patch_embed.", "layers.", "norm.", "absolute_pos_embed")
CHEST_UNITS = (1 / 0.252, -0.5056 / 0.252)  # POPAR and PEAC take (picture - 0.5056) / 0.252
DROP_PATH = 0.1
FRESH = "a published Swin Transformer has an encoder alone"


def recognises(content: Content) -> bool:
    """Recognise attention in numbered blocks of numbered layers."""
    return bool(networks_in(content, FIRST))


def adapt(content: Content) -> LoadedWeights:
    """Make a network with this encoder; its decoder is left at random.

    Raises:
        WeightsError: a tensor is missing or of another shape, or the encoder is of another kind.
    """
    networks = networks_in(content, FIRST)
    key = chosen(networks)
    prefix = prefix_of(networks[key], FIRST) or ""
    inside, outside = without_prefix(networks[key], prefix)
    family, size = _family_of(inside, outside, prefix), _size_of(inside)
    is_second = FIRST.replace("proj.weight", SCALE) in inside
    window = _window_by_distances(inside) if is_second else _window_of(inside)
    inside = _earlier_names({name: value for name, value in inside.items() if not name.endswith(COMPUTED)})
    encoder = {name: padded_table(value, window) if name.endswith(TABLE) else value for name, value in inside.items()}
    units = CHEST_UNITS if family in ("POPAR", "PEAC") else UNITS
    make = functools.partial(
        Swin, **_shape_of(inside), window=window, version=2 if is_second else 1, drop_path=DROP_PATH, units=units
    )
    network, report = fill_encoder(make, encoder, prefix, outside, FRESH)
    check_whole(report.unused, prefix, OF_ENCODER)
    known = (
        size or 32 * window
        if is_second
        else size or {"Ark": 224 if window == 7 else 64 * window, "ImageNet": 32 * window}.get(family, 448)
    )
    notes = {
        "key": key, "prefix": prefix, "family": family, **described_heads(networks[key]), **plain_values(content)
    }  # fmt: skip
    heads = heads_of(networks[key], network, notes["heads"]) if notes.get("projector") in ("linear", "mlp") else None
    return LoadedWeights(network, report, f"{family}'s {FORMAT}", size=(known, known), notes=notes, heads=heads)


def networks_in(content: Content, first: str) -> dict[str, dict[str, Tensor]]:
    """The networks of a file by the key under which each lies; "" for one that lies at the top.

    Args:
        content: of the file.
        first: a name that they all have, under some prefix.
    """
    places: dict[str, Mapping[str, Any]] = {
        "": content, **{str(key): inner for key, inner in content.items() if isinstance(inner, Mapping)}
    }  # fmt: skip
    held = {
        key: {str(name): value for name, value in inner.items() if isinstance(value, Tensor)}
        for key, inner in places.items()
    }
    return {key: tensors for key, tensors in held.items() if prefix_of(tensors, first) is not None}


def chosen(networks: Mapping[str, Mapping[str, Tensor]]) -> str:
    """The key of the network to take: Ark's teacher, PEAC's student, else the only one."""
    is_ark = any("omni_heads." in name for tensors in networks.values() for name in tensors)
    order = ("teacher", "student") if is_ark else ("student", "teacher")
    return next((key for key in order if key in networks), next(iter(networks)))


def check_whole(unused: tuple[str, ...], prefix: str, of_encoder: tuple[str, ...]) -> None:
    """Refuse a file with tensors of an encoder that ours has no place for: without them it would compute otherwise.

    Args:
        unused: names of what the file holds besides.
        prefix: before the names of the encoder's tensors.
        of_encoder: how these begin.
    Raises:
        WeightsError: as said.
    """
    strange = [name for name in unused if name.startswith(tuple(prefix + start for start in of_encoder))]
    if strange:
        raise WeightsError(f"its encoder holds {strange[0]} too, and is of a kind that is not read here")


def _family_of(inside: Mapping[str, Tensor], outside: tuple[str, ...], prefix: str) -> Family:
    """Whose file this is, by what stands beside the encoder, and by the size of pictures where that is known."""
    beside = {*outside, *(prefix + name for name in inside)}
    if prefix_of(beside, "omni_heads.0.weight") is not None:
        return "Ark"
    if prefix_of(beside, "mlp.0.weight") is not None:
        return "PEAC"
    restores = prefix_of(beside, "decoder.0.weight") is not None or prefix.endswith("swin_model.")
    return "POPAR" if restores or _size_of(inside) == 448 else "ImageNet"  # windows of 7 at 448 are POPAR's


def _size_of(inside: Mapping[str, Tensor]) -> int | None:
    """The side of the pictures that it was trained on, by the masks that older programs keep; None without them."""
    mask = inside.get("layers.0.blocks.1.attn_mask")
    return PATCH * math.isqrt(mask.shape[0] * mask.shape[1]) if mask is not None and mask.dim() == 3 else None


def _earlier_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with each "downsample" in the stage that it ends, wherever the file has it."""
    if "layers.0.downsample.norm.weight" in tensors:
        return dict(tensors)
    names = {f"layers.{stage}.downsample.": f"layers.{stage - 1}.downsample." for stage in range(1, 10)}
    return {
        next((new + name.removeprefix(old) for old, new in names.items() if name.startswith(old)), name): value
        for name, value in tensors.items()
    }


def _window_of(tensors: Mapping[str, Tensor]) -> int:
    """The side of the windows; in stages that were smaller than one, the file has tables of smaller ones.

    Raises:
        WeightsError: a table is of no window.
    """
    try:
        return max((window_of(value) for name, value in tensors.items() if name.endswith(TABLE)), default=1)
    except ShapeError as error:
        raise WeightsError(str(error)) from error


def _window_by_distances(tensors: Mapping[str, Tensor]) -> int:
    """The side of the second version's windows by the distances that older programs keep; else that of POPAR's."""
    table = tensors.get("layers.0.blocks.0.attn.relative_coords_table")
    return (table.shape[1] + 1) // 2 if table is not None and table.dim() == 4 else 16


def _shape_of(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """The arguments of `Swin` that follow from the names and shapes of a state.

    Raises:
        WeightsError: there is no first convolution of side 4, or a stage has no table of biases.
    """
    stem = tensors.get(STEM)
    if stem is None or tuple(stem.shape[2:]) != (PATCH, PATCH):
        raise WeightsError(f"{STEM} must be there, of side {PATCH}, got {None if stem is None else tuple(stem.shape)}")
    depths = [count_blocks(tensors, f"layers.{stage}.blocks.") for stage in range(count_blocks(tensors, "layers."))]
    names = [f"layers.{stage}.blocks.0.attn." for stage in range(len(depths))]
    tables = [tensors.get(name + TABLE, tensors.get(name + SCALE)) for name in names]
    heads = [table.shape[1] if table.dim() == 2 else table.numel() for table in tables if table is not None]
    if len(heads) < len(depths):
        raise WeightsError(f"{len(depths)} stages were found, and tables of biases or scales in {len(heads)}")
    return {"in_channels": stem.shape[1], "embed": stem.shape[0], "depths": depths, "heads": heads}
