"""A state dict as PyTorch's own users expect one, which `torch.load(..., weights_only=True)` takes."""

from pathlib import Path

import torch

from modelsgenesis.core.files import write_json, written_aside
from modelsgenesis.nets.network import Network
from modelsgenesis.weights.exporters.base.given import read_given
from modelsgenesis.weights.files import DESCRIPTION, EXPORTED

USAGE = """\
`model.pt` holds the network's state dict alone and needs no unpickling of code; `config.json` says what makes the
network.

    import torch
    from modelsgenesis.nets import UNet3D  # or the network that config.json names, with its arguments

    network = UNet3D(...)
    network.load_state_dict(torch.load("model.pt", weights_only=True))
    network.eval()

Or with both files in one folder:

    import modelsgenesis as mg

    network = mg.load("model.pt")
"""


def export(run: Path, into: Path) -> Path:
    """Write model.pt, a state dict, and config.json.

    Args:
        run: a run's folder, or a weights file.
        into: an empty folder.
    Returns:
        `into`.
    Raises:
        WeightsError: there is no network there, or the file is broken.
    """
    given = read_given(run)
    save_state_dict(into / EXPORTED, given.network)
    write_json(into / DESCRIPTION, given.config())
    return into


def save_state_dict(path: Path, network: Network) -> None:
    """Write a network's state dict, its tensors on the CPU, whole or not at all."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    with written_aside(path) as aside, open(aside, "wb") as file:
        torch.save(state, file)
