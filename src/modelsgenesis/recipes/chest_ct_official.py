"""Genesis Chest CT with the authors' own values, for replication."""

from modelsgenesis.data.intensity import Window
from modelsgenesis.data.sampling.cubes import CubeSpec
from modelsgenesis.recipes.recipe import Recipe
from modelsgenesis.training.plan import Plan


def chest_ct_official() -> Recipe:
    """The authors' published settings, quirks of the deformations and of batch norm included.

    SGD at rate 1 is known to collapse to one grey value; the run then stops and says so. An epoch is 32 cubes a scan,
    drawn afresh where the authors kept a fixed set. Folds are LUNA16's: 7 to 9 are left to target tasks.

    Source: the authors' public PyTorch configuration, as stated in their papers and read from their settings.
    """
    return Recipe(
        name="chest-ct-official",
        cubes=CubeSpec(size=(64, 64, 32), intensity=Window(-1000.0, 1000.0), rule="lung"),
        backbone_args={"width": 32, "norm": "batch_stats", "up": "transposed"},
        method_args={"match_official": True},
        plan=Plan(
            steps=10_000_000,
            batch_size=6,
            optimizer="sgd",
            lr=1.0,
            weight_decay=0.0,
            momentum=0.9,
            warmup_steps=0,
            schedule="halving",
            halve_after=40,
            clip_norm=None,
            validate_every=None,
            val_cubes=256,
            patience=50,
            precision="32-true",
        ),
        train_folds=(0, 1, 2, 3, 4),
        val_folds=(5, 6),
    )
