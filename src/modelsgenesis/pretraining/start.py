"""Weights that a pre-training goes on from: `genesis pretrain --from RUN`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from modelsgenesis.core.errors import TrainingError
from modelsgenesis.core.files import sha256
from modelsgenesis.core.learner import Learner
from modelsgenesis.core.words import many
from modelsgenesis.methods.ark import Ark
from modelsgenesis.nets.base.flat_on_volumes import FlatOnVolumes
from modelsgenesis.pretraining.options import PretrainOptions
from modelsgenesis.recipes import Recipe
from modelsgenesis.weights.files import arguments_of, network_file
from modelsgenesis.weights.formats import LoadedWeights
from modelsgenesis.weights.lifting import inflated, lifted
from modelsgenesis.weights.loading import OURS, load_weights
from modelsgenesis.weights.registry import part_of, resolve
from modelsgenesis.weights.transfer import LoadingMap, transfer

FROM_DATA = ("in_channels", "out_channels", "axes")  # arguments of a network that the store decides


class Start:
    """Opened weights, of ours or of another program, and how they start a recipe's network.

    Args:
        options: whose `from_` names them.
        axes: of the recipe's cubes.
    Raises:
        WeightsError: there are no such weights, or they are of another number of axes.
        TrainingError: another option decides the network too.
    """

    def __init__(self, options: PretrainOptions, axes: int) -> None:
        self.given = str(options.from_)
        if wrong := [*(["--plans"] if options.plans is not None else []), *options.network_flags()]:
            raise TrainingError(f"{', '.join(wrong)}: {self.given} decides the network; leave it out, or --from")
        self.place: Path = resolve(self.given)
        self.labels_taken: dict[str, list[str]] = {}
        opened = load_weights(self.given, trust=options.trust)
        self.opened: LoadedWeights = inflated(opened, axes) if axes == 3 else lifted(opened, axes)
        if isinstance(self.opened.network, FlatOnVolumes):
            raise TrainingError(
                f"{self.given} is a {self.opened.network.in_words()}; go on with slices and a recipe of theirs"
            )

    def applied_to(self, recipe: Recipe) -> Recipe:
        """Put the weights' network in place of the recipe's; it restores, so its last layer is a sigmoid."""
        network = self.opened.network
        arguments = {name: value for name, value in arguments_of(network).items() if name not in FROM_DATA}
        if "activation" in arguments:
            arguments["activation"] = "sigmoid"
        kind, heads = type(network), self.opened.heads
        if heads and recipe.method == "ark":
            recipe = recipe.but(method_args={"projector": heads.projector, "mlp": heads.mlp})
        return replace(recipe, backbone=f"{kind.__module__}:{kind.__qualname__}", backbone_args=arguments)

    def begin(self, learner: Learner, labels: Mapping[str, Sequence[str]]) -> LoadingMap:
        """Copy the weights into a learner's network; the head too, if these are weights of a pre-training of ours.

        Args:
            learner: of the run.
            labels: of each of its heads, if it has heads by name: those of the same name go on.
        """
        restored = self.opened.format == OURS and "recipe" in self.opened.notes
        loading = transfer(self.opened.network, learner.backbone, loading=self.opened.report, heads=restored)
        if self.opened.heads and isinstance(learner, Ark):
            known = self.opened.notes.get("heads", {})
            self.labels_taken = learner.student.go_on_from(self.opened.heads, labels, known)
        learner.begin_again()
        return loading

    @property
    def settings(self) -> dict[str, Any]:
        """What identifies the weights among the settings of a run."""
        part = part_of(self.given)[1]
        return {"started_from": sha256(network_file(self.place)), **({"part": part} if part else {})}

    def to_json(self, loading: LoadingMap) -> dict[str, Any]:
        """The content of loading.json: the map to the learner's network, after that of another program's file."""
        opened = {} if self.opened.format == OURS else {"opened": self.opened.report.to_json()}
        heads = {"heads": self.labels_taken} if self.labels_taken else {}
        return {**loading.to_json(), **opened, **heads, "format": self.opened.format}

    def heads_in_words(self) -> str:
        """Say which heads go on; empty where none is known by name."""
        if not self.labels_taken:
            return ""
        some = [f"{name} ({many(len(labels), 'label')})" for name, labels in self.labels_taken.items() if labels]
        new = [name for name, labels in self.labels_taken.items() if not labels]
        return f"heads that go on: {', '.join(some) or 'none'}; new: {', '.join(new) or 'none'}"
