"""The verb choose: `genesis choose EMBEDDINGS TABLE`."""

from pathlib import Path

from modelsgenesis.choosing import choose as room
from modelsgenesis.choosing.options import ChooseOptions
from modelsgenesis.core.options import verb


@verb(ChooseOptions)
def choose(embeddings: str | Path, table: str | Path, options: ChooseOptions) -> Path:
    """Choose which cases to label next, by the vectors of all scans, or by what a fine-tuned network says of them.

    The table has the columns rank, id, image, score, cluster and why, the case to label first first. With a column of
    labels added it is a table of cases for finetune; as it is, finetune takes it by --chosen. The same seed gives the
    same table.

    Args:
        embeddings: A folder of genesis embed with all scans, labelled or not.
        table: The table (.csv).
    Returns:
        `table`.
    Raises:
        DataError: there are not so many cases without labels, a labelled case is not among the embeddings, or the
            method needs a run, or none.
        GenesisError: there is no such method.
    """
    return room.choose(Path(embeddings), Path(table), options)
