"""Cut a pre-trained network in variants, to find out which part of it helps a task: arms for `genesis benchmark`.

Run: python benchmarks/transfer_variants.py RUN OUT
Writes into OUT
- encoder.safetensors: the decoder is left at random when a task starts from it;
- rescaled.safetensors: every convolution before a norm is as long as a fresh one, which changes no prediction but lets
  each step of the optimiser turn the weights as far as it turns fresh ones;
- norms.safetensors: scale 1 and shift 0 in every norm, as drawn;
and prints how many times as long as a fresh one the weights of each convolution have become.
docs/results/transfer/ has what came of them.
"""

import argparse
import copy
from pathlib import Path

import torch
from torch import nn

from modelsgenesis.core.backbone import Backbone
from modelsgenesis.nets.norms import BatchNorm
from modelsgenesis.weights.files import arguments_of, read_notes, save_network
from modelsgenesis.weights.loading import load_backbone

NORMS = (BatchNorm, nn.InstanceNorm2d, nn.InstanceNorm3d)


@torch.no_grad()
def rescaled(network: Backbone) -> Backbone:
    """The same function in evaluation, with convolutions as long as fresh ones.

    Args:
        network: in which a norm follows each convolution of a Sequential; others stay as they are.
    """
    torch.manual_seed(0)
    result, fresh = copy.deepcopy(network), type(network)(**arguments_of(network))
    for path, module in result.named_modules():
        if not isinstance(module, nn.Sequential):
            continue
        for (name, layer), follower in zip(module.named_children(), list(module.children())[1:], strict=False):
            if isinstance(layer, nn.Conv2d | nn.Conv3d) and isinstance(follower, NORMS):
                drawn = fresh.get_submodule(f"{path}.{name}")
                factor = drawn.weight.norm() / layer.weight.norm()  # type: ignore[operator]
                layer.weight.mul_(factor)
                if layer.bias is not None:
                    layer.bias.mul_(factor)
                if follower.running_mean is not None and follower.running_var is not None:
                    follower.running_mean.mul_(factor)
                    follower.running_var.mul_(factor**2)
    return result


@torch.no_grad()
def lengths(network: Backbone) -> dict[str, float]:
    """The length of each convolution's weights over that of fresh ones, by name."""
    torch.manual_seed(0)
    fresh = type(network)(**arguments_of(network)).state_dict()
    return {
        name: float(weights.norm() / fresh[name].norm())
        for name, weights in network.state_dict().items()
        if weights.dim() > 2
    }


@torch.no_grad()
def fresh_norms(network: Backbone) -> Backbone:
    """Scale 1 and shift 0 in every norm."""
    result = copy.deepcopy(network)
    for module in result.modules():
        if isinstance(module, NORMS):
            module.reset_parameters()
    return result


def main() -> None:
    """Write the variants."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    network = load_backbone(options.run)
    notes = read_notes(options.run / "model.safetensors" if options.run.is_dir() else options.run)
    options.out.mkdir(parents=True, exist_ok=True)
    save_network(options.out / "encoder.safetensors", network, {**notes, "taught": ["encoder"]})
    save_network(options.out / "rescaled.safetensors", rescaled(network), notes)
    save_network(options.out / "norms.safetensors", fresh_norms(network), notes)
    for name, times in lengths(network).items():
        print(f"{name:20} {times:.2f}")


if __name__ == "__main__":
    main()
