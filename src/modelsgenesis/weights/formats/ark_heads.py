"""Ark's heads by name: which data set each belongs to, and what its columns mean.

The files number their heads, and name no column. The order of data sets is that of the authors' command; that of
columns is what the released predictions show: MIMIC's are alphabetical, and RSNA's first is "Normal", whatever the
published examples call them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from modelsgenesis.core.backbone import Backbone
from modelsgenesis.core.errors import WeightsError
from modelsgenesis.nets.named_heads import NamedHeads
from modelsgenesis.weights.formats.filling import prefix_of

CHEXPERT = (
    "No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema",
    "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture",
    "Support Devices",
)  # fmt: skip
CHESTXRAY14 = (
    "Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia", "Pneumothorax",
    "Consolidation", "Edema", "Emphysema", "Fibrosis", "Pleural_Thickening", "Hernia",
)  # fmt: skip
COLUMNS = {
    "MIMIC": tuple(sorted(CHEXPERT)),
    "CheXpert": CHEXPERT,
    "ChestXray14": CHESTXRAY14,
    "RSNAPneumonia": ("Normal", "No Lung Opacity/Not Normal", "Lung Opacity"),
    "VinDrCXR": ("Pleural effusion", "Lung tumor", "Pneumonia", "Tuberculosis", "Other diseases", "No finding"),
    "Shenzhen": ("Tuberculosis",),
    "COVIDx": ("Normal", "Pneumonia", "COVID-19"),
}
SETS = tuple(COLUMNS)
KNOWN = (SETS[:6], SETS[1:6], SETS)  # Ark-6, Ark-5, and Ark-6 continued on COVIDx


def described_heads(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """What a file says of its heads and projector, for the notes; empty for a network without.

    Returns:
        "heads", the columns of each head by its name, in the file's order: a data set's, or head-0 and so on without
        names of columns where the sizes are of no known file; "projector", "linear" or "mlp".
    """
    prefix = prefix_of(tensors, "omni_heads.0.weight")
    if prefix is None:
        return {}
    sizes: list[int] = []
    while (head := tensors.get(f"{prefix}omni_heads.{len(sizes)}.weight")) is not None:
        sizes.append(head.shape[0])
    named = next((known for known in KNOWN if [len(COLUMNS[name]) for name in known] == sizes), None)
    heads = {name: list(COLUMNS[name]) for name in named} if named else {f"head-{k}": [] for k in range(len(sizes))}
    is_mlp, is_linear = f"{prefix}projector.0.weight" in tensors, f"{prefix}projector.weight" in tensors
    return {"heads": heads, "projector": "mlp" if is_mlp else "linear" if is_linear else "none"}


def heads_of(tensors: Mapping[str, Tensor], backbone: Backbone, heads: Sequence[str]) -> NamedHeads:
    """A file's projector and heads on its encoder.

    Args:
        tensors: of the file.
        backbone: with the file's encoder; all of it goes on learning.
        heads: their names, in the file's order.
    Raises:
        WeightsError: a tensor of the projector or of a head is missing or of another shape.
    """
    prefix = prefix_of(tensors, "omni_heads.0.weight") or ""
    is_mlp = f"{prefix}projector.0.weight" in tensors
    layers = {"0": "projector.0", "2": "projector.2"} if is_mlp else {"0": "projector"}
    state = {
        f"{own}.{end}": tensors.get(f"{prefix}{theirs}.{end}")
        for own, theirs in (
            *((f"project.{place}", name) for place, name in layers.items()),
            *((f"outputs.{number}", f"omni_heads.{number}") for number in range(len(heads))),
        )
        for end in ("weight", "bias")
    }
    if missing := [name for name, tensor in state.items() if tensor is None]:
        raise WeightsError(f"the file has heads, and lacks what is {missing[0]} here; take a file that is whole")
    given = {name: tensor.float() for name, tensor in state.items() if tensor is not None}
    sizes = {name: len(given[f"outputs.{number}.bias"]) for number, name in enumerate(heads)}
    made = NamedHeads(backbone, sizes, len(given[f"project.{max(layers)}.bias"]), is_mlp)
    backbone.requires_grad_(True)
    try:
        made.load_state_dict(given, strict=False)
    except RuntimeError as error:
        raise WeightsError(
            f"its projector or a head is of another shape: {str(error).splitlines()[-1].strip()}"
        ) from error
    return made
