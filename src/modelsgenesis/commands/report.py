"""The verb report: `genesis report RUN [PAGE]`."""

from dataclasses import dataclass
from pathlib import Path

from modelsgenesis.commands.command_line import command
from modelsgenesis.core.options import verb
from modelsgenesis.reports import run_page as room


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """The options of genesis report.

    Args:
        embeddings: For the page of a run: a folder of genesis embed by its network, drawn as a map on the page.
        table: A table whose columns colour the map of embeddings; its rows name scans by id or file.
        sample: Which sample of training the sheet shows; by default the one of the first sixteen with most to see.
    """

    embeddings: Path | None = None
    table: Path | None = None
    sample: int | None = None


@verb(ReportOptions)
def report(run: str | Path, into: str | Path | None = None, options: ReportOptions = ReportOptions()) -> Path:
    """Write a page about a run or a benchmark: pictures, curves, numbers, lineage, and the commands that made it.

    Of a folder of embeddings the page is a map: a point a scan, coloured by any column of a table, with thumbnails and
    the nearest neighbours of a scan.

    Of a fine-tuned run a few held-out cases are predicted for the page, and the scores of evaluations beside it shown.

    The page holds its pictures and its style; it can be sent as it is and loads nothing from elsewhere. A benchmark's
    folder also gets report.md, the figures, and the tables as CSV and LaTeX.

    Args:
        run: The folder of a run of pretrain or finetune, or of a benchmark, finished or not; or of embeddings.
        into: The HTML file, or a folder that gets report.html; by default the run's own.
    Returns:
        The page's path.
    Raises:
        DataError: the folder is no run, or has no log yet; a file that is no .html is wanted.
    """
    page = None if into is None else Path(into)
    return room.report(
        Path(run), page, sample=options.sample, mapped=(options.embeddings, options.table), command=command
    )
