"""The verb export: `genesis export RUN INTO --to FORMAT`."""

from pathlib import Path

from modelsgenesis.commands.command_line import command
from modelsgenesis.core.options import verb
from modelsgenesis.reports import export as room
from modelsgenesis.reports.export import ExportOptions


@verb(ExportOptions)
def export(run: str | Path, into: str | Path, options: ExportOptions) -> Path:
    """Write a network for another program, with a model card.

    Args:
        run: The run, of pretrain or finetune, one fold of a cross-validated run, or a weights file of any known format.
        into: A new folder: the format's files, README.md (the model card) and made.json.
    Returns:
        `into`.
    Raises:
        DataError: INTO holds something else, or cannot be written.
        WeightsError: there is no network there, or not one that the format can hold.
        MissingExtraError: the format needs a library that is not installed.
    """
    return room.export(run, Path(into), options, command=command)
