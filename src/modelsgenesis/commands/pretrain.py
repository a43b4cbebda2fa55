"""The verb pretrain: `genesis pretrain RECIPE STORE RUN`."""

from pathlib import Path

from modelsgenesis.core.options import verb
from modelsgenesis.core.remote import Cache, here
from modelsgenesis.pretraining import pretrain as room
from modelsgenesis.pretraining.options import PretrainOptions
from modelsgenesis.recipes import Recipe


@verb(PretrainOptions)
def pretrain(recipe: Recipe | str, store: str | Path, into: str | Path, options: PretrainOptions) -> Path:
    """Pre-train a network, by restoring deformed cubes, by a rival method, or on labelled sets.

    Run again, it goes on where it stopped. Ctrl-C, SIGTERM and SIGUSR1 save and end the run; the same command resumes
    it, and its weights will be, bit for bit, those of a run that was never stopped. A finished run goes on where it
    ended if more --steps are asked for.

    Args:
        recipe: The recipe: chest-ct, chest-ct-official, small, any; of pictures and slices chest-xray, chest-ct-2d,
            small-2d, popar, peac, small-popar, small-peac; on labelled sets ark, small-ark; package.module:function, or
            a Recipe.
        store: The store, made by prepare; for ark a CSV of labelled sets, with the columns name and data and what
            finetune takes.
        into: The run's folder: model.safetensors (best), last.safetensors, resume.pt, log.csv, tensorboard/, if the
            method restores, sheets/; with --from, loading.json; of labelled sets, sets/, who of each was used for what.
    Returns:
        The run's folder.
    Raises:
        DataError: the store is unfinished, too small or of the wrong kind; the folder cannot be written.
        ShapeError: the cubes do not fit the network, or are too small for the method.
        TrainingError: the folder holds another run, or the training failed; the message says what to change.
    """
    return room.pretrain(recipe, here(store, Cache(options.cache, options.cache_gib)), Path(into), options)
