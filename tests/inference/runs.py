"""Fine-tuned runs made by hand: networks that threshold, so that a mask is known before it is predicted."""

from pathlib import Path
from typing import Any

import torch

from modelsgenesis.core.labels import Label
from modelsgenesis.core.naming import describe
from modelsgenesis.core.provenance import write_provenance
from modelsgenesis.core.target import Target
from modelsgenesis.data.images import Reading
from modelsgenesis.nets import UNet3D
from modelsgenesis.nets.classifier import Classifier
from modelsgenesis.nets.norms import BatchNorm
from modelsgenesis.targets.segmentation import Segmentation
from modelsgenesis.weights.files import Network, save_network

STEEP = 1000.0  # slope of the logits
ORGANS = Segmentation((Label("soft", (3,)), Label("dense", (7,))))


@torch.no_grad()
def thresholding_unet(*thresholds: float, background: bool = True, channels: int = 1, axes: int = 3) -> UNet3D:
    """A U-Net whose channel k says whether the first channel of its input lies above the k-th threshold.

    Where there is a background, the highest threshold passed wins. The input goes untouched through the finest level.
    """
    net = UNet3D(channels, len(thresholds) + background, width=1, activation="identity", axes=axes).eval()
    for parameter in net.parameters():
        parameter.zero_()
    for module in net.modules():
        if isinstance(module, BatchNorm):
            module.weight.fill_((1 + module.eps) ** 0.5)
    convolutions = [
        m for level in (net.down[0], net.merge[-1]) for m in level if isinstance(m, torch.nn.Conv2d | torch.nn.Conv3d)
    ]
    behind = net.channels[1]  # the skip comes behind what rises
    for convolution, channel in zip(convolutions, (0, 0, behind, 0), strict=True):
        convolution.weight[(0, channel, *[1] * axes)] = 1
    for number, threshold in enumerate(thresholds, start=int(background)):
        before = number - 1 if background else None  # which it outdoes at its threshold
        weight, bias = (net.last.weight[before, 0].clone(), net.last.bias[before].clone()) if background else (0, 0)
        net.last.weight[number, 0] = weight + STEEP
        net.last.bias[number] = bias - STEEP * threshold
    return net


def notes_of(target: Target, reading: Reading, patch: tuple[int, ...], channels: int) -> dict[str, Any]:
    """What finetune writes beside the weights."""
    return {"target": describe(target), "reading": describe(reading), "patch": list(patch), "channels": channels}


def make_run(
    folder: Path,
    *networks: Network,
    target: Target = ORGANS,
    reading: Reading | None = None,
    patch: tuple[int, ...] = (16, 16, 16),
    channels: int = 1,
    training_spacing_mm: tuple[float, ...] | None = None,
) -> Path:
    """Write a finished run of one network, or of one network a fold."""
    for number, network in enumerate(networks or (thresholding_unet(0.20012, 0.60012),)):
        here = folder / f"fold-{number}" if len(networks) > 1 else folder
        here.mkdir(parents=True, exist_ok=True)
        notes = {**notes_of(target, reading or Reading(), patch, channels), "taught_mm": training_spacing_mm}
        save_network(here / "model.safetensors", network, notes)
        write_provenance(here, "finetune", {}, inputs=[])
    write_provenance(folder, "finetune", {}, inputs=[])
    return folder


@torch.no_grad()
def mean_classifier(*slopes: float) -> Classifier:
    """A classifier whose logit k is slopes[k] times the mean of the greatest values in blocks of 8 x 8 x 8 voxels."""
    net = Classifier(UNet3D(1, 1, width=1), len(slopes), hidden=0).eval()
    for parameter in net.parameters():
        parameter.zero_()
    for module in net.modules():
        if isinstance(module, BatchNorm):
            module.weight.fill_((1 + module.eps) ** 0.5)
    for level in net.backbone.down:
        for convolution in (m for m in level if isinstance(m, torch.nn.Conv3d)):
            convolution.weight[0, 0, 1, 1, 1] = 1
    net.head[-1].weight[:, 0] = torch.tensor(slopes)
    return net
