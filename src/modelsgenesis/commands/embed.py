"""The verb embed: `genesis embed NETWORK SCANS OUT`."""

from pathlib import Path

from modelsgenesis.core.options import verb
from modelsgenesis.core.remote import Cache, here
from modelsgenesis.embedding import embed as room
from modelsgenesis.embedding.options import EmbedOptions


@verb(EmbedOptions)
def embed(network: str | Path, scans: str | Path, into: str | Path, options: EmbedOptions) -> Path:
    """Turn each scan into a vector, by what a network knows without labels: for probes, neighbours and maps.

    A vector is the mean of the encoder's features over the scan's foreground, in windows as `predict` takes them. Scans
    are read as they were for the network. What cannot be embedded is a line in `OUT/failures.csv`; the rest goes on.
    Stopped and run again, it goes on where it was.

    Args:
        network: The network: a run, a weights file of any known format, a network of the package such as
            genesis-small-ct; like:RECIPE or like:RUN is one at random; raw is grey values on a small grid, and size is
            shape and spacing alone: baselines that know nothing.
        scans: The scans, as predict takes them: a folder, a file, a CSV with the column `image`, or a .npz of MedMNIST.
        into: The folder of the embeddings: embeddings.parquet, vectors/ID.npy, failures.csv.
    Returns:
        `into`.
    Raises:
        DataError: there is nothing to embed, nothing could be embedded, or OUT holds something else.
        WeightsError: there is no such network, or it cannot take the scans.
    """
    return room.embed(str(network), here(scans, Cache(options.cache, options.cache_gib)), Path(into), options)
