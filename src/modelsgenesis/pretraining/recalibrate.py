"""An ordinary batch norm from cubes of a store: `genesis weights recalibrate FILE STORE OUT`."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.progress import track
from torch import Tensor

from modelsgenesis.core.console import make_console
from modelsgenesis.core.device import Accelerator, find_machine
from modelsgenesis.core.errors import DataError, WeightsError, blamed_on
from modelsgenesis.core.files import write_json
from modelsgenesis.core.naming import describe, rebuild
from modelsgenesis.core.provenance import FILE as PROVENANCE
from modelsgenesis.core.provenance import GIVEN_OPTIONS, read_provenance, write_provenance
from modelsgenesis.core.target import Target
from modelsgenesis.core.words import many, nouns
from modelsgenesis.data.images import Reading
from modelsgenesis.data.intensity import Window
from modelsgenesis.data.sampling.cubes import CubeSampler, CubeSpec
from modelsgenesis.data.sampling.stream import CubeStream, Range, load_batches
from modelsgenesis.data.store.store import Store
from modelsgenesis.recipes import Recipe, find_recipe
from modelsgenesis.weights import recalibrating
from modelsgenesis.weights.fetch import record_beside
from modelsgenesis.weights.files import network_file, save_network
from modelsgenesis.weights.loading import LoadedWeights, load_weights

VERB = "weights recalibrate"
REPORT = "recalibration.json"


@dataclass(frozen=True, kw_only=True)
class RecalibrateOptions:
    """The options of genesis weights recalibrate.

    Args:
        recipe: The recipe whose cubes are cut; by default those that the network was trained on, as far as its file
            says.
        batches: How many batches of cubes are seen.
        batch_size: How many cubes there are a batch; 2 or more.
        seed: The seed decides the cubes: the same seed gives the same network.
        accelerator: What computes: auto, cpu or gpu.
        quiet: Nothing is printed.
    """

    recipe: str | None = None
    batches: int = 32
    batch_size: int = 8
    seed: int = 0
    accelerator: Accelerator = "auto"
    quiet: bool = False


def recalibrate(source: str | Path, store: Path, into: Path, options: RecalibrateOptions) -> Path:
    """Recalibrate a norm of batch statistics; `commands.weights.recalibrate` describes the arguments and errors."""
    recipe, batches, batch_size, seed = options.recipe, options.batches, options.batch_size, options.seed
    if batches < 1 or batch_size < 2 or seed < 0:
        raise DataError(
            f"at least 1 batch of 2 cubes and a seed from 0 on are needed, got {batches} of {batch_size}, seed {seed}"
        )
    if (into / PROVENANCE).exists():
        read_provenance(into, VERB)
    opened, console = load_weights(source), make_console(quiet=options.quiet)
    target = rebuild(opened.notes.get("target"))
    if isinstance(target, Target) and not target.dense:
        raise WeightsError(f"{source}: is a {target.kind} network; recalibrate the one it started from, and tune anew")
    cubes = _Cubes(Store.open(store), _spec(opened, recipe, source), seed, find_machine(options.accelerator).device)
    network = opened.network.to(cubes.device)
    drawn = track(
        cubes.batches("recalibrate", batches, batch_size),
        "recalibrating",
        total=batches,
        console=console,
        transient=True,
        disable=options.quiet or not console.is_terminal,
    )
    new = recalibrating.recalibrate(network, drawn)
    measured = recalibrating.compare_networks(network, new, next(cubes.batches("compare", 1, batch_size)))
    arguments = {
        "recipe": recipe,
        "cubes": describe(cubes.spec),
        "batches": batches,
        "batch_size": batch_size,
        "seed": seed,
    }
    notes = {**opened.notes, **_known(opened, network_file(source)), "recalibrated": arguments}
    save_network(into / "model.safetensors", new, notes)
    write_json(into / REPORT, {**arguments, **asdict(measured)})
    given = Path(source) if Path(source).is_dir() else network_file(source)
    given_options = {
        name: arguments[name] for name in ("recipe", "batches", "batch_size") if arguments[name] is not None
    }
    write_provenance(into, VERB, {**arguments, GIVEN_OPTIONS: given_options}, inputs=[given, store], seed=seed)
    console.print(
        recalibration_in_words(measured, batch_size, nouns(network.axes).cube),
        highlight=False,
        soft_wrap=True,
    )
    return into


def recalibration_in_words(measured: recalibrating.Comparison, batch_size: int, noun: str = "cube") -> str:
    """What a recalibration changed, in words."""
    before, after, moved = measured.before, measured.after, measured.moved
    compared = f"a {noun} alone and in a batch of {batch_size}"
    return "\n".join(
        [
            f"Predictions (standard deviation {measured.spread:.3f}) for {compared}:",
            f"  before  at most {before.largest:.2g} apart, on average {before.mean:.2g}",
            f"  after   at most {after.largest:.2g} apart, on average {after.mean:.2g}",
            f"New predictions and old ones in a batch: at most {moved.largest:.2g} apart, on average {moved.mean:.2g}",
        ]
    )


class _Cubes:
    """Batches of cubes as they are, scaled to [0, 1]."""

    def __init__(self, store: Store, spec: CubeSpec, seed: int, device: torch.device) -> None:
        strange = store.scans.where(~store.scans.of_modality("CT"))
        if isinstance(spec.intensity, Window) and strange:
            raise DataError(
                f"the network reads Hounsfield units, but {len(strange)} of {many(len(store.scans), 'scan')} are not "
                "CT (the "
                f"first is {strange[0].id}, {strange[0].modality}); prepare --modality CT, or name another --recipe"
            )
        spec = replace(spec, balance="")  # the store may be another than the run's, of which no site is known
        self.sampler, self.spec, self.seed, self.device = CubeSampler(store, spec), spec, seed, device

    def batches(self, name: str, num: int, size: int) -> Iterator[Tensor]:
        """So many batches (B, C, *space), of a row of samples of their own by that name."""
        stream = CubeStream(self.sampler, _as_they_are, seed=self.seed, name=name)
        for batch in load_batches(stream, Range(0, num, size)):
            yield batch["image"].to(self.device)


def _as_they_are(cube: Any, rng: Any) -> Any:
    return cube


def _spec(opened: LoadedWeights, recipe: str | None, source: str | Path) -> CubeSpec:
    """The cubes of the recipe that was given, else those that the network was trained on."""
    if recipe is not None:
        return find_recipe(recipe).cubes
    with blamed_on(source, WeightsError, "its notes make no sense; name a recipe that has the cubes: --recipe"):
        recipe_of_network = rebuild(opened.notes.get("recipe"))
        reading = opened.reading or rebuild(opened.notes.get("reading"))
    if isinstance(recipe_of_network, Recipe):
        return recipe_of_network.cubes
    if not isinstance(reading, Reading):
        raise WeightsError(
            f"{source}: does not say which cubes it was trained on; name a recipe that has them: --recipe"
        )
    size = opened.size or rebuild(opened.notes.get("patch")) or CubeSpec().size
    return CubeSpec(size=tuple(size), intensity=reading.intensity, rule="not_mostly_air")


def _known(opened: LoadedWeights, path: Path) -> dict[str, Any]:
    """Collect for the notes how images were read, and the origin and licence of fetched weights."""
    known = {
        "reading": opened.reading and describe(opened.reading),
        "patch": opened.size and list(opened.size),
        "origin": (record := record_beside(path)) and vars(record),
    }
    return {name: value for name, value in known.items() if value}
