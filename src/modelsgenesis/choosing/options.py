"""What one may choose of what to label next: the options of `genesis choose`."""

from dataclasses import dataclass
from pathlib import Path

from modelsgenesis.core.device import Accelerator, Precision


@dataclass(frozen=True, kw_only=True)
class ChooseOptions:
    """The options of genesis choose.

    Args:
        cases: How many cases are chosen.
        method: How: random; typiclust, the most typical case of each kind; k-centre, so that no case is far from a
            labelled one; with --run, uncertainty, or spread, how far the answers over a case's patches lie apart.
        labelled: What has labels already: ids, or a table or a run that names the cases; of a table with columns of
            labels those that have one, of a run's cases those that it was trained and validated on. Those of --run
            always have.
        run: For uncertainty and spread: the fine-tuned run or runs that are asked.
        seed: Of what is left to chance: the draw, the first centre, the clusters.
        region: Of embeddings by region: whose vectors are taken.
        accelerator: What computes the run's networks: auto, cpu or gpu.
        precision: How numbers are computed: auto, 32-true or bf16-mixed.
        batch_size: How many windows are computed at a time; by default as many as make up a million voxels.
        quiet: No progress is shown.
    """

    cases: int = 10
    method: str = "typiclust"
    labelled: tuple[str, ...] = ()
    run: tuple[Path, ...] = ()
    seed: int = 0
    region: str | None = None
    accelerator: Accelerator = "auto"
    precision: Precision = "auto"
    batch_size: int | None = None
    quiet: bool = False
