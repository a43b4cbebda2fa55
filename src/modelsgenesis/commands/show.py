"""The verb show: `genesis show RECIPE STORE PICTURE`."""

from pathlib import Path

from modelsgenesis.core.options import verb
from modelsgenesis.core.remote import Cache, here
from modelsgenesis.recipes import Recipe
from modelsgenesis.reports import sample_sheet as room
from modelsgenesis.reports.sample_sheet import ShowOptions


@verb(ShowOptions)
def show(recipe: Recipe | str, store: str | Path, into: str | Path, options: ShowOptions) -> Path:
    """Draw one sample of training: original, each deformation alone, all together, and the difference they make.

    With a run also what its network restores, and the error. The planes are hung as a radiologist expects: the
    patient's right on the picture's left, front or head on top, true to the patient's proportions.

    Of peac, both views with their cells are drawn, one number one place; of popar and peac with a run, places of one
    held-out patient and where their nearest cells lie in others.

    Args:
        recipe: The recipe: chest-ct, small, any, ..., package.module:function, or a Recipe. When the run was made with
            a recipe of this name, its own settings and seed are taken.
        store: The store, made by prepare.
        into: The PNG file.
    Returns:
        The PNG's path.
    Raises:
        DataError: the store is unfinished or gives no such cube; an unknown window; a name that does not end in .png; a
            method that restores nothing.
        ShapeError: the run's network cannot take such cubes.
    """
    return room.show(recipe, here(store, Cache(options.cache, options.cache_gib)), Path(into), options)
