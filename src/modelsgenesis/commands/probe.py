"""The verb probe: `genesis probe EMBEDDINGS LABELS OUT`."""

import functools
from pathlib import Path

from modelsgenesis.benchmarking import probe as room
from modelsgenesis.benchmarking.probe_options import ProbeOptions
from modelsgenesis.commands.command_line import command
from modelsgenesis.core.options import verb
from modelsgenesis.reports.probe_page import write_probe_report


@verb(ProbeOptions)
def probe(embeddings: str | Path, labels: str | Path, into: str | Path, options: ProbeOptions) -> Path:
    """Ask what frozen vectors say of labels: small models on embeddings, with few and many cases, again and again.

    For a number of cases and a seed every arm learns from the same cases, and is scored on the same test patients, who
    are never used for a choice. Nothing is fine-tuned: fifty seeds take seconds, and comparisons have power.

    Args:
        embeddings: A folder of genesis embed; its name is that of the arm. Further arms come by --with.
        labels: The labelled cases, as benchmark takes them; a CSV may name scans by the ids of the embeddings alone.
        into: The folder of runs.csv, audit.csv and the report.
    Returns:
        `into`.
    Raises:
        DataError: too few cases, labels that are no classes or numbers, no vectors of them, or test cases that an arm
            was pre-trained on.
    """
    report = functools.partial(write_probe_report, command=command)
    return room.probe(Path(embeddings), Path(labels), Path(into), options, write_report=report)
