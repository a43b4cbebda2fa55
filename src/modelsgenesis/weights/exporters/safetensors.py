"""Plain tensors and a description: a file that every safetensors library reads, and this package too."""

from pathlib import Path

from modelsgenesis.core.files import write_json
from modelsgenesis.weights.exporters.base.given import read_given
from modelsgenesis.weights.files import save_network

FILE = "model.safetensors"
USAGE = """\
`model.safetensors` holds the tensors under the network's own names and runs no code; `config.json` says what they are
of. With this package the file rebuilds its network alone:

    import modelsgenesis as mg

    network = mg.load("model.safetensors")  # in evaluation mode
    output = network(images)  # float32 (B, C, X, Y) or (B, C, X, Y, Z) in [0, 1]

Without it, in any framework that safetensors serves:

    from safetensors.torch import load_file

    tensors = load_file("model.safetensors")
"""


def export(run: Path, into: Path) -> Path:
    """Write model.safetensors and config.json.

    Args:
        run: a run's folder, or a weights file.
        into: an empty folder.
    Returns:
        `into`.
    Raises:
        WeightsError: there is no network there, or the file is broken.
    """
    given = read_given(run)
    save_network(into / FILE, given.network, given.notes)
    write_json(into / "config.json", given.config())
    return into
