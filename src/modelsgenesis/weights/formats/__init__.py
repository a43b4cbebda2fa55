"""Other programs' files: one module a format, found by what a file holds, never by its name.

A module here is an adapter when it has

    FORMAT          what people call the format, such as "official Models Genesis, PyTorch"
    READS           how its files are read: "torch" or "hdf5"
    recognises      (content) -> bool: whether the content is of this format; cheap, and never raises
    adapt           (content) -> LoadedWeights: the network in evaluation mode, and what became of each tensor; a
                    WeightsError says what does not fit, without the file's name, which `load_weights` puts before it

The content of a torch or safetensors file is its mapping, as `read_checkpoint` gives it; that of an HDF5 file is what
`read_hdf5` gives. No adapter sees the file itself.
"""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, cast

from modelsgenesis.core.backbone import Backbone
from modelsgenesis.data.images import Reading
from modelsgenesis.nets.named_heads import NamedHeads
from modelsgenesis.weights.transfer import LoadingMap

Content = Mapping[str, Any]
Container = Literal["torch", "hdf5"]


@dataclass(frozen=True)
class LoadedWeights:
    """A network from a file of any format.

    Attributes:
        network: in evaluation mode; its call gives the outputs of the original.
        report: from the file to the network: what was taken, adapted, left at random, and not used.
        format: what people call the file's format.
        reading: how the images were read that it was trained on, if that is known.
        size: of the cubes that it was trained on, in voxels, if that is known.
        notes: what the file says of itself, and where its tensors were found; anything JSON holds.
        heads: the network with its projector and heads, where it learned from labelled sets; the notes have the labels
            of each as "heads".
    """

    network: Backbone
    report: LoadingMap
    format: str
    reading: Reading | None = None
    size: tuple[int, ...] | None = None
    notes: dict[str, Any] = field(default_factory=dict)
    heads: NamedHeads | None = None


class Adapter(Protocol):
    """The interface of a format's module."""

    FORMAT: str
    READS: Container

    def recognises(self, content: Content) -> bool:
        """Whether the content is of this format."""
        ...

    def adapt(self, content: Content) -> LoadedWeights:
        """Make the network from the content."""
        ...


def adapters(reads: Container | None = None) -> Iterator[Adapter]:
    """Every adapter, or those that read one kind of container, in the order of their names."""
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        adapter = importlib.import_module(f"{__name__}.{module.name}")
        if hasattr(adapter, "FORMAT") and reads in (None, adapter.READS):
            yield cast(Adapter, adapter)
