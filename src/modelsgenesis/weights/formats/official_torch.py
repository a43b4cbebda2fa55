"""The authors' PyTorch U-Net, as they published it and as others host it.

Layouts, and where each is known from:
- Genesis_Chest_CT.pt: {"epoch", "state_dict", "optimizer_state_dict"}, names under "module." (the authors' code, run).
- SuPreM's self_supervised_models_genesis_unet_620.pt: the same layout, read there by "state_dict" and without "module."
  (SuPreM's and VoCo's public loading code).
- SuPreM's supervised_suprem_unet_2100.pth, and its supervised_clip_driven_universal_unet_2100.pth: {"net", "optimizer",
  "scheduler", "epoch"}, names under "module.backbone."; the same encoder and decoder, trained to segment 32 structures;
  without the last convolution, in place of which stands a head steered by words (SuPreM's public training code).
- A bare mapping of names to tensors, under any prefix.
"""

import functools
from collections.abc import Iterator

from modelsgenesis.core.errors import WeightsError
from modelsgenesis.data.images import Reading
from modelsgenesis.data.intensity import Window
from modelsgenesis.nets.unet3d import UNet3D
from modelsgenesis.weights.formats import Content, LoadedWeights
from modelsgenesis.weights.formats.filling import (
    build,
    fill_from,
    plain_values,
    prefix_of,
    tensors_of,
    without_prefix,
)

FORMAT = "official Models Genesis, PyTorch"
READS = "torch"

READING, SIZE = Reading(Window(-1000, 1000)), (64, 64, 32)
SUPREM_READING, SUPREM_SIZE = Reading(Window(-175, 250), (1.5, 1.5, 1.5)), (96, 96, 96)

FIRST = "down_tr64.ops.0.conv1.weight"
LAST = "out_tr.final_conv"
DOWN, UP = ("down_tr64", "down_tr128", "down_tr256", "down_tr512"), ("up_tr256", "up_tr128", "up_tr64")
SUPREM = "SuPreM's supervised U-Net, on the layers of Models Genesis"


def recognises(content: Content) -> bool:
    """Recognise the name of the first convolution."""
    return prefix_of(tensors_of(content), FIRST) is not None


def adapt(content: Content) -> LoadedWeights:
    """Make the network; its norm takes each batch's own statistics, as the original does.

    Raises:
        WeightsError: a tensor is missing or of another shape.
    """
    tensors = tensors_of(content)
    prefix = prefix_of(tensors, FIRST) or ""
    inside, outside = without_prefix(tensors, prefix)
    first, last = inside[FIRST], inside.get(f"{LAST}.weight")
    if first.dim() != 5:
        raise WeightsError(f"{FIRST} is {tuple(first.shape)}, and a convolution in 3D has five axes")
    make = functools.partial(
        UNet3D,
        in_channels=first.shape[1],
        out_channels=1 if last is None else last.shape[0],
        width=first.shape[0],
        norm="batch_stats",
    )
    network = build(make, inside)
    names = {theirs: ours for ours, theirs in names_of()}
    found = {names[name]: tensor for name, tensor in inside.items() if name in names}
    left = {} if last is not None else {"last.": "the file has no last convolution"}
    unused = (*(prefix + name for name in inside if name not in names), *outside)
    report = fill_from(network, found, left=left, unused=unused)
    notes = {"prefix": prefix, **plain_values(content)}
    if last is None:
        return LoadedWeights(network, report, SUPREM, SUPREM_READING, SUPREM_SIZE, notes)
    return LoadedWeights(network, report, FORMAT, READING, SIZE, notes)


def names_of() -> Iterator[tuple[str, str]]:
    """Map our name of each tensor to theirs."""
    for rooms, names in (("down", DOWN), ("merge", UP)):
        for level, name in enumerate(names):
            for index in range(2):
                for theirs, ours in (("conv1", 3 * index), ("bn1", 3 * index + 1)):
                    for what in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
                        if theirs == "bn1" or what in ("weight", "bias"):
                            yield f"{rooms}.{level}.{ours}.{what}", f"{name}.ops.{index}.{theirs}.{what}"
    for what in ("weight", "bias"):
        yield from ((f"rise.{level}.{what}", f"{name}.up_conv.{what}") for level, name in enumerate(UP))
        yield f"last.{what}", f"{LAST}.{what}"
