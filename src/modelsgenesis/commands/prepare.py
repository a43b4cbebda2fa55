"""The verb prepare: `genesis prepare SCANS STORE`."""

from pathlib import Path

from modelsgenesis.core.console import make_console, teller
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.locations import local_path
from modelsgenesis.core.options import verb
from modelsgenesis.core.remote import Cache, here, spool_of
from modelsgenesis.data.store import prepare as room
from modelsgenesis.data.store.joining import join_stores
from modelsgenesis.data.store.options import PrepareOptions
from modelsgenesis.data.store.prepare_part import prepare_part
from modelsgenesis.data.store.publishing import check_begun_here, publish
from modelsgenesis.data.store.slicing import slice_store


@verb(PrepareOptions)
def prepare(source: str | Path | tuple[str | Path, ...], into: str | Path, options: PrepareOptions) -> Path | str:
    """Turn scans of any format into a store that training reads: LPS, chunked, without names.

    What cannot be prepared is a line in `STORE/problems.csv`; the rest goes on. Run again, it goes on where it was and
    takes in new scans. Before a store is shared, delete `STORE/salt`, which is secret, and look at problems.csv and
    made.json: they name sources by path.

    Args:
        source: The scans: a folder of NIfTI, NRRD, MetaImage, DICOM or .npy files, or of pictures alone (PNG, JPEG,
            TIFF), a .zip or .tar of such a folder, a CSV with the column `image` (and, if known, patient, modality,
            fold), or a .npz of MedMNIST; with slices, a store of volumes; with join, one store or several. Or the URL
            of scans or of a store: s3://, gs://.
        into: The store's folder; or its URL, to which it is uploaded once it is made in the cache.
    Returns:
        `into`.
    Raises:
        DataError: there is nothing to prepare, nothing could be prepared, or the store cannot be written.
    """
    sources = [source] if isinstance(source, (str, Path)) else list(source)
    if not sources or not all(map(str, (*sources, into))):
        given = " ".join(map(repr, map(str, (*sources, into))))
        raise DataError(f"SCANS and STORE must not be empty, got {given}; name two folders")
    folder = local_path(into)
    if options.join and (folder is None or any(local_path(one) is None for one in sources)):
        raise DataError("--join links files, which it cannot at a URL; copy the stores to a disk, and join them there")
    cache = Cache(options.cache, options.cache_gib)
    if folder is not None:
        return _prepare([here(one, cache) for one in sources], folder, options)
    spool, location = spool_of(str(into), cache)
    check_begun_here(spool, location, options)
    _prepare([here(one, cache) for one in sources], spool, options)
    publish(spool, location, teller("prepare", make_console(quiet=options.quiet)))
    return str(location)


def _prepare(sources: list[Path], into: Path, options: PrepareOptions) -> Path:
    if options.join:
        options.check_joining()
        return join_stores(sources, into, options.where, quiet=options.quiet)
    if len(sources) > 1 or options.where is not None:
        raise DataError("several stores, and --where, are for --join, which takes the scans of finished stores")
    source = sources[0]
    if options.slices is not None:
        return slice_store(source, into, options.slicing(options.slices), quiet=options.quiet)
    if options.part is not None or options.list:
        return prepare_part(source, into, options)
    return room.prepare(source, into, options)
