"""The verb view: `genesis view WHAT [PAGE]`."""

from pathlib import Path

from modelsgenesis.core.options import verb
from modelsgenesis.reports.viewing import view as room
from modelsgenesis.reports.viewing.view import ViewOptions

USUAL = ViewOptions()


@verb(ViewOptions)
def view(what: str | Path, into: str | Path | None = None, options: ViewOptions = USUAL) -> Path | str:
    """Scroll through a scan, a prediction, an evaluation or a sample of training, in any browser.

    The page holds the viewer and the volumes; it can be opened from a disk without a network, and asks none for
    anything. A scan that would make it larger than 30 MB is shown at a coarser step, which the page states. Planes are
    hung as a radiologist expects, the patient's right on the picture's left. Whoever gets the page gets the scans.

    Args:
        what: What to look at: a scan of any format, or a folder of them; a folder of predict, or one mask of it; a
            folder of evaluate or benchmark, the worst cases first; a store.
        into: The HTML file, or a folder that gets view.html; by default in the folder that is looked at, if genesis
            made it, otherwise NAME.view.html in the current folder.
    Returns:
        The page's path; with `serve`, a line once it ended.
    Raises:
        DataError: there is nothing to see there, or what it was made from is not where it was.
        UnreadableError: the scan cannot be read.
    """
    return room.view(Path(what), None if into is None else Path(into), options)
