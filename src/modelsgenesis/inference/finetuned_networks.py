"""Networks that were fine-tuned for one target, read from one run or from several."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from modelsgenesis.core.errors import WeightsError, blamed_on
from modelsgenesis.core.files import sha256
from modelsgenesis.core.naming import rebuild
from modelsgenesis.core.provenance import read_provenance
from modelsgenesis.core.target import Target
from modelsgenesis.data.images import Reading
from modelsgenesis.nets.classifier import Classifier
from modelsgenesis.nets.named_heads import NamedHeads
from modelsgenesis.nets.network import Network, backbone_of
from modelsgenesis.weights.files import load_network, read_notes

WEIGHTS = "model.safetensors"
NO_SENSE = "its notes make no sense for predicting; fine-tune again"
REQUIRED_NOTES = ("target", "reading", "patch", "channels")
OWN = {
    "files": (),
    "mirror": (),
    "training_spacing_mm": None,
    "modality": "",
}  # in which networks of one ensemble may differ


@dataclass(frozen=True)
class FineTuned:
    """What all networks of an ensemble have in common, and where they are.

    Attributes:
        files: of the networks.
        target: what they predict.
        reading: how images are read.
        patch: size of what they were trained on, (X, Y, Z), or (X, Y) of pictures.
        channels: of an image.
        mirror: axes along which the training patches of all of them were mirrored.
        training_spacing_mm: the middle spacing of the first one's training cases along X, Y and Z, if that is known.
        modality: that the user gave for training images which declared none, and so of those to predict.
        head: of a run on labelled sets, the name of the set whose labels are predicted.
    """

    files: tuple[Path, ...]
    target: Target
    reading: Reading
    patch: tuple[int, ...]
    channels: int
    mirror: tuple[int, ...] = (0, 1, 2)
    training_spacing_mm: tuple[float, ...] | None = None
    modality: str = ""
    head: str | None = None

    def fingerprints(self) -> list[str]:
        """The SHA-256 of each file."""
        return [sha256(file) for file in self.files]

    def load(self) -> list[Network]:
        """Rebuild the networks.

        Raises:
            WeightsError: one is broken, or not what its notes describe.
            ShapeError: the patch does not divide as a network needs.
        """
        loaded = [load_network(file) for file in self.files]
        networks = [
            network.classifier(self.head) if self.head and isinstance(network, NamedHeads) else network
            for network in loaded
        ]
        for file, network in zip(self.files, networks, strict=True):
            outputs = network.out_features if isinstance(network, Classifier) else getattr(network, "out_channels", 0)
            wanted = (len(self.patch), self.channels, self.target.num_outputs, self.target.dense)
            if (network.axes, network.in_channels, outputs, not isinstance(network, Classifier)) != wanted:
                raise WeightsError(f"{file}: the network is not the one that its notes describe; fine-tune again")
            backbone_of(network).check((1, self.channels, *self.patch))
        return networks


def find_fine_tuned(runs: Sequence[Path], head: str | None = None) -> FineTuned:
    """Find the networks of runs: the best of each run, or that of each of its folds.

    Args:
        runs: folders made by `genesis finetune`, or by `pretrain` on labelled sets, or weights files of such.
        head: of a run on labelled sets, the name of the set whose labels are predicted.
    Raises:
        DataError: a folder is unfinished, or of another stage.
        WeightsError: there is no network, one was not fine-tuned, or their targets, readings or patches differ.
    """
    files = [file for run in runs for file in _files_of(run)]
    found = []
    for file in files:
        with blamed_on(file, WeightsError, NO_SENSE):
            found.append(_described(file, head))
    for other in found[1:]:
        if vars(other) | OWN != vars(found[0]) | OWN:
            raise WeightsError(
                f"{other.files[0]} was trained on something else than {found[0].files[0]}; "
                "an ensemble needs one target, one reading of images and one size of patch"
            )
    mirror = tuple(axis for axis in found[0].mirror if all(axis in each.mirror for each in found))
    return replace(found[0], files=tuple(files), mirror=mirror)


def _files_of(run: Path) -> list[Path]:
    if run.is_file():
        return [run]
    if not run.is_dir():
        raise WeightsError(f"{run}: no such run; is it spelled right?")
    read_provenance(run, "pretrain" if _has_heads(run / WEIGHTS) else "finetune")
    if (run / WEIGHTS).is_file():
        return [run / WEIGHTS]
    folds = sorted(run.glob(f"fold-*/{WEIGHTS}"), key=lambda path: (len(path.parent.name), path.parent.name))
    if not folds:
        raise WeightsError(f"{run}: holds no {WEIGHTS}, nor folds with one; run genesis finetune again")
    return folds


def _has_heads(file: Path) -> bool:
    return file.is_file() and "targets" in read_notes(file)


def _described(file: Path, head: str | None) -> FineTuned:
    notes = read_notes(file)
    if heads := notes.get("targets", {}):
        if head not in heads:
            named = f"has no head {head!r}" if head else "has a head for each set that it learned from"
            raise WeightsError(f"{file}: {named}; choose one with --head: {', '.join(heads)}")
        notes = {**notes, "target": notes["targets"][head]}
    elif head:
        raise WeightsError(f"{file}: was trained for one task and has no heads by name; leave --head out")
    if missing := [name for name in REQUIRED_NOTES if name not in notes]:
        raise WeightsError(
            f"{file}: was not fine-tuned (its notes lack {', '.join(missing)}); give a run of genesis finetune"
        )
    target, reading = rebuild(notes["target"]), rebuild(notes["reading"])
    patch = tuple(int(side) for side in notes["patch"])
    if not isinstance(target, Target) or not isinstance(reading, Reading) or len(patch) not in (2, 3) or min(patch) < 1:
        raise WeightsError(f"{file}: {NO_SENSE}")
    steps = notes.get("taught_mm")
    training_spacing_mm = tuple(float(step) for step in steps) if steps else None
    return FineTuned(
        (file,), target, reading, patch, int(notes["channels"]), _mirrored(notes), training_spacing_mm,
        str(notes.get("modality", "")), head,
    )  # fmt: skip


def _mirrored(notes: dict[str, Any]) -> tuple[int, ...]:
    """The axes along which patches were mirrored; as data, since MONAI's transforms take seconds to import."""
    usual = () if "targets" in notes else (0, 1, 2)  # no view of a run on labelled sets is mirrored
    axes = notes.get("approach", {}).get("augmentation", {}).get("mirror", usual)
    return tuple(int(axis) for axis in axes)
