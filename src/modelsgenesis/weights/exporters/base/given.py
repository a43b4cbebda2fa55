"""What is exported: a network, and what its file says of it."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from modelsgenesis.core.backbone import Backbone
from modelsgenesis.core.errors import WeightsError, blamed_on
from modelsgenesis.core.naming import describe, rebuild
from modelsgenesis.core.target import Target
from modelsgenesis.data.images import Reading
from modelsgenesis.data.intensity import Intensity
from modelsgenesis.nets.network import Network, backbone_of
from modelsgenesis.weights.files import describe_network, network_file
from modelsgenesis.weights.loading import OURS, load, load_weights


@dataclass(frozen=True)
class Given:
    """A network to export, and what is known of it.

    Attributes:
        network: in evaluation mode.
        notes: what its file says of itself, as JSON holds it; of paths only the last part.
        file: that it was read from.
        format: of that file.
    """

    network: Network
    notes: dict[str, Any]
    file: Path
    format: str

    @property
    def backbone(self) -> Backbone:
        """The network itself, or the backbone of a classifier."""
        return backbone_of(self.network)

    @property
    def target(self) -> Target | None:
        """The target of a fine-tuned network; None after pre-training."""
        with self._blamed():
            target = rebuild(self.notes.get("target"))
        return target if isinstance(target, Target) else None

    @property
    def reading(self) -> Reading | None:
        """The way to read images for it, if its file holds one."""
        with self._blamed():
            reading = rebuild(self.notes.get("reading"))
            if isinstance(reading, Reading):
                return reading
            intensity = rebuild(self.notes.get("intensity") or self._cubes.get("intensity"))
            spacing = self.notes.get("spacing_mm")
            return Reading(intensity, tuple(spacing) if spacing else None) if isinstance(intensity, Intensity) else None

    @property
    def patch(self) -> tuple[int, ...] | None:
        """The size that it was trained on, in voxels, if its file says so."""
        with self._blamed():
            size = self.notes.get("patch") or self.notes.get("size") or self._cubes.get("size")
            return tuple(int(side) for side in size) if size else None

    def _blamed(self) -> AbstractContextManager[None]:
        return blamed_on(self.file, WeightsError, "its notes make no sense for an export; train again")

    @property
    def _cubes(self) -> dict[str, Any]:
        """The cubes of the pre-training recipe."""
        return dict(self.notes.get("recipe", {}).get("cubes", {}))

    @property
    def activation(self) -> str:
        """The activation of its output: "sigmoid" after pre-training, "identity" for logits and numbers."""
        return "identity" if not isinstance(self.network, Backbone) else str(getattr(self.network, "activation", ""))

    def config(self) -> dict[str, Any]:
        """All that another program must know to build and feed the network, as JSON holds it."""
        network, patch = self.network, self.patch
        return {
            "network": describe_network(network),
            "input": {
                "axes": ["B", "C", "X", "Y", "Z"][: network.axes + 2],
                "channels": network.in_channels,
                "sides_divide_by": list(network.stride),
                "range": [0.0, 1.0],
                "orientation": "LPS",
                "taught_on": list(patch) if patch else None,
            },
            "output": {"activation": self.activation, "features": list(self.backbone.channels)},
            "notes": self.notes,
        }


def read_given(run: Path) -> Given:
    """Read a network, and what is known of it.

    Args:
        run: a run's folder, or a weights file.
    Raises:
        WeightsError: there is no network there, or the file is broken.
    """
    file = network_file(run)
    loaded = load_weights(run)
    network = load(run) if loaded.format == OURS else loaded.network  # a classifier of ours with its head
    return Given(network, _without_places(describe(loaded.notes)), file, loaded.format)


def _without_places(notes: Any) -> Any:
    """Notes with whatever names a place cut to its last part: where the owner's files lie does not travel."""
    if isinstance(notes, dict):
        cut = {name: _without_places(value) for name, value in notes.items()}
        return cut | {"from": PurePath(cut["from"]).name} if isinstance(cut.get("from"), str) else cut
    if isinstance(notes, list):
        return [_without_places(value) for value in notes]
    return PurePath(notes).name if isinstance(notes, str) and PurePath(notes).is_absolute() else notes
