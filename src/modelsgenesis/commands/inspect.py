"""The verb inspect: `genesis inspect DATA`."""

from pathlib import Path

from modelsgenesis.core.options import verb
from modelsgenesis.core.remote import Cache, here
from modelsgenesis.reports import inspection as room
from modelsgenesis.reports.inspection import InspectOptions


@verb(InspectOptions)
def inspect(data: str | Path, options: InspectOptions) -> Path | str:
    """See the labelled cases of a folder or table before training on them, or a store: what they hold, what is wrong.

    Every problem comes with its file and its remedy. Errors cost a case, warnings do not. As long as there is one case
    that can be used, this ends well: it has shown what there is to show.

    Args:
        data: The labelled cases: a folder with images/ and labels/ or masks/, one of nnU-Net or the Medical
            Segmentation Decathlon, a table (CSV) with the columns image and label, or a .npz of MedMNIST. Or a store.
    Returns:
        The page's path; without a page, the text.
    Raises:
        DataError: it is no task, or no case of it can be used; stderr then has the problems. Or a file of a store is
            not as it was written.
    """
    return room.inspect(here(data, Cache(options.cache, options.cache_gib)), options)
