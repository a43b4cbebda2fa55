"""A tiny run that several stages' tests read."""

from pathlib import Path

import pytest

import modelsgenesis as mg
from modelsgenesis.recipes import Recipe, small


@pytest.fixture(scope="session")
def tiny_recipe() -> Recipe:
    """The small recipe, made tiny."""
    plan = {"steps": 6, "batch_size": 2, "validate_every": 3, "val_cubes": 2, "warmup_steps": 1, "precision": "32-true"}
    return small().but(cubes={"size": (16, 16, 16)}, backbone_args={"width": 2}, plan=plan)


@pytest.fixture(scope="session")
def tiny_run(small_store: Path, tiny_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished tiny run."""
    return mg.pretrain(tiny_recipe, small_store, tmp_path_factory.mktemp("tiny") / "run", seed=3)
