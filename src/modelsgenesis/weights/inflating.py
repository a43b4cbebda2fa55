"""From a network of pictures to one of volumes: the same weights, repeated along Z."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from modelsgenesis.core.errors import WeightsError
from modelsgenesis.weights.files import distinct
from modelsgenesis.weights.formats import LoadedWeights
from modelsgenesis.weights.transfer import LoadingMap, Row, network_with


def inflated(loaded: LoadedWeights, axes: int) -> LoadedWeights:
    """Turn a loaded network into one for images of so many axes of space.

    Each kernel is repeated along the new axis and divided by the number of its copies that meet in a voxel, so that a
    volume that is constant along Z gets the predictions of its slices, away from its ends, where zeros are padded.

    Args:
        loaded: of a 2D or 3D network.
        axes: of the images.
    Returns:
        The same where the axes agree; else a network of 3 axes, and a report of what was repeated. How the images were
        read that it was trained on, and their size, are then forgotten: they are of pictures.
    Raises:
        WeightsError: a network of volumes would have to take pictures, or its kind cannot be inflated.
    Source: Carreira and Zisserman 2017, Quo Vadis, Action Recognition?, section 2.4.
    """
    network = loaded.network
    if network.axes == axes:
        return loaded
    if network.axes > axes:
        raise WeightsError(
            f"the network is of volumes, {network.axes} axes, and the images are 2D pictures; start from a network of "
            "pictures, such as a ResNet of ImageNet (genesis weights list)"
        )
    with torch.random.fork_rng(devices=[]):
        larger = network_with(network, axes=axes).eval()
    flat, before, rows = distinct(network), {row.tensor: row for row in loaded.report.rows}, []
    with torch.no_grad():
        for name, tensor in distinct(larger).items():
            value, row = flat[name].detach(), before[name]
            if value.shape != tensor.shape:
                value, row = _repeated(larger, name, value, tensor, row)
            tensor.copy_(value)
            rows.append(row)
    notes = {"inflated": axes, "flat": loaded.notes}
    return replace(
        loaded,
        network=larger,
        report=LoadingMap(tuple(rows), loaded.report.unused),
        reading=None,
        size=None,
        notes=notes,
    )


def _repeated(network: nn.Module, name: str, value: Tensor, tensor: Tensor, row: Row) -> tuple[Tensor, Row]:
    """Repeat a kernel along one more axis; return it with the words for the report."""
    if value.shape != tensor.shape[:-1]:
        raise WeightsError(
            f"{name} is {tuple(value.shape)} in 2D and {tuple(tensor.shape)} in 3D; it cannot be repeated"
        )
    module, count = network.get_submodule(name.rpartition(".")[0]), tensor.shape[-1]
    # Of a transposed convolution, only every stride-th plane of its kernel meets in a voxel.
    meeting = count / int(module.stride[-1]) if isinstance(module, nn.ConvTranspose3d) else count
    row = replace(row, shape=tuple(tensor.shape))
    if row.how != "random":
        what = f"repeated along Z, each / {meeting:g}"
        row = replace(row, how="adapted", why=f"{row.why}; {what}" if row.why else what)
    return value.unsqueeze(-1).expand_as(tensor) / meeting, row
